/**
 * Promises of disk, storage, state machine and operator, broken: that they are broken must show.
 *
 * @module
 */

import { type Rule, rulesOf } from "../../mutation/rule.ts";

/** Files are from `src`. */
export const WORLD_MUTANTS: readonly Rule[] = [
  ...rulesOf("sim/disk.ts", [
    [
      "the disk reports writes before they are durable",
      "    this.#waiting.push(write);",
      "    this.#waiting.push({ commit: write.commit, done: () => {} });\n    this.#world.schedule(0, write.done);",
    ],
    [
      "a failed write is taken for done",
      "if (failure !== undefined) return this.#fail(failure);",
      "if (failure !== undefined) this.#underWay = this.#underWay!.map(({ done }) => ({ commit: () => {}, done }));",
    ],
    [
      "the last write of a transaction lands without the others",
      "for (const write of lost) write.commit();",
      "lost[lost.length - 1].commit();",
    ],
  ]),
  ...rulesOf("sim/log_image.ts", [
    [
      "the storage forgets the vote",
      "this.hardState = commitIndex === hardState.commitIndex\n      ? hardState",
      "this.hardState = commitIndex === hardState.commitIndex\n      ? { ...hardState, votedFor: 0 }",
    ],
    ["the storage keeps what a write replaces", "this.entries.length = kept;", ""],
    [
      "the storage keeps what a snapshot replaces",
      "    this.entries = [];\n    this.truncatedIndex = index;",
      "    this.truncatedIndex = index;",
    ],
    [
      "the storage forgets the configuration",
      "    this.confStateIndex = index;\n    this.#commit(index);\n  }\n\n  /** Discards",
      "    this.confStateIndex = index;\n    this.confState = { ...confState, voters: confState.voters.slice(0, 1) };\n    this.#commit(index);\n  }\n\n  /** Discards",
    ],
    [
      "compaction takes one entry too many",
      "this.entries.splice(0, index - this.truncatedIndex);",
      "this.entries.splice(0, index - this.truncatedIndex + 1);",
    ],
  ]),
  ...rulesOf("sim/replica.ts", [
    ["damage of the disk goes unnoticed", "if (!this.#isIntact()) return false;", ""],
    [
      "a snapshot says more than its state holds",
      "const metadata = { index, term: image.term(index), confState: image.confState };",
      "const metadata = { index: image.lastIndex, term: image.term(image.lastIndex), confState: image.confState };",
    ],
    [
      "the state machine is not restored from the stored snapshot",
      "if (snapshot !== undefined && state.lastApplied() < snapshot.metadata.index) {",
      "if (snapshot !== undefined && this.seenTerm < 0) {",
    ],
  ]),
  ...rulesOf("sim/faults.ts", [
    [
      "the log is compacted beyond what the state machine would keep",
      "const { durableIndex, written } = replica;",
      "const { written } = replica;\n      const durableIndex = replica.machine.lastApplied();",
    ],
  ]),
  ...rulesOf("sim/kv_machine.ts", [
    [
      "the state machine depends on the batch",
      "this.#lastApplied = batch.lastApplied;\n    return results;",
      "this.#lastApplied = batch.lastApplied;\n    if (batch.commands.length > 2) this.#digest ^= 1;\n    return results;",
    ],
    [
      "the state machine loses a field in a snapshot",
      "words.set([key, value, version, create, modify], 1 + at * PAIR_WORDS);",
      "words.set([key, value, 0, create, modify], 1 + at * PAIR_WORDS);",
    ],
  ]),
];
