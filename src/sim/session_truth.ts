/**
 * What the log says of client sessions, told apart from the node's own table: which commands of
 * sessions are applied, which were before, and which come too late, and whose results are kept. The node
 * must do the same on every replica, over restarts, snapshots and changes of the leader.
 *
 * @module
 */

import {
  SESSION_WINDOW,
  type SessionKey,
  type SessionLimits,
  type SessionOperation,
} from "../node/mod.ts";
import type { RaftLogEntry } from "../raft/mod.ts";
import type { Coverage } from "./coverage.ts";
import { KeptResults } from "./kept_results.ts";
import { read32 } from "./kv_codec.ts";

/** What an entry comes to. */
export type SessionFate =
  /** Its command is applied: it concerns no session, or is new in its session. */
  | { readonly type: "applied" }
  /** Its command was applied at an earlier index. */
  | { readonly type: "duplicate"; readonly index: number }
  /** It carries no command. */
  | { readonly type: "done" }
  /** It has no effect, for this reason. */
  | { readonly type: "refused"; readonly reason: string };

interface KnownSession {
  readonly nonce: number;
  readonly timeoutMs: number;
  usedIndex: number;
  usedMs: number;
  acknowledged: number;
  /** Where the commands that are not acknowledged were applied, by sequence number. */
  readonly applied: Map<number, number>;
}

/** Where the context of a session's entry says how much time has passed, and what it is. */
const OPERATION_BYTE = 27;
const CLOCK_OPERATION = 5;
const TWO_TO_32 = 2 ** 32;
const APPLIED: SessionFate = { type: "applied" };
const DONE: SessionFate = { type: "done" };

/** The sessions as the committed log makes them. */
export class SessionTruth {
  readonly #coverage: Coverage;
  readonly #limits: SessionLimits;
  readonly #kept: KeptResults;
  readonly #sessions = new Map<number, KnownSession>();
  #nowMs = 0;

  /** @param limits those of the nodes. */
  constructor(coverage: Coverage, limits: SessionLimits) {
    this.#coverage = coverage;
    this.#limits = limits;
    this.#kept = new KeptResults(limits);
  }

  /** A command was applied for the first time, in the order of the log. */
  applied(index: number, result: unknown): void {
    this.#kept.settle(index, result);
  }

  /** Whether the result of the command of a session that was applied at `index` had to be kept. */
  keeps(index: number): boolean {
    return this.#kept.has(index);
  }

  /** What the next committed entry comes to; `operation` is what its proposer asked for. */
  commit(entry: RaftLogEntry, operation: SessionOperation | undefined): SessionFate {
    if (entry.command.length === 0) {
      this.#advance(elapsedOf(entry.context));
      return DONE;
    }
    switch (operation?.kind) {
      case undefined:
        return APPLIED;
      case "open":
        return this.#open(entry.index, operation.nonce, operation.timeoutMs);
      case "command":
        return this.#command(entry.index, operation);
      case "keep-alive":
        return this.#use(operation.session, entry.index) === undefined
          ? this.#refused("SESSION_EXPIRED")
          : DONE;
      case "close":
        if (this.#use(operation.session, entry.index) !== undefined) {
          this.#end(operation.session.index);
        }
        return DONE;
    }
  }

  #open(index: number, nonce: number, timeoutMs: number): SessionFate {
    this.#coverage.add("sessions opened");
    if (this.#sessions.size >= this.#limits.sessionsMax) this.#evict();
    this.#sessions.set(index, {
      nonce,
      timeoutMs,
      usedIndex: index,
      usedMs: this.#nowMs,
      acknowledged: 0,
      applied: new Map(),
    });
    return DONE;
  }

  /** Ends the session that was used least recently. */
  #evict(): void {
    const sessions = [...this.#sessions];
    const oldest = Math.min(...sessions.map(([, { usedIndex }]) => usedIndex));
    this.#coverage.add("sessions evicted");
    for (const [index, { usedIndex }] of sessions) {
      if (usedIndex === oldest) this.#end(index);
    }
  }

  #command(
    index: number,
    { session: key, sequence, acknowledged }: SessionOperation & { kind: "command" },
  ): SessionFate {
    const session = this.#use(key, index);
    if (session === undefined) return this.#refused("SESSION_EXPIRED");
    session.acknowledged = Math.max(session.acknowledged, acknowledged);
    this.#acknowledge(key.index, session);
    const before = session.applied.get(sequence);
    if (before !== undefined) return { type: "duplicate", index: before };
    if (sequence <= session.acknowledged) return this.#refused("SEQUENCE_PASSED");
    if (sequence > session.acknowledged + SESSION_WINDOW) return this.#refused("SEQUENCE_AHEAD");
    session.applied.set(sequence, index);
    this.#kept.add(key.index, index);
    return APPLIED;
  }

  /** Nobody waits for these results any more. */
  #acknowledge(key: number, { acknowledged, applied }: KnownSession): void {
    const released = [...applied].filter(([sequence]) => sequence <= acknowledged);
    for (const [sequence] of released) applied.delete(sequence);
    this.#kept.release(key, released.map(([, index]) => index));
  }

  #end(key: number): void {
    this.#kept.release(key, [...this.#sessions.get(key)!.applied.values()]);
    this.#sessions.delete(key);
  }

  #use({ index, nonce }: SessionKey, usedIndex: number): KnownSession | undefined {
    const session = this.#sessions.get(index);
    if (session === undefined || session.nonce !== nonce) return undefined;
    session.usedIndex = usedIndex;
    session.usedMs = this.#nowMs;
    return session;
  }

  #advance(elapsedMs: number): void {
    this.#nowMs += elapsedMs;
    for (const [index, { usedMs, timeoutMs }] of this.#sessions) {
      if (this.#nowMs - usedMs < timeoutMs) continue;
      this.#end(index);
      this.#coverage.add("sessions expired");
    }
  }

  #refused(reason: string): SessionFate {
    if (reason === "SESSION_EXPIRED") this.#coverage.add("commands of sessions that are gone");
    if (reason === "SEQUENCE_PASSED") this.#coverage.add("commands that came too late");
    return { type: "refused", reason };
  }
}

/** How much time an entry says has passed; 0 when it is not about time. */
function elapsedOf(context: Uint8Array | undefined): number {
  if (context === undefined || context[OPERATION_BYTE] !== CLOCK_OPERATION) return 0;
  const high = context[OPERATION_BYTE + 5] | (context[OPERATION_BYTE + 6] << 8);
  return read32(context, OPERATION_BYTE + 1) + high * TWO_TO_32;
}
