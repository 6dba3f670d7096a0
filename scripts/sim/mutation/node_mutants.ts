/**
 * Rules of the node room, broken: how a peer writes, applies, proposes, reads and installs.
 *
 * @module
 */

import { type Rule, rulesOf } from "../../mutation/rule.ts";

/** Files are from `src`. */
export const NODE_MUTANTS: readonly Rule[] = [
  ...rulesOf("node/append_queue.ts", [
    [
      "acknowledges before the write is durable",
      "appends.push(this.#start(write, responses));\n    return NO_RESPONSES;",
      "appends.push(this.#start(write, NO_RESPONSES));\n    return responses;",
    ],
    [
      "acknowledges what needs no write before the writes under way are durable",
      "return this.#afterPending(responses);",
      "return responses;",
    ],
    ["loses the vote", "votedFor: message.vote,", "votedFor: 0,"],
    ["loses the term", "currentTerm: message.term,", "currentTerm: Math.min(message.term, 1),"],
    [
      "takes a new vote for old news",
      "hardState.currentTerm === this.#handedOut.currentTerm &&\n      hardState.votedFor === this.#handedOut.votedFor",
      "hardState.currentTerm === this.#handedOut.currentTerm",
    ],
  ]),
  ...rulesOf("node/core_output.ts", [
    [
      "asks for votes before its own is durable",
      "of waitForTerm(ready.messages)",
      "of ready.messages",
    ],
    [
      "applies to the state machine what a snapshot includes",
      "applies.supersede(message.snapshot.metadata.index);",
      "",
    ],
  ]),
  ...rulesOf("node/peer.ts", [
    [
      "believes to know what became of proposals that a snapshot may include",
      "this.#proposals.forgetCertainty();",
      "",
    ],
  ]),
  ...rulesOf("node/apply_queue.ts", [
    [
      "applies the last entry of a batch twice",
      "this.#entries = this.#entries.slice(end);",
      "this.#entries = this.#entries.slice(end - 1);",
    ],
    [
      "lets the state machine pass a configuration that is not saved",
      "this.#savingConfiguration = true;",
      "",
    ],
    [
      "applies configuration changes again after a restart",
      "this.#confStateIndex = confStateIndex;",
      "this.#confStateIndex = Math.min(confStateIndex, 1);",
    ],
    [
      "skips commands without bytes",
      "entry.context !== undefined || entry.command.length > 0",
      "entry.command.length > 20",
    ],
  ]),
  ...rulesOf("node/forwarded.ts", [
    [
      "appends a repeated proposal again",
      "this.#window(id)?.accept(id.sequence) === true;",
      "this.#window(id) !== undefined;",
    ],
    [
      "appends a proposal that was meant for another term",
      "id.term === this.#term && this",
      "this",
    ],
  ]),
  ...rulesOf("node/proposals.ts", [
    [
      "gives up a proposal too early",
      "if (proposal.term >= appliedTerm) continue;",
      "if (proposal.term > appliedTerm) continue;",
    ],
    [
      "says that a proposal under way has no effect when it expires",
      'new TimedOutError("proposal", map === this.#handedOut)',
      'new TimedOutError("proposal", false)',
    ],
    [
      "says that a proposal under way has no effect when it stops",
      "new StoppedError(map === this.#handedOut, { cause })",
      "new StoppedError(false, { cause })",
    ],
    [
      "answers proposals of an earlier incarnation",
      "if (id.epoch !== this.#options.epoch) return undefined;",
      "",
    ],
  ]),
  ...rulesOf("node/reads.ts", [
    [
      "serves reads before the state machine has caught up",
      "if (index > lastApplied) continue;",
      "",
    ],
    [
      "takes the answer to an abandoned round",
      "if (round === undefined || decodeReadRound(state.context, this.#epoch) !== round.number) return;",
      "if (round === undefined) return;",
    ],
    [
      "takes new reads into the round under way",
      "if (this.#round !== undefined || this.#waiting.length === 0) return;",
      "if (this.#round !== undefined) this.#round.reads.push(...this.#waiting.splice(0));\n    if (this.#round !== undefined || this.#waiting.length === 0) return;",
    ],
  ]),
  ...rulesOf("node/reads.ts", [
    [
      "never begins a round again that seems lost",
      "if (round.leader === leader && round.term === term && round.ticks < ROUND_TICKS) return;",
      "if (round.ticks >= 0) return;",
    ],
  ]),
  ...rulesOf("node/peer.ts", [
    [
      "describes a snapshot by a configuration that its state does not hold",
      "|| index < this.#applies.confStateIndex",
      "",
    ],
  ]),
  ...rulesOf("node/core_output.ts", [
    [
      "loses the snapshots that it keeps back while the disk hangs",
      'for (const { to } of kept) core.reportSnapshot(to, "failure");',
      "",
    ],
  ]),
  ...rulesOf("node/member_book.ts", [
    [
      "lets the id of a member that was removed come back",
      '(type === "add-node" || type === "add-learner") && this.#removed.has(peerId)',
      "this.#removed.has(peerId) && this.#removed.size < 0",
    ],
    [
      "forgets at a restart which ids are used",
      "if (key.startsWith(REMOVED)) this.#removed.add(Number(key.slice(REMOVED.length)));",
      "",
    ],
  ]),
  ...rulesOf("node/peer.ts", [
    [
      "keeps its members when it installs a snapshot",
      "this.#book?.replace(nodeState);",
      "",
    ],
  ]),
  ...rulesOf("node/member_changes.ts", [
    [
      "says that a change was made where another entry is",
      "const entry = entries.find(({ index }) => index === pending.index);",
      "const entry = entries[0];",
    ],
  ]),
  ...rulesOf("node/lost_voter.ts", [
    [
      "lets a voter without its data take part",
      "this.#hasLog = storage.lastIndex() > 0;\n  }",
      "this.#hasLog = true;\n  }",
    ],
    [
      "gives its vote without its data",
      'return this.#refuse("it is asked for its vote");',
      "return { message, refusal: undefined };",
    ],
  ]),
  ...rulesOf("wire/message.ts", [
    [
      "loses the commit index on the way",
      'commit = reader.uint("Message.commit");',
      'commit = reader.uint("Message.commit") & 15;',
    ],
    [
      "takes a refusal for an acknowledgement",
      'reject = reader.bool("Message.reject");',
      'reject = reader.bool("Message.reject") && index < 5;',
    ],
  ]),
  ...rulesOf("wire/entry.ts", [
    [
      "loses the contexts of entries",
      'context = reader.view("Entry.context");',
      'context = reader.view("Entry.context").subarray(0, 0);',
    ],
  ]),
  ...rulesOf("node/recovery.ts", [
    [
      "applies the last entry again after a restart",
      "return lastApplied;",
      "return Math.max(lastApplied - 1, firstIndex - 1);",
    ],
    [
      "skips an entry after a restart",
      "return lastApplied;",
      "return Math.min(lastApplied + 1, lastIndex);",
    ],
  ]),
];
