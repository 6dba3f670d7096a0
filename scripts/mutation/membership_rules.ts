/**
 * Rules of quorums, configuration changes, reads, and of what is refused (Raft §6, §8; thesis §4, §6.4).
 *
 * @module
 */

import { type Rule, rulesOf } from "./rule.ts";

export const MEMBERSHIP_RULES: readonly Rule[] = [
  ...rulesOf("quorum/majority.ts", [
    [
      "takes half of the voters for a majority",
      "return (this.ids.length >> 1) + 1;",
      "return (this.ids.length + 1) >> 1;",
    ],
    [
      "commits what one group holds",
      "return { index: Math.min(voter.index, quorumIndex), byGroups: true };",
      "return { index: quorumIndex, byGroups: true };",
    ],
    [
      "does not wait for voters without a group",
      "ungrouped ? voters[voters.length - 1].index : quorumIndex",
      "quorumIndex",
    ],
    [
      "takes missing votes for refusals",
      'return granted + missing >= this.size ? "pending" : "lost";',
      'return missing > this.size ? "pending" : "lost";',
    ],
  ]),
  ...rulesOf("quorum/joint.ts", [
    [
      "commits without the outgoing majority",
      "return Math.min(incoming, this.outgoing.committedIndex(acked));",
      "return incoming;",
    ],
    [
      "commits by groups without the outgoing majority",
      "index: Math.min(incoming.index, outgoing.index),",
      "index: incoming.index,",
    ],
    [
      "elects without the outgoing majority",
      'return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";',
      "return incoming;",
    ],
  ]),
  ...rulesOf("replication/tracker.ts", [
    [
      "counts learners in the quorum",
      "new MajorityQuorum(confState.voters)",
      "new MajorityQuorum([...confState.voters, ...confState.learners])",
    ],
    ["lets a voter change its answer", "if (!this.#votes.has(id)) this", "this"],
    ["ignores commit groups", "return this.groupCommit\n", "return this.#peers.length < 0\n"],
    [
      "takes a joint configuration of one incoming voter for a single voter",
      "this.#confState.voters.length === 1 && this.#confState.votersOutgoing.length === 0",
      "this.#confState.voters.length === 1",
    ],
  ]),
  ...rulesOf("membership/changer.ts", [
    [
      "changes two voters without a joint configuration",
      "symmetricDifference(from.confState.voters, draft.incoming) > 1",
      "symmetricDifference(from.confState.voters, draft.incoming) > 2",
    ],
    [
      "removes the last voter",
      'if (this.incoming.size === 0) throw new ConfChangeError("removed all voters");',
      "",
    ],
    [
      "enters a joint configuration from a joint one",
      'if (draft.isJoint()) throw new ConfChangeError("config is already joint");',
      "",
    ],
    [
      "makes simple changes in a joint configuration",
      "if (draft.isJoint()) {\n    throw new ConfChangeError(\"can't apply simple",
      "if (draft.incoming.size < 0) {\n    throw new ConfChangeError(\"can't apply simple",
    ],
    [
      "demotes a voter before the joint configuration is left",
      "if (this.outgoing.has(id)) {\n      this.learnersNext.add(id);",
      "if (this.outgoing.size < 0) {\n      this.learnersNext.add(id);",
    ],
    [
      "forgets an outgoing voter at once",
      "if (!this.outgoing.has(id)) this.progress.delete(id);",
      "this.progress.delete(id);",
    ],
    [
      "keeps those that are in neither half",
      "if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id);",
      "",
    ],
    [
      "changes what it was given",
      "this.progress.set(id, state.copy());",
      "this.progress.set(id, state);",
    ],
    [
      "lets a new voter depose the leader",
      "state.recentActive = true;\n    this.progress.set(id, state);",
      "this.progress.set(id, state);",
    ],
    ["takes a voided step for a peer", "if (peerId === 0) continue;", ""],
    [
      "makes every joint configuration wait for the application",
      'transition !== "joint-explicit", changes',
      "false, changes",
    ],
    [
      "uses joint consensus for a single step",
      'if (transition === "auto" && changes.length === 1) return applySimple(from, changes, peers);',
      "",
    ],
  ]),
  ...rulesOf("membership/restore.ts", [
    [
      "restores a learner that votes",
      'if (learners.some(isVoter)) throw invalid("a learner is also a voter");',
      "",
    ],
    [
      "restores a joint configuration without incoming voters",
      'if (voters.length === 0) throw invalid("a joint configuration needs incoming voters");',
      "",
    ],
    [
      "does not know outgoing voters after a restart",
      "for (const id of confState.votersOutgoing) add(id, false);",
      "",
    ],
  ]),
  ...rulesOf("membership/codec.ts", [
    [
      "confuses removing and adding a learner",
      '["add-node", "remove-node", "add-learner"]',
      '["add-node", "add-learner", "remove-node"]',
    ],
    [
      "reads numbers beyond 2^53-1 as something else",
      'if (!Number.isSafeInteger(value)) throw malformed("number beyond 2^53-1");',
      "",
    ],
    [
      "reads past the end of a field",
      'if (end > this.#bytes.length) throw malformed("truncated field");',
      "",
    ],
  ]),
  ...rulesOf("roles/proposing.ts", [
    [
      "takes a second change before the first is applied",
      "if (pendingConfIndex > applied) {",
      "if (applied < 0) {",
    ],
    ["does not note a change as pending", "raft.pendingConfIndex = pendingConfIndex;", ""],
    [
      "takes proposals while leadership is being transferred",
      'if (raft.leadTransferee !== 0) return new ProposalDroppedError("leadership is being transferred");',
      "",
    ],
    [
      "takes proposals after its removal",
      'if (raft.self() === undefined) return new ProposalDroppedError("not a member any more");',
      "",
    ],
    ["appends changes that do not fit", "return misfit(raft, change);", "return undefined;"],
    [
      "appends bytes that are no change",
      "if (change instanceof ConfChangeError) return change;",
      "if (change instanceof ConfChangeError) continue;",
    ],
    [
      "drops a refused change with its place",
      "entries = entries.with(i, createEntry({}));",
      "entries = entries.filter((_, at) => at !== i);",
    ],
    [
      "leaves a configuration that is not joint",
      'if (!raft.tracker.isJoint() && leaves) return "not in a joint configuration";\n',
      "",
    ],
  ]),
  ...rulesOf("roles/committing.ts", [
    [
      "leaves a joint configuration before it is applied",
      "if (raft.log.applied < raft.pendingConfIndex) return;",
      "",
    ],
    [
      "never leaves a joint configuration by itself",
      'if (raft.role !== "leader" || !raft.tracker.confState.autoLeave) return;',
      "if (raft.term >= 0) return;",
    ],
    [
      "leaves an explicit joint configuration by itself",
      "!raft.tracker.confState.autoLeave) return;",
      "!raft.tracker.isJoint()) return;",
    ],
    [
      "leaves a joint configuration while leadership is being transferred",
      "if (raft.self() === undefined || raft.leadTransferee !== NO_PEER) return;",
      "if (raft.self() === undefined) return;",
    ],
    [
      "does not tell its peers what is committed",
      "broadcastAppend(raft);\n  return true;",
      "return true;",
    ],
    ["never releases postponed reads", "releasePostponedReads(raft);", ""],
    ["takes a snapshot for applied that is not", "raft.log.unstable.stableSnapshotTo(index);", ""],
  ]),
  ...rulesOf("roles/reconfiguring.ts", [
    [
      "does not see what a smaller quorum has committed",
      "if (!advanceCommit(raft)) {",
      "if (raft) {",
    ],
    ["leaves new peers waiting", "if (peer.id !== raft.id) sendAppend(raft, peer, false);", ""],
    [
      "leads on after its removal when told to step down",
      "if (raft.config.stepDownOnRemoval) becomeFollower(raft, raft.term, NO_PEER);",
      "",
    ],
    [
      "steps down at its removal when not told to",
      "if (raft.config.stepDownOnRemoval) becomeFollower",
      "becomeFollower",
    ],
    ["transfers leadership to a removed peer", "    raft.leadTransferee = NO_PEER;\n", ""],
    [
      "aborts a transfer at any change",
      "if (raft.leadTransferee !== NO_PEER && !raft.tracker.voters.has(raft.leadTransferee)) {",
      "if (raft.leadTransferee !== NO_PEER) {",
    ],
  ]),
  ...rulesOf("roles/reading.ts", [
    [
      "serves reads before its term's first commit",
      "if (raft.hasCommittedInTerm()) confirmRead(raft, message);",
      "if (raft) confirmRead(raft, message);",
    ],
    [
      "serves reads without a quorum",
      "const decidesAlone = raft.tracker.isSingleton() && raft.tracker.voters.has(raft.id);",
      "const decidesAlone = true;",
    ],
    [
      "serves reads for the one voter that it is not",
      "raft.tracker.isSingleton() && raft.tracker.voters.has(raft.id)",
      "raft.tracker.isSingleton()",
    ],
    [
      "waits for a quorum although it has a lease",
      'if (decidesAlone || raft.config.readOnly === "lease-based") {',
      "if (decidesAlone) {",
    ],
    [
      "serves a follower's read itself",
      "request.from === NO_PEER || request.from === raft.id",
      "request.from >= 0",
    ],
  ]),
  ...rulesOf("read_only.ts", [
    [
      "believes positions that it never issued",
      "if (position === undefined || position > this.#issued) return;",
      "if (position === undefined) return;",
    ],
    [
      "lets an old echo take back a newer one",
      "if (position > (this.#acked.get(from) ?? 0)) this",
      "this",
    ],
    ["does not count itself for reads", "this.#acked.set(self, this.#issued);", ""],
    [
      "confirms every waiting read by any echo",
      "this.#unconfirmed.splice(0, confirmed - this.#confirmed)",
      "this.#unconfirmed.splice(0)",
    ],
  ]),
  ...rulesOf("raft.ts", [
    [
      "serves reads of an earlier term",
      "this.uncommittedSize = 0;\n    this.readOnly = new ReadOnly();",
      "this.uncommittedSize = 0;",
    ],
  ]),
  ...rulesOf("message_check.ts", [
    [
      "takes an answer in its own name",
      "if (message.reject && message.from === raft.id) return OF_ITSELF;",
      "",
    ],
    [
      "takes an acknowledgement of what it does not have",
      "if (!message.reject && message.index > lastIndex) {",
      "if (lastIndex < 0) {",
    ],
    [
      "takes a log with a gap",
      "if (entry.index !== index + 1 + i) {",
      "if (entry.index < 0) {",
    ],
    [
      "takes a log whose terms fall",
      "entry.term < previousTerm || entry.term > term",
      "entry.term > term",
    ],
    [
      "commits by heartbeat what it does not have",
      "if (term < raft.term || commit <= lastIndex) return undefined;",
      "if (lastIndex >= 0) return undefined;",
    ],
    [
      "takes a message without a term",
      'return message.term === 0 ? "the term is missing" : undefined;',
      "return undefined;",
    ],
    [
      "does not check an acknowledgement without a term",
      "message.term === raft.term || message.term === 0",
      "message.term === raft.term",
    ],
    [
      "takes a term after which no election is possible",
      "(message.term > TERM_MAX",
      "(message.term < 0",
    ],
    [
      "takes an answer of the storage to what was not asked",
      "if (wrong !== undefined || last.index <= raft.log.applying) return wrong;",
      "if (wrong !== undefined || last.index <= raft.log.committed) return wrong;",
    ],
    [
      "takes a number that is none",
      "return Number.isSafeInteger(value) && value >= 0\n",
      "return value >= 0\n",
    ],
  ]),
  ...rulesOf("raw_node.ts", [
    ["takes local messages from peers", "if (LOCAL_TYPES.has(type) || STORAGE", "if (STORAGE"],
    [
      "takes answers from strangers",
      "if (RESPONSE_TYPES.has(type) && this.#raft.tracker.get(from) === undefined) {",
      "if (this.#raft.term < 0) {",
    ],
    [
      "does not ask to sync a vote",
      "raft.vote !== this.#hardState.votedFor,\n    };",
      "raft.vote < 0,\n    };",
    ],
    [
      "does not ask to sync entries",
      "mustSync: write.entries.length > 0 || raft.term",
      "mustSync: raft.term",
    ],
    [
      "sends twice what waited for the disk",
      "raft.messagesAfterAppend = [];\n    raft.log",
      "raft.log",
    ],
    [
      "hands out committed entries again",
      "raft.log.acceptApplying(last.index, entriesSize(committedEntries), !this.#async);",
      "",
    ],
    [
      "does not see that its commit index is to be saved",
      "raft.log.committed === saved.commitIndex",
      "saved.commitIndex >= 0",
    ],
    [
      "asks for a snapshot of a term whose entries it lacks",
      ": raft.log.lastTerm() !== raft.term\n",
      ": raft.term < 0\n",
    ],
  ]),
  ...rulesOf("config.ts", [
    [
      "serves reads by a lease that nobody keeps",
      'if (checked.readOnly === "lease-based" && !checked.checkQuorum) {',
      "if (checked.electionTick < 0) {",
    ],
  ]),
];
