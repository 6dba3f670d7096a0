/**
 * What is to happen, in the order of virtual time; things of the same moment happen in the order in
 * which they were scheduled. A binary heap.
 *
 * @module
 */

/** Something that happens. */
export type Action = () => void;

interface Scheduled {
  readonly time: number;
  readonly order: number;
  readonly action: Action;
}

/** The future. */
export class EventQueue {
  readonly #heap: Scheduled[] = [];
  #nextOrder = 0;

  /** How much is to happen. */
  get length(): number {
    return this.#heap.length;
  }

  /** When the next thing happens, in microseconds; Infinity when nothing does. */
  get nextTime(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0].time;
  }

  /** Adds an action at `time`, in microseconds. */
  push(time: number, action: Action): void {
    const heap = this.#heap;
    const added: Scheduled = { time, order: this.#nextOrder++, action };
    let position = heap.length;
    heap.push(added);
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if (!isBefore(added, heap[parent])) break;
      heap[position] = heap[parent];
      position = parent;
    }
    heap[position] = added;
  }

  /** Removes and returns the next action; undefined when there is none. */
  pop(): Action | undefined {
    const heap = this.#heap;
    if (heap.length === 0) return undefined;
    const next = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) sinkFromTop(heap, last);
    return next.action;
  }
}

function sinkFromTop(heap: Scheduled[], item: Scheduled): void {
  let position = 0;
  for (;;) {
    let child = 2 * position + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
    if (!isBefore(heap[child], item)) break;
    heap[position] = heap[child];
    position = child;
  }
  heap[position] = item;
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
