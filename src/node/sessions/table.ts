/**
 * The client sessions of a region, as its log has made them: equal on every member at equal applied
 * indexes. It is kept in the node's own part of the state machine, which commits every change of it with
 * the commands it belongs to; so a command takes effect once across retries, leaders, crashes, restarts
 * and snapshots, and its result is kept for whoever asks again.
 *
 * Time is a number of the log too: it goes on when the leader says so in an entry (see `clock.ts`), and
 * only then do sessions expire. So a session never expires on one member before another, and not because
 * a cluster was down or a clock was wrong.
 *
 * @module
 */

import type { RaftLogEntry } from "../../raft/mod.ts";
import { read48, write48 } from "../integers.ts";
import type { NodeStateDelta } from "../state_machine.ts";
import type { SessionEntry } from "./envelope.ts";
import { SESSION_LIMITS, SESSION_WINDOW, type SessionLimits } from "./limits.ts";
import type { SessionCommand, SessionKey } from "./operation.ts";
import { ResultAccount, type SessionChange } from "./result_account.ts";
import { decodeSession, encodeSession, type KeptResult, type Session } from "./session.ts";

/** Why an entry that names a session has no effect. */
export type SessionRefusal =
  /** There is no such session: it expired, was evicted or closed, or never was. */
  | "SESSION_EXPIRED"
  /** The client has said that it waits for no result of this number. */
  | "SEQUENCE_PASSED"
  /** The number is too far ahead of what is acknowledged. */
  | "SEQUENCE_AHEAD";

/** What an entry does, by the sessions as they are at its place in the log. */
export type SessionOutcome =
  /** Its command is new: it is applied, and its result is kept. */
  | { readonly type: "apply" }
  /** Its command was applied before: it is not applied again. */
  | { readonly type: "duplicate"; readonly kept: KeptResult }
  /** It opened a session. */
  | { readonly type: "opened"; readonly session: SessionKey }
  /** It did what it says, and there is no result. */
  | { readonly type: "done" }
  /** It has no effect. */
  | { readonly type: "refused"; readonly reason: SessionRefusal };

/** Counts what happens to sessions. */
export interface SessionCounters {
  /** Sessions that were opened. */
  sessionsOpened: number;
  /** Sessions that ended because they were not used. */
  sessionsExpired: number;
  /** Sessions that ended because there were too many. */
  sessionsEvicted: number;
  /** Commands that were not applied, as they had been before. */
  sessionDuplicates: number;
  /** Commands that were not applied, as their session or number was of the past, or too far ahead. */
  sessionRefusals: number;
  /** Results that were too large to be kept. */
  sessionResultsForgotten: number;
}

const SESSION = "session/";
const CLOCK = "session-clock";

/** The sessions of a region. */
export class SessionTable {
  readonly #counters: SessionCounters;
  /** By index, the least recently used first. */
  #sessions = new Map<number, Session>();
  readonly #limits: SessionLimits;
  #account: ResultAccount;
  #nowMs = 0;
  /** What has changed since the last call of `record`. */
  #changes: SessionChange[] = [];
  #touched = new Set<number>();
  #ended = new Set<number>();
  #clockChanged = false;

  constructor(
    nodeState: ReadonlyMap<string, Uint8Array>,
    counters: SessionCounters,
    limits: SessionLimits = SESSION_LIMITS,
  ) {
    this.#counters = counters;
    this.#limits = limits;
    this.#account = new ResultAccount(limits);
    this.replace(nodeState);
  }

  /** How many sessions there are. */
  get size(): number {
    return this.#sessions.size;
  }

  /** The clock of the sessions, in milliseconds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Bytes of all results that are kept. */
  get resultBytes(): number {
    return this.#account.bytes;
  }

  /**
   * Takes over what a state machine keeps: at the start, or after a snapshot has replaced it.
   *
   * @throws EnvelopeError when it is of a version that this one cannot read.
   */
  replace(nodeState: ReadonlyMap<string, Uint8Array>): void {
    const sessions: Session[] = [];
    for (const [key, value] of nodeState) {
      if (!key.startsWith(SESSION)) continue;
      sessions.push(decodeSession(Number(key.slice(SESSION.length)), value));
    }
    sessions.sort((a, b) => a.usedIndex - b.usedIndex || a.index - b.index);
    this.#sessions = new Map(sessions.map((session) => [session.index, session]));
    this.#account = new ResultAccount(this.#limits);
    for (const { bytes } of sessions) this.#account.bytes += bytes;
    const clock = nodeState.get(CLOCK);
    this.#nowMs = clock === undefined ? 0 : read48(clock, 0);
    this.#changes = [];
    this.#touched.clear();
    this.#ended.clear();
    this.#clockChanged = false;
  }

  /** Decides what an entry does. Called for each in the order of the log, once. */
  admit(entry: RaftLogEntry, operation: SessionEntry): SessionOutcome {
    switch (operation.kind) {
      case "open":
        return this.#open(entry.index, operation.nonce, operation.timeoutMs);
      case "clock":
        this.#advance(operation.elapsedMs);
        return { type: "done" };
      case "command":
        return this.#command(entry, operation);
      case "keep-alive":
        return this.#find(operation.session, entry.index) === undefined
          ? this.#refuse("SESSION_EXPIRED")
          : { type: "done" };
      case "close":
        if (this.#find(operation.session, entry.index) !== undefined) {
          this.#end(operation.session.index);
        }
        return { type: "done" };
    }
  }

  /**
   * What to store of all that was admitted since the last call.
   *
   * @param results the encoded results of the commands that were to be applied, in order.
   */
  record(results: readonly Uint8Array[]): NodeStateDelta {
    this.#counters.sessionResultsForgotten += this.#account.settle(this.#changes, results);
    this.#changes = [];
    const delta: [string, Uint8Array | undefined][] = [];
    for (const index of this.#ended) delta.push([SESSION + index, undefined]);
    for (const index of this.#touched) {
      const session = this.#sessions.get(index);
      if (session !== undefined) delta.push([SESSION + index, encodeSession(session)]);
    }
    if (this.#clockChanged) delta.push([CLOCK, encodeClock(this.#nowMs)]);
    this.#touched.clear();
    this.#ended.clear();
    this.#clockChanged = false;
    return delta;
  }

  #open(index: number, nonce: number, timeoutMs: number): SessionOutcome {
    if (this.#sessions.size >= this.#limits.sessionsMax) {
      const leastRecent: number = this.#sessions.keys().next().value!;
      this.#end(leastRecent);
      this.#counters.sessionsEvicted++;
    }
    this.#sessions.set(index, {
      index,
      nonce,
      timeoutMs,
      usedIndex: index,
      usedMs: this.#nowMs,
      acknowledged: 0,
      results: new Map(),
      bytes: 0,
    });
    this.#touched.add(index);
    this.#counters.sessionsOpened++;
    return { type: "opened", session: { index, nonce } };
  }

  #command(entry: RaftLogEntry, operation: SessionCommand): SessionOutcome {
    const { sequence, acknowledged } = operation;
    const session = this.#find(operation.session, entry.index);
    if (session === undefined) return this.#refuse("SESSION_EXPIRED");
    this.#acknowledge(session, acknowledged);
    const kept = session.results.get(sequence);
    if (kept !== undefined) {
      this.#counters.sessionDuplicates++;
      return { type: "duplicate", kept };
    }
    if (sequence <= session.acknowledged) return this.#refuse("SEQUENCE_PASSED");
    if (sequence > session.acknowledged + SESSION_WINDOW) return this.#refuse("SEQUENCE_AHEAD");
    const added: KeptResult = { index: entry.index, term: entry.term, bytes: undefined };
    session.results.set(sequence, added);
    this.#changes.push({ session, released: [], added });
    return { type: "apply" };
  }

  /** Forgets the results that nobody waits for. */
  #acknowledge(session: Session, acknowledged: number): void {
    if (acknowledged <= session.acknowledged) return;
    const released: KeptResult[] = [];
    for (const [sequence, kept] of session.results) {
      if (sequence > acknowledged) continue;
      session.results.delete(sequence);
      released.push(kept);
    }
    session.acknowledged = acknowledged;
    this.#changes.push({ session, released, added: undefined });
  }

  /** The session, used by the entry at `index`. */
  #find({ index, nonce }: SessionKey, usedIndex: number): Session | undefined {
    const session = this.#sessions.get(index);
    if (session === undefined || session.nonce !== nonce) return undefined;
    session.usedIndex = usedIndex;
    session.usedMs = this.#nowMs;
    this.#sessions.delete(index);
    this.#sessions.set(index, session);
    this.#touched.add(index);
    return session;
  }

  #advance(elapsedMs: number): void {
    this.#nowMs = Math.min(this.#nowMs + elapsedMs, CLOCK_MS_MAX);
    this.#clockChanged = true;
    for (const { index, usedMs, timeoutMs } of this.#sessions.values()) {
      if (this.#nowMs - usedMs < timeoutMs) continue;
      this.#end(index);
      this.#counters.sessionsExpired++;
    }
  }

  #end(index: number): void {
    const session = this.#sessions.get(index)!;
    this.#sessions.delete(index);
    this.#changes.push({ session, released: [...session.results.values()], added: undefined });
    this.#touched.delete(index);
    this.#ended.add(index);
  }

  #refuse(reason: SessionRefusal): SessionOutcome {
    this.#counters.sessionRefusals++;
    return { type: "refused", reason };
  }
}

const CLOCK_MS_MAX = 2 ** 48 - 1;

function encodeClock(nowMs: number): Uint8Array {
  const bytes = new Uint8Array(6);
  write48(bytes, 0, nowMs);
  return bytes;
}
