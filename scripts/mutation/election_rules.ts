/**
 * Rules of elections, terms and roles (Raft §5.1, §5.2, §5.4.1; thesis §3.10, §6, §9.6).
 *
 * @module
 */

import { type Rule, rulesOf } from "./rule.ts";

export const ELECTION_RULES: readonly Rule[] = [
  ...rulesOf("roles/election.ts", [
    [
      "votes for every candidate of a term",
      "const canVote = raft.vote === message.from ||",
      "const canVote = message.term === raft.term ||",
    ],
    [
      "votes although the term has a leader",
      "(raft.vote === NO_PEER && raft.leader === NO_PEER)",
      "(raft.vote === NO_PEER)",
    ],
    [
      "votes for a candidate with a shorter log",
      "raft.log.isUpToDate(message.logTerm, message.index) &&",
      "",
    ],
    ["does not remember its vote", "raft.vote = message.from;", ""],
    ["counts a pre-vote as its vote", "if (!preVote) {", "if (raft) {"],
    [
      "grants a pre-vote for a term in which it has voted for another",
      "(preVote && message.term > raft.term)",
      "preVote",
    ],
    [
      "answers a granted pre-vote in its own term",
      "raft.send({ type, to: message.from, term: message.term });",
      "raft.send({ type, to: message.from, term: raft.term });",
    ],
    [
      "does not restart its timeout when it votes",
      "raft.electionElapsed = 0;\n      raft.vote",
      "raft.vote",
    ],
    [
      "campaigns with committed configuration changes to apply",
      "} else if (hasUnappliedConfChange(raft, raft.log.applied)) {",
      "} else if (raft.term < 0) {",
    ],
    [
      "campaigns beyond the last term",
      "raft.term >= TERM_MAX || raft.log.lastIndex() >= INDEX_MAX",
      "raft.log.lastIndex() >= INDEX_MAX",
    ],
    [
      "campaigns with a full log",
      "raft.term >= TERM_MAX || raft.log.lastIndex() >= INDEX_MAX",
      "raft.term >= TERM_MAX",
    ],
    [
      "ignores the leader's lease",
      "return raft.config.checkQuorum && raft.leader !== NO_PEER &&",
      "return raft.term < 0 &&",
    ],
    [
      "keeps the lease for its own randomized timeout",
      "raft.electionElapsed < raft.config.electionTick;",
      "raft.electionElapsed < raft.randomizedElectionTimeout;",
    ],
    ["keeps a lease without check-quorum", "return raft.config.checkQuorum &&", "return"],
    [
      "enters a new term for a pre-vote",
      'if (reason === "pre-election") becomePreCandidate(raft);\n  else becomeCandidate(raft);',
      "becomeCandidate(raft);",
    ],
    [
      "claims every campaign to be a transfer",
      'reason === "transfer" ? TRANSFER_CONTEXT : undefined',
      "TRANSFER_CONTEXT",
    ],
    [
      "asks only the incoming voters for their vote",
      "raft.tracker.voters.ids()",
      "raft.tracker.voters.incoming.ids",
    ],
    [
      "goes on with a lost campaign",
      '} else if (result === "lost") {',
      "} else if (raft.term < 0) {",
    ],
    [
      "votes for a lower priority",
      "return raft.priority <= message.priority ||",
      "return true ||",
    ],
    [
      "refuses a longer log of a lower priority",
      "raft.priority <= message.priority || message.index > raft.log.lastIndex()",
      "raft.priority <= message.priority",
    ],
    [
      "believes commit indices in votes when not told to",
      "if (!raft.config.commitByVote || message.commitTerm === 0 ||",
      "if (message.commitTerm === 0 ||",
    ],
    [
      "tells commit indices in votes when not told to",
      "raft.config.commitByVote ? raft.log.term(commit) : undefined",
      "raft.log.term(commit)",
    ],
    [
      "goes on with a campaign whose quorum may be another",
      'if (raft.role !== "follower" && hasUnappliedConfChange(raft, before)) {',
      "if (raft.term < 0) {",
    ],
  ]),
  ...rulesOf("roles/candidate.ts", [
    [
      "counts a stale pre-vote as a vote",
      'if (raft.role === "precandidate") handleVoteResponse',
      "handleVoteResponse",
    ],
    [
      "does not yield to a leader of its term",
      "becomeFollower(raft, message.term, message.from);",
      "",
    ],
    [
      "takes proposals without a leader",
      'return new ProposalDroppedError("no leader is known");',
      "return undefined;",
    ],
  ]),
  ...rulesOf("roles/roles.ts", [
    ["votes for nobody as a candidate", "raft.vote = raft.id;", ""],
    [
      "leads without an entry of its own term",
      "if (!raft.appendEntries([createEntry({})])) {",
      "if (raft.term < 0) {",
    ],
    [
      "takes a configuration change before the log it inherited is applied",
      "raft.pendingConfIndex = raft.log.lastIndex();",
      "",
    ],
    [
      "keeps its leader as a pre-candidate",
      "raft.leader = NO_PEER;\n  raft.config.logger.info(`${raft.id} became pre-candidate",
      "raft.config.logger.info(`${raft.id} became pre-candidate",
    ],
    [
      "asks for a snapshot as a candidate",
      "raft.vote = raft.id;\n  raft.pendingRequestSnapshot = 0;",
      "raft.vote = raft.id;",
    ],
  ]),
  ...rulesOf("step.ts", [
    [
      "does not step down for a later term",
      "becomeFollower(raft, term, fromLeader ? from : NO_PEER);",
      "",
    ],
    ["takes whoever has a later term for a leader", "fromLeader ? from : NO_PEER", "from"],
    [
      "enters the term of a pre-vote",
      'if (type === "pre-vote" || (type',
      "if ((type",
    ],
    [
      "enters the term of a granted pre-vote",
      'if (type === "pre-vote" || (type === "pre-vote-response" && !message.reject)) return true;',
      'if (type === "pre-vote") return true;',
    ],
    [
      "handles messages of earlier terms",
      "handleLowerTerm(raft, message);\n    return undefined;",
      "handleLowerTerm(raft, message);",
    ],
    [
      "keeps a new term from a deposed leader",
      "if ((checkQuorum || preVote) &&",
      "if (raft.term < 0 &&",
    ],
    [
      "leaves a candidate from the past without an answer",
      "refusePreVote(raft, message);",
      "",
    ],
    [
      "lets the lease stop a transfer",
      "!isTransferVote(message) && isInLease(raft)",
      "isInLease(raft)",
    ],
  ]),
  ...rulesOf("tick.ts", [
    [
      "campaigns after the shortest timeout",
      "raft.electionElapsed >= raft.randomizedElectionTimeout",
      "raft.electionElapsed >= raft.config.electionTick",
    ],
    ["never checks its quorum", "if (raft.config.checkQuorum) checkQuorum(raft);", ""],
    [
      "never gives up a transfer",
      "  raft.leadTransferee = NO_PEER;",
      "",
    ],
    [
      "stays in a joint configuration after a failed transfer",
      "  leaveJointAutomatically(raft);",
      "",
    ],
    [
      "sends heartbeats at every tick",
      "raft.heartbeatElapsed >= raft.config.heartbeatTick",
      "raft.heartbeatElapsed >= 1",
    ],
  ]),
  ...rulesOf("raft.ts", [
    [
      "lets a learner campaign",
      "self !== undefined && !self.isLearner &&",
      "self !== undefined &&",
    ],
    [
      "campaigns with a snapshot to apply",
      "&& this.log.unstable.snapshot === undefined;",
      ";",
    ],
    [
      "forgets its vote within a term",
      "if (this.term !== term) {\n      this.term = term;",
      "{\n      this.term = term;",
    ],
    ["keeps its vote over terms", "      this.vote = NO_PEER;\n", ""],
    [
      "waits the same timeout in every term",
      "this.drawElectionTimeout();\n    this.leadTransferee",
      "this.leadTransferee",
    ],
    [
      "transfers leadership that it has lost",
      "this.leadTransferee = NO_PEER;\n    this.tracker.resetVotes();",
      "this.tracker.resetVotes();",
    ],
    [
      "counts votes of an earlier campaign",
      "this.tracker.resetVotes();\n    const lastIndex",
      "const lastIndex",
    ],
    [
      "lets a vote leave before it is durable",
      'if (type === "append-response" || type === "vote-response" || type',
      'if (type === "append-response" || (type === "vote-response" && message.to === this.id) || type',
    ],
    [
      "lets an acknowledgement leave before it is durable",
      'if (type === "append-response" ||',
      'if ((type === "append-response" && message.to === this.id) ||',
    ],
    [
      "forgets at a restart what it voted",
      "this.vote = state.votedFor;",
      "",
    ],
  ]),
  ...rulesOf("roles/leader.ts", [
    [
      "leads on without a quorum",
      "if (!raft.tracker.isQuorumActive()) {",
      "if (raft.term < 0) {",
    ],
    [
      "counts an old sign of life for ever",
      "if (peer.id !== raft.id) peer.recentActive = false;",
      "",
    ],
    [
      "hands over to a peer that has not everything",
      "if (target.matchIndex === raft.log.lastIndex()) {",
      "if (raft) {",
    ],
    [
      "tells the transferee to campaign at its first word",
      "peer.id === raft.leadTransferee && peer.matchIndex === raft.log.lastIndex()",
      "peer.id === raft.leadTransferee",
    ],
    ["hands over to a learner", "if (target.isLearner || target", "if (target"],
    [
      "gives a transfer more time when asked again",
      "target.isLearner || target.id === raft.leadTransferee",
      "target.isLearner",
    ],
    [
      "does not time a transfer from its beginning",
      "raft.electionElapsed = 0;",
      "",
    ],
    [
      "keeps an earlier transfer when asked to stay",
      "raft.leadTransferee = NO_PEER;\n  if (target.id === raft.id) return;",
      "if (target.id === raft.id) return;",
    ],
  ]),
];
