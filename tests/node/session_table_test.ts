/** The table of client sessions by itself, and against a model that knows every entry by heart. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createEntry } from "../../src/raft/mod.ts";
import { createPeerCounters } from "../../src/node/mod.ts";
import {
  decodeSessionEntry,
  encodeSessionClock,
  encodeSessionContext,
  type SessionEntry,
} from "../../src/node/sessions/envelope.ts";
import { decodeProposalId } from "../../src/node/envelope.ts";
import {
  SESSION_RESULT_BYTES_MAX,
  SESSION_WINDOW,
  type SessionLimits,
  SESSIONS_MAX,
  SESSIONS_RESULT_BYTES_MAX,
} from "../../src/node/sessions/limits.ts";
import { type SessionOutcome, SessionTable } from "../../src/node/sessions/table.ts";

const LIMITS: SessionLimits = { sessionsMax: 3, sessionResultBytesMax: 40, resultBytesMax: 70 };
const PROPERTY_RUNS = 400;

/** What an entry of a test does, without its place in the log. */
type Step =
  | { kind: "open"; timeoutMs: number }
  /** `session`: which of those ever opened; `wrong`: with another's nonce. */
  | { kind: "command"; session: number; sequence: number; acknowledged: number; wrong: boolean }
  | { kind: "keep-alive" | "close"; session: number }
  | { kind: "clock"; elapsedMs: number };

/** A result that says which entry made it, of a size that depends on it. */
function resultOf(index: number): Uint8Array {
  return new Uint8Array((index * 7) % 23).fill(index);
}

/** One replica's table, with what its state machine has committed. */
class Replica {
  readonly stored = new Map<string, Uint8Array>();
  table: SessionTable;
  /** Indexes of commands that the state machine has applied. */
  readonly applied: number[] = [];

  constructor() {
    this.table = this.#load();
  }

  /** A restart, or the installation of a snapshot of this state. */
  reload(): void {
    this.table = this.#load();
  }

  #load(): SessionTable {
    return new SessionTable(this.stored, createPeerCounters(), LIMITS);
  }

  apply(batch: readonly { index: number; entry: SessionEntry }[]): string[] {
    const outcomes = batch.map(({ index, entry }) =>
      this.table.admit(createEntry({ index, term: 1 }), entry)
    );
    const results: Uint8Array[] = [];
    outcomes.forEach(({ type }, position) => {
      if (type !== "apply") return;
      this.applied.push(batch[position].index);
      results.push(resultOf(batch[position].index));
    });
    for (const [key, value] of this.table.record(results)) {
      if (value === undefined) this.stored.delete(key);
      else this.stored.set(key, value);
    }
    return outcomes.map(describe);
  }
}

/** An outcome as text, once its batch is recorded. */
function describe(outcome: SessionOutcome): string {
  switch (outcome.type) {
    case "duplicate":
      return `duplicate of ${outcome.kept.index}: ${outcome.kept.bytes}`;
    case "opened":
      return `opened ${outcome.session.index}`;
    case "refused":
      return outcome.reason;
    default:
      return outcome.type;
  }
}

interface ModelSession {
  index: number;
  timeoutMs: number;
  usedMs: number;
  usedIndex: number;
  acknowledged: number;
  applied: { sequence: number; index: number; kept: Uint8Array | undefined }[];
}

/** The rules, said as plainly as possible: lists, searched from end to end, one entry at a time. */
class Model {
  sessions: ModelSession[] = [];
  nowMs = 0;

  step(index: number, entry: SessionEntry, rightNonce: boolean): string {
    if (entry.kind === "clock") {
      this.nowMs += entry.elapsedMs;
      this.sessions = this.sessions.filter((one) => this.nowMs - one.usedMs < one.timeoutMs);
      return "done";
    }
    if (entry.kind === "open") {
      if (this.sessions.length === LIMITS.sessionsMax) {
        const oldest = Math.min(...this.sessions.map(({ usedIndex }) => usedIndex));
        this.sessions = this.sessions.filter(({ usedIndex }) => usedIndex !== oldest);
      }
      const { timeoutMs } = entry;
      const { nowMs } = this;
      this.sessions.push({
        index,
        timeoutMs,
        usedMs: nowMs,
        usedIndex: index,
        acknowledged: 0,
        applied: [],
      });
      return `opened ${index}`;
    }
    const session = rightNonce
      ? this.sessions.find((one) => one.index === entry.session.index)
      : undefined;
    if (session === undefined) return entry.kind === "close" ? "done" : "SESSION_EXPIRED";
    session.usedMs = this.nowMs;
    session.usedIndex = index;
    if (entry.kind === "close") this.sessions = this.sessions.filter((one) => one !== session);
    if (entry.kind !== "command") return "done";
    return this.#command(session, index, entry.sequence, entry.acknowledged);
  }

  #command(session: ModelSession, index: number, sequence: number, acknowledged: number): string {
    session.acknowledged = Math.max(session.acknowledged, acknowledged);
    session.applied = session.applied.filter((one) => one.sequence > session.acknowledged);
    const before = session.applied.find((one) => one.sequence === sequence);
    if (before !== undefined) return `duplicate of ${before.index}: ${before.kept}`;
    if (sequence <= session.acknowledged) return "SEQUENCE_PASSED";
    if (sequence > session.acknowledged + SESSION_WINDOW) return "SEQUENCE_AHEAD";
    const result = resultOf(index);
    const fits = bytesOf([session]) + result.length <= LIMITS.sessionResultBytesMax &&
      bytesOf(this.sessions) + result.length <= LIMITS.resultBytesMax;
    session.applied.push({ sequence, index, kept: fits ? result : undefined });
    return "apply";
  }
}

function bytesOf(sessions: readonly ModelSession[]): number {
  return sessions.flatMap(({ applied }) => applied)
    .reduce((sum, { kept }) => sum + (kept?.length ?? 0), 0);
}

const STEPS: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("open"), timeoutMs: fc.nat(30) }) },
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant("command"),
        session: fc.nat(5),
        sequence: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(SESSION_WINDOW + 3)),
        acknowledged: fc.nat(5),
        wrong: fc.integer({ min: 0, max: 19 }).map((drawn) => drawn === 0),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom("keep-alive", "close"), session: fc.nat(5) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("clock"), elapsedMs: fc.nat(20) }) },
  ),
  { minLength: 1, maxLength: 60 },
) as fc.Arbitrary<Step[]>;

/** The entries of steps, whose sessions are those that the steps before opened, in turn. */
function toEntries(steps: readonly Step[]) {
  const opened: number[] = [];
  return steps.map((step, position) => {
    const index = position + 2;
    const pick = (session: number) => opened[opened.length - 1 - session % opened.length] ?? 1;
    if (step.kind === "open") {
      opened.push(index);
      return { index, right: true, entry: { ...step, nonce: index } as SessionEntry };
    }
    if (step.kind === "clock") return { index, right: true, entry: step as SessionEntry };
    const session = { index: pick(step.session), nonce: pick(step.session) };
    if (step.kind !== "command") {
      return { index, right: true, entry: { kind: step.kind, session } as SessionEntry };
    }
    const { sequence, wrong } = step;
    const acknowledged = Math.min(step.acknowledged, sequence - 1);
    if (wrong) session.nonce += 1;
    const entry: SessionEntry = { kind: "command", session, sequence, acknowledged };
    return { index, right: !wrong, entry };
  });
}

test("property: the table does what the model does, in any batches, across restarts", () => {
  fc.assert(
    fc.property(STEPS, fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.boolean())), (
      steps,
      cuts,
    ) => {
      const entries = toEntries(steps);
      const model = new Model();
      const expected = entries.map(({ index, entry, right }) => model.step(index, entry, right));
      const whole = new Replica();
      const single = new Replica();
      const cut = new Replica();
      const found = whole.apply(entries);
      const foundSingly = entries.flatMap((entry) => single.apply([entry]));
      const foundInCuts: string[] = [];
      for (let at = 0, turn = 0; at < entries.length; turn++) {
        const [size, restarts] = cuts[turn % Math.max(1, cuts.length)] ?? [1, true];
        foundInCuts.push(...cut.apply(entries.slice(at, at + size)));
        at += size;
        if (restarts) cut.reload();
      }
      assert.deepEqual(found, expected);
      assert.deepEqual(foundSingly, expected);
      assert.deepEqual(foundInCuts, expected);
      for (const other of [single, cut]) {
        assert.deepEqual(new Map([...other.stored].sort()), new Map([...whole.stored].sort()));
        assert.deepEqual(other.applied, whole.applied);
      }
      whole.reload();
      assert.equal(whole.table.resultBytes, bytesOf(model.sessions));
      assert.equal(whole.table.size, model.sessions.length);
    }),
    { numRuns: PROPERTY_RUNS },
  );
});

test("property: no command of a session is applied twice, and none after it was acknowledged", () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      const entries = toEntries(steps);
      const replica = new Replica();
      const seen = new Set<string>();
      for (const { index, entry } of entries) {
        const [outcome] = replica.apply([{ index, entry }]);
        replica.reload();
        if (outcome !== "apply" || entry.kind !== "command") continue;
        const name = `${entry.session.index}/${entry.sequence}`;
        assert.ok(!seen.has(name), `${name} is applied twice`);
        seen.add(name);
      }
    }),
    { numRuns: PROPERTY_RUNS },
  );
});

test("property: what an entry does to sessions survives its encoding", () => {
  const bits48 = fc.nat({ max: 2 ** 31 - 1 }).chain((high) =>
    fc.constantFrom(0, 1, high, 2 ** 48 - 1, 2 ** 47 + high)
  );
  const key = fc.record({ index: fc.integer({ min: 1 }), nonce: bits48 });
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("open" as const), nonce: bits48, timeoutMs: fc.nat() }),
    fc.record({
      kind: fc.constant("command" as const),
      session: key,
      sequence: fc.integer({ min: 5 }),
      acknowledged: fc.nat(4),
    }),
    fc.record({ kind: fc.constantFrom("keep-alive" as const, "close" as const), session: key }),
  );
  fc.assert(fc.property(operation, fc.nat(), fc.nat(), (asked, sequence, term) => {
    const context = encodeSessionContext(asked, 7, 2 ** 48 - 1, sequence, term);
    // Without fast-check's null prototypes.
    assert.deepEqual(decodeSessionEntry(9, context), structuredClone(asked));
    assert.deepEqual(decodeProposalId(context), { origin: 7, epoch: 2 ** 48 - 1, sequence, term });
  }));
  assert.deepEqual(decodeSessionEntry(9, encodeSessionClock(12_345)), {
    kind: "clock",
    elapsedMs: 12_345,
  });
});

/** Opens a session at `index` in a table with the limits of every node. */
function openAt(table: SessionTable, index: number): void {
  const operation = { kind: "open", nonce: index, timeoutMs: 1_000 } as const;
  assert.equal(table.admit(createEntry({ index, term: 1 }), operation).type, "opened");
}

function command(table: SessionTable, index: number, session: number, sequence: number) {
  const entry = createEntry({ index, term: 1 });
  const key = { index: session, nonce: session };
  return table.admit(entry, { kind: "command", session: key, sequence, acknowledged: 0 });
}

test("one session too many ends the one that was used least recently", () => {
  const counters = createPeerCounters();
  const table = new SessionTable(new Map(), counters);
  for (let index = 1; index <= SESSIONS_MAX; index++) openAt(table, index);
  assert.equal(counters.sessionsEvicted, 0);
  assert.equal(command(table, SESSIONS_MAX + 1, 1, 1).type, "apply");
  openAt(table, SESSIONS_MAX + 2);
  assert.equal(table.size, SESSIONS_MAX);
  assert.equal(counters.sessionsEvicted, 1);
  assert.equal(command(table, SESSIONS_MAX + 3, 1, 1).type, "duplicate");
  assert.deepEqual(command(table, SESSIONS_MAX + 4, 2, 1), {
    type: "refused",
    reason: "SESSION_EXPIRED",
  });
});

test("a session keeps results up to its bytes, and a command beyond takes effect once all the same", () => {
  const counters = createPeerCounters();
  const table = new SessionTable(new Map(), counters);
  openAt(table, 1);
  for (const sequence of [1, 2, 3]) command(table, sequence + 1, 1, sequence);
  const most = new Uint8Array(SESSION_RESULT_BYTES_MAX - 1);
  table.record([most, Uint8Array.of(1), Uint8Array.of(1)]);
  assert.equal(table.resultBytes, SESSION_RESULT_BYTES_MAX);
  assert.equal(counters.sessionResultsForgotten, 1);
  const again = command(table, 9, 1, 3);
  assert.ok(again.type === "duplicate" && again.kept.bytes === undefined);
  const kept = command(table, 10, 1, 2);
  assert.ok(kept.type === "duplicate" && kept.kept.bytes?.length === 1);
});

test("the sessions of a region keep results up to their bytes", () => {
  const counters = createPeerCounters();
  const table = new SessionTable(new Map(), counters);
  const result = new Uint8Array(SESSION_RESULT_BYTES_MAX);
  const count = SESSIONS_RESULT_BYTES_MAX / SESSION_RESULT_BYTES_MAX;
  for (let session = 1; session <= count + 1; session++) {
    openAt(table, session);
    command(table, 1_000 + session, session, 1);
    table.record([session <= count ? result : Uint8Array.of(1)]);
  }
  assert.equal(table.resultBytes, SESSIONS_RESULT_BYTES_MAX);
  assert.equal(counters.sessionResultsForgotten, 1);
});

test("an operation of a later version stops the replica instead of being skipped", () => {
  const context = encodeSessionClock(1);
  context[27] = 77;
  assert.throws(() => decodeSessionEntry(9, context), { code: "ENVELOPE" });
  assert.throws(() => decodeSessionEntry(9, encodeSessionClock(1).slice(0, 30)), {
    code: "ENVELOPE",
  });
});

test("sessions that were kept by a later version stop the replica", () => {
  const nodeState = new Map([["session/5", new Uint8Array(50).fill(9)]]);
  assert.throws(() => new SessionTable(nodeState, createPeerCounters()), { code: "ENVELOPE" });
});

test("a node's own state without sessions is an empty table", () => {
  const nodeState = new Map([["member/1", new Uint8Array(3)]]);
  const table = new SessionTable(nodeState, createPeerCounters());
  assert.equal(table.size, 0);
  assert.equal(table.nowMs, 0);
});
