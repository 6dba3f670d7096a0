import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApplyBatch, SessionOperation } from "../../src/node/mod.ts";
import { type ConfState, createConfState, type RaftLogEntry } from "../../src/raft/mod.ts";
import { Coverage } from "../../src/sim/mod.ts";
import { KeptResults } from "../../src/sim/kept_results.ts";
import { type Attempt, RegionTruth } from "../../src/sim/region_truth.ts";
import { SessionTruth } from "../../src/sim/session_truth.ts";

const TEN_BYTES = "12345678";
const VOTERS: ConfState = createConfState({ voters: [1, 2, 3] });

test("results are kept as long as their session and all sessions have room", () => {
  const kept = new KeptResults({ sessionResultBytesMax: 20, resultBytesMax: 30 });
  for (const [session, index] of [[1, 3], [1, 4], [1, 5], [2, 6], [2, 7]]) {
    kept.add(session, index);
    kept.settle(index, TEN_BYTES);
  }
  assert.deepEqual([3, 4, 5, 6, 7].filter((index) => kept.has(index)), [3, 4, 6]);
});

test("room is made at the place in the log where results are released", () => {
  const kept = new KeptResults({ sessionResultBytesMax: 20, resultBytesMax: 20 });
  kept.add(1, 3);
  kept.add(1, 4);
  kept.add(1, 5);
  kept.release(1, [3]);
  kept.add(1, 6);
  kept.release(1, [4, 5, 6]);
  kept.add(1, 7);
  for (const index of [3, 4, 5, 6, 7]) kept.settle(index, TEN_BYTES);
  assert.deepEqual([3, 4, 5, 6, 7].filter((index) => kept.has(index)), [3, 4, 6, 7]);
});

/** A region in which a client opened a session and sent the same command twice. */
class Repeated {
  readonly truth: RegionTruth;
  readonly attempts: Attempt[] = [];
  #last = 1;

  constructor(sessionResultBytesMax: number) {
    const limits = { sessionsMax: 3, sessionResultBytesMax, resultBytesMax: 1000 };
    this.truth = new RegionTruth(1, VOTERS, new SessionTruth(new Coverage(), limits));
    this.#commit({ kind: "open", nonce: 9, timeoutMs: 1000 });
    const command: SessionOperation = {
      kind: "command",
      session: { index: 2, nonce: 9 },
      sequence: 1,
      acknowledged: 0,
    };
    const first = this.#commit(command);
    const batch = { commands: [{ index: first.index, term: 1, bytes: first.command }] };
    const applied = { ...batch, lastApplied: first.index } as unknown as ApplyBatch;
    this.truth.checkState(applied, [TEN_BYTES], 5);
    this.#commit(command);
  }

  #commit(operation: SessionOperation): RaftLogEntry {
    const attempt = this.truth.propose(new Uint8Array(1), operation);
    const index = ++this.#last;
    const { command } = attempt;
    const entry: RaftLogEntry = { index, term: 1, type: "normal", command, context: undefined };
    this.truth.written(entry, 1);
    this.truth.commits(index, 1);
    this.attempts.push(attempt);
    return entry;
  }
}

test("a result that had to be kept must not be forgotten", () => {
  const { truth, attempts } = new Repeated(10);
  assert.throws(() => truth.refused(attempts[2], "RESULT_FORGOTTEN"), /exactly-once/);
  truth.answered(attempts[2], 3, TEN_BYTES, true);
});

test("a result that was too large to be kept must not be known", () => {
  const { truth, attempts } = new Repeated(9);
  assert.throws(() => truth.answered(attempts[2], 3, TEN_BYTES, true), /exactly-once/);
  truth.refused(attempts[2], "RESULT_FORGOTTEN");
});
