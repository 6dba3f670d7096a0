/**
 * The bounded queue of messages that wait to leave for one node, and how they are cut into frames.
 *
 * @module
 */

import type { RegionMessage } from "../wire/mod.ts";
import { frameItemSize, MESSAGES_PER_FRAME_MAX, writeFrameItem } from "../wire/mod.ts";

/** Messages that leave together. */
export interface OutgoingFrame {
  readonly items: readonly RegionMessage[];
  /** Bytes of each message, as the wire codec measured them. */
  readonly messageBytes: readonly number[];
  /** Bytes of the frame. */
  readonly bytes: number;
}

/** Messages for one node, in the order in which they were sent, within limits. */
export class SendQueue {
  private readonly bytesMax: number;
  private readonly messagesMax: number;
  private items: RegionMessage[] = [];
  private messageBytes: number[] = [];
  private bytes = 0;
  private head = 0;

  constructor(bytesMax: number, messagesMax: number) {
    this.bytesMax = bytesMax;
    this.messagesMax = messagesMax;
  }

  /** How many messages wait. */
  get length(): number {
    return this.items.length - this.head;
  }

  /** Whether at most half of the limits is in use. */
  get relaxed(): boolean {
    return this.bytes * 2 <= this.bytesMax && this.length * 2 <= this.messagesMax;
  }

  /**
   * Appends a message of `messageBytes` bytes; false when a limit is reached. An empty queue takes
   * any one message.
   */
  push(item: RegionMessage, messageBytes: number): boolean {
    const waiting = this.length;
    const full = waiting >= this.messagesMax || this.bytes + messageBytes > this.bytesMax;
    if (full && waiting > 0) return false;
    this.items.push(item);
    this.messageBytes.push(messageBytes);
    this.bytes += messageBytes;
    return true;
  }

  /** Takes the oldest messages that fit into `frameBytesMax` together, and at least one. */
  takeFrame(frameBytesMax: number): OutgoingFrame {
    const start = this.head;
    const limit = Math.min(this.items.length, start + MESSAGES_PER_FRAME_MAX);
    let bytes = 0;
    let end = start;
    while (end < limit) {
      const size = frameItemSize(this.items[end]!.regionId, this.messageBytes[end]!);
      if (end > start && bytes + size > frameBytesMax) break;
      bytes += size;
      this.bytes -= this.messageBytes[end]!;
      end++;
    }
    if (start === 0 && end === this.items.length) {
      const frame = { items: this.items, messageBytes: this.messageBytes, bytes };
      this.items = [];
      this.messageBytes = [];
      return frame;
    }
    const items = this.items.slice(start, end);
    const messageBytes = this.messageBytes.slice(start, end);
    this.head = end;
    this.forgetTaken();
    return { items, messageBytes, bytes };
  }

  /** Takes out what is larger than `messageBytesMax`, to be dropped. */
  removeLarger(messageBytesMax: number): readonly RegionMessage[] {
    const removed: RegionMessage[] = [];
    const { items, messageBytes, head } = this;
    this.clear();
    for (let i = head; i < items.length; i++) {
      if (messageBytes[i]! > messageBytesMax) removed.push(items[i]!);
      else this.push(items[i]!, messageBytes[i]!);
    }
    return removed;
  }

  /** Takes everything, to be dropped. */
  clear(): readonly RegionMessage[] {
    const items = this.head === 0 ? this.items : this.items.slice(this.head);
    this.items = [];
    this.messageBytes = [];
    this.bytes = 0;
    this.head = 0;
    return items;
  }

  /** Lets go of taken messages once they are half of the arrays: each is moved a constant number of times. */
  private forgetTaken(): void {
    if (this.head * 2 < this.items.length) return;
    this.items = this.items.slice(this.head);
    this.messageBytes = this.messageBytes.slice(this.head);
    this.head = 0;
  }
}

/** Writes a frame into a buffer of exactly its size. Throws a RangeError when a message has changed since it was measured. */
export function writeFrame(frame: OutgoingFrame, into: Uint8Array): void {
  let position = 0;
  for (let i = 0; i < frame.items.length; i++) {
    position = writeFrameItem(into, position, frame.items[i]!, frame.messageBytes[i]!);
  }
  if (position !== frame.bytes) {
    throw new RangeError(
      `A frame must have ${frame.bytes} bytes as measured: ${position} were written`,
    );
  }
}
