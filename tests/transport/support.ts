/** Helpers of the transport tests: a handler that records, messages, and waiting for a condition. */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Logger, Message } from "../../src/raft/mod.ts";
import { createConfState, createEntry, createMessage } from "../../src/raft/mod.ts";
import type { RegionMessage, TransportHandler } from "../../src/transport/mod.ts";

/** Records all that a transport reports. */
export class Recorder implements TransportHandler {
  readonly batches: { from: number; batch: readonly RegionMessage[] }[] = [];
  readonly unreachableNodes: number[] = [];
  readonly snapshots: { nodeId: number; regionId: number; peerId: number; ok: boolean }[] = [];
  /** Answers questions, once it is set. */
  answer?: (from: number, question: Uint8Array) => Promise<Uint8Array>;
  /** Called before anything is recorded. */
  before: () => void = () => {};

  receive(from: number, batch: readonly RegionMessage[]): void {
    this.before();
    this.batches.push({ from, batch });
  }

  unreachable(nodeId: number): void {
    this.before();
    this.unreachableNodes.push(nodeId);
  }

  snapshotSent(nodeId: number, regionId: number, peerId: number, ok: boolean): void {
    this.before();
    this.snapshots.push({ nodeId, regionId, peerId, ok });
  }

  /** All messages received, in order. */
  get items(): RegionMessage[] {
    return this.batches.flatMap(({ batch }) => batch);
  }

  /** The commit index of each message received, which the tests use to tell messages apart. */
  get commits(): number[] {
    return this.items.map(({ message }) => message.commit);
  }
}

/** A logger that keeps what it is told. */
export class Lines implements Logger {
  readonly warnings: string[] = [];
  readonly infos: string[] = [];
  debug(): void {}
  info(text: string): void {
    this.infos.push(text);
  }
  warn(text: string): void {
    this.warnings.push(text);
  }
  error(text: string): void {
    this.warnings.push(text);
  }
}

/** A heartbeat that can be told apart by `commit`. */
export function heartbeat(commit: number, regionId = 1): RegionMessage {
  return {
    regionId,
    message: createMessage({ type: "heartbeat", to: 2, from: 1, term: 1, commit }),
  };
}

/** Heartbeats with `commit` from 1 to `count`. */
export function heartbeats(count: number): RegionMessage[] {
  return Array.from({ length: count }, (_, i) => heartbeat(i + 1));
}

/** A snapshot message for peer 2 of region 7, with this many bytes of data. */
export function snapshot(dataBytes: number): RegionMessage {
  const metadata = { index: 9, term: 1, confState: createConfState({ voters: [1, 2] }) };
  const data = new Uint8Array(dataBytes).fill(5);
  return {
    regionId: 7,
    message: createMessage({
      type: "snapshot",
      to: 2,
      from: 1,
      term: 1,
      snapshot: { metadata, data },
    }),
  };
}

/** An append of entries that use every field. */
export function append(): Message {
  return createMessage({
    type: "append",
    to: 2,
    from: 1,
    term: Number.MAX_SAFE_INTEGER,
    logTerm: 3,
    index: 2 ** 40,
    commit: 12,
    entries: [
      createEntry({ index: 2 ** 40 + 1, term: 4, command: new Uint8Array(3000).fill(1) }),
      createEntry({
        index: 2 ** 40 + 2,
        term: 4,
        type: "conf-change-v2",
        context: Uint8Array.of(1),
      }),
    ],
    context: Uint8Array.of(1, 2, 3),
    priority: -3,
    commitTerm: 2,
  });
}

/** Waits until `condition` holds; fails with `what` after ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `${what} did not happen within ten seconds`);
    await setImmediate();
  }
}
