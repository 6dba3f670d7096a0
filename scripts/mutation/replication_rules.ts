/**
 * Rules of the log, its replication and snapshots (Raft §5.3, §5.4.2, §7; thesis §10.2.1).
 *
 * @module
 */

import { type Rule, rulesOf } from "./rule.ts";

export const REPLICATION_RULES: readonly Rule[] = [
  ...rulesOf("log/raft_log.ts", [
    [
      "appends after an entry that does not match",
      "if (!this.matchesTerm(previousIndex, previousTerm)) return undefined;",
      "if (previousIndex > this.lastIndex()) return undefined;",
    ],
    [
      "cuts off entries that it has already",
      "while (i < entries.length && this.matchesTerm(entries[i].index, entries[i].term)) i++;",
      "",
    ],
    [
      "keeps entries that conflict with the leader's",
      "this.matchesTerm(entries[i].index, entries[i].term)",
      "this.term(entries[i].index) !== undefined",
    ],
    [
      "commits beyond the last new entry",
      "this.commitTo(Math.min(commit, lastNew));",
      "this.commitTo(Math.min(commit, this.lastIndex()));",
    ],
    [
      "replaces committed entries",
      "if (entries[0].index <= this.#committed) {",
      "if (entries[0].index < 0) {",
    ],
    [
      "commits entries of older terms by counting",
      "index <= this.#committed || !this.matchesTerm(index, term)",
      "index <= this.#committed || index > this.lastIndex()",
    ],
    ["lowers its commit index", "if (index <= this.#committed) return;", ""],
    [
      "prefers the longer log to the later term",
      "return lastTerm > ourTerm || (lastTerm === ourTerm && lastIndex >= this.lastIndex());",
      "return lastIndex > this.lastIndex() || (lastIndex === this.lastIndex() && lastTerm >= ourTerm);",
    ],
    [
      "takes any log of the same last term for up to date",
      "(lastTerm === ourTerm && lastIndex >= this.lastIndex())",
      "lastTerm === ourTerm",
    ],
    [
      "applies entries that are not stable although writes are asynchronous",
      "return Math.min(this.#committed, this.unstable.offset - 1);",
      "return this.#committed;",
    ],
    [
      "applies entries before the snapshot under them",
      "if (this.#applyingPaused || this.unstable.snapshot !== undefined) return false;",
      "if (this.#applyingPaused) return false;",
    ],
    [
      "hands out committed entries without a limit",
      "if (this.#applyingPaused || this",
      "if (this",
    ],
    [
      "reads unstable entries from storage",
      "const unstable = this.unstable.term(index);\n    if (unstable !== undefined) return unstable;",
      "",
    ],
    [
      "skips no term when it looks for the conflict",
      "if (ours <= term) return { index, term: ours };",
      "return { index, term: ours };",
    ],
    [
      "installs a snapshot without committing it",
      "this.#committed = snapshot.metadata.index;",
      "",
    ],
  ]),
  ...rulesOf("log/unstable.ts", [
    [
      "takes replaced entries for stable",
      "if (this.term(index) !== term) return;",
      "",
    ],
    [
      "takes entries for stable that were never written",
      "index < this.#offset || index >= this.#offsetInProgress",
      "index < this.#offset || index >= this.#offset + this.#entries.length",
    ],
    [
      "does not write what replaces entries under way",
      "this.#offsetInProgress = Math.min(this.#offsetInProgress, from);",
      "",
    ],
    [
      "does not write what replaces all entries under way",
      "this.#offset = from;\n      this.#offsetInProgress = from;",
      "this.#offset = from;",
    ],
    [
      "takes any snapshot's answer for that of the newest",
      "if (this.#snapshot?.metadata.index !== index) return;",
      "",
    ],
    [
      "writes a snapshot again and again",
      "return this.#snapshotInProgress ? undefined : this.#snapshot;",
      "return this.#snapshot;",
    ],
  ]),
  ...rulesOf("storage_messages.ts", [
    [
      "takes an old write's answer for the newest (ABA)",
      "from: APPEND_THREAD,\n    term: raft.term,",
      "from: APPEND_THREAD,\n    term: 0,",
    ],
    [
      "lets go of the tail only with the write of its own entries",
      "const hasTail = raft.log.unstable.length > 0;",
      "const hasTail = write.entries.length > 0;",
    ],
    [
      "acknowledges stability before its own entries are counted",
      "[...responses, acknowledgement]",
      "[acknowledgement, ...responses]",
    ],
    [
      "lets an answer overtake the writes before it",
      "write.snapshot !== undefined || raft.messagesAfterAppend.length > 0;",
      "write.snapshot !== undefined;",
    ],
    [
      "does not hand the vote to the append thread",
      "vote: write.hardState?.votedFor,",
      "",
    ],
  ]),
  ...rulesOf("step.ts", [
    [
      "forgets a snapshot whose answer comes in a later term",
      "// not count as stable. A snapshot is committed, whatever the term.\n    noteSnapshotApplied(raft, message.snapshot);",
      "",
    ],
    [
      "never frees the quota of proposals",
      "raft.uncommittedSize = Math.max(0, raft.uncommittedSize - commandsSize(entries));",
      "",
    ],
  ]),
  ...rulesOf("raft.ts", [
    [
      "takes proposals beyond the quota",
      "if (this.uncommittedSize > 0 && size > 0 && total > this.config.maxUncommittedSize) {",
      "if (this.term < 0) {",
    ],
    ["lets the quota block empty entries", "&& size > 0 && total", "&& total"],
    ["drops a large proposal on an empty tail", "if (this.uncommittedSize > 0 && size", "if (size"],
    [
      "appends beyond the last index",
      "if (lastIndex + proposed.length > INDEX_MAX) return false;",
      "",
    ],
    [
      "keeps what it knew about peers over terms",
      "peer.reset(lastIndex);",
      "",
    ],
    [
      "forgets at a restart what is committed",
      "this.log.commitTo(state.commitIndex);",
      "",
    ],
    [
      "starts with a log that lost committed entries",
      "if (state.commitIndex < committed || state.commitIndex > this.log.lastIndex()) {",
      "if (state.commitIndex > this.log.lastIndex()) state = { ...state, commitIndex: committed };\n    if (this.term < 0) {",
    ],
  ]),
  ...rulesOf("roles/follower.ts", [
    [
      "answers an append from before its commit index as a new one",
      "if (index < log.committed) {",
      "if (raft.term < 0) {",
    ],
    [
      "does not restart its timeout for its leader",
      "raft.electionElapsed = 0;\n      raft.leader = message.from;",
      "raft.leader = message.from;",
    ],
    [
      "does not note who leads",
      "raft.electionElapsed = 0;\n      raft.leader = message.from;",
      "raft.electionElapsed = 0;",
    ],
    [
      "does not learn the commit index from heartbeats",
      "raft.log.commitTo(message.commit);",
      "",
    ],
    [
      "does not echo the position of reads",
      'raft.send({ type: "heartbeat-response", to: message.from, context: message.context });',
      'raft.send({ type: "heartbeat-response", to: message.from });',
    ],
    [
      "forwards proposals when told not to",
      "if (raft.config.disableProposalForwarding) {",
      "if (raft.term < 0) {",
    ],
    [
      "forgets a leader whose lease serves reads",
      'if (raft.config.readOnly === "lease-based") {',
      "if (raft.term < 0) {",
    ],
    [
      "asks with pre-vote when the leader hands over",
      'startCampaign(raft, "transfer");',
      'startCampaign(raft, raft.config.preVote ? "pre-election" : "transfer");',
    ],
    [
      "appends although it asked for a snapshot",
      "if (raft.pendingRequestSnapshot !== 0) {\n    sendSnapshotRequest(raft);\n    return;\n  }\n  if (index",
      "if (index",
    ],
    [
      "answers heartbeats although it asked for a snapshot",
      'if (raft.pendingRequestSnapshot !== 0) {\n    sendSnapshotRequest(raft);\n    return;\n  }\n  raft.send({ type: "heartbeat',
      'raft.send({ type: "heartbeat',
    ],
    [
      "gives no hint where the logs may match",
      "rejectHint: hint.index,\n    logTerm: hint.term,",
      "rejectHint: index,",
    ],
  ]),
  ...rulesOf("roles/leader.ts", [
    [
      "goes on sending to an unreachable peer",
      'peer?.state === "replicate") peer.becomeProbe();',
      "peer === undefined) return;",
    ],
    ["takes a failed snapshot for one that arrived", "if (!ok) peer.pendingSnapshot = 0;", ""],
    [
      "sends at once after a snapshot's report",
      "peer.becomeProbe();\n  peer.appendPaused = true;",
      "peer.becomeProbe();",
    ],
    [
      "keeps a request for a snapshot after its report",
      "peer.appendPaused = true;\n  peer.pendingRequestSnapshot = 0;",
      "peer.appendPaused = true;",
    ],
    [
      "steps back one term's entry at a time",
      "const hint = message.logTerm > 0\n",
      "const hint = raft.term < 0\n",
    ],
    ["never frees the window", "peer.inflights.freeUpTo(index);", ""],
    [
      "leaves snapshot mode before the log can take over",
      "} else if (peer.matchIndex + 1 >= raft.log.firstIndex()) {",
      "} else if (raft) {",
    ],
    [
      "ignores the answer to a probe that brings nothing new",
      '(peer.state === "probe" || (peer',
      "((peer",
    ],
    [
      "waits for ever for a snapshot that brought nothing new",
      'peer.state === "probe" || (peer.state === "snapshot" && index >= peer.pendingSnapshot)',
      'peer.state === "probe"',
    ],
    [
      "sends a requested snapshot without end",
      "if (index >= peer.pendingRequestSnapshot) peer.pendingRequestSnapshot = 0;",
      "",
    ],
    [
      "never tries a paused peer again",
      "peer.appendPaused = false;\n  if (",
      "if (",
    ],
    [
      "sends one message although the window has room for more",
      "while (sendAppend(raft, peer, false));",
      "",
    ],
    [
      "lets a peer wait for the commit index until the next heartbeat",
      "peer.canRaiseCommit(raft.log.committed)",
      "raft.term < 0",
    ],
    [
      "keeps probing a peer that refused while replicating",
      'if (peer.state === "replicate") peer.becomeProbe();\n  sendAppend',
      "sendAppend",
    ],
    [
      "leaves a caught-up peer in probe mode",
      'peer.matchIndex < raft.log.lastIndex() || peer.state === "probe" ||',
      "peer.matchIndex < raft.log.lastIndex() ||",
    ],
  ]),
  ...rulesOf("roles/sending.ts", [
    [
      "sends to a paused peer",
      "if (peer.isPaused()) return false;",
      'if (peer.state === "snapshot") return false;',
    ],
    [
      "tells a peer to commit what it may not have",
      "const commit = Math.min(peer.matchIndex, raft.log.committed);",
      "const commit = raft.log.committed;",
    ],
    ["sends snapshots to peers that are not there", "if (!peer.recentActive) return false;", ""],
    [
      "sends a snapshot older than what is acknowledged",
      "Math.max(peer.pendingRequestSnapshot, peer.matchIndex)",
      "peer.pendingRequestSnapshot",
    ],
    [
      "sends a snapshot older than asked for",
      "Math.max(peer.pendingRequestSnapshot, peer.matchIndex)",
      "peer.matchIndex",
    ],
    [
      "sends all entries in one message",
      "raft.log.entries(peer.nextIndex, raft.config.maxSizePerMessage)",
      "raft.log.entries(peer.nextIndex, Infinity)",
    ],
    [
      "sends entries although the window is full",
      'if (peer.state === "replicate" && peer.inflights.isFull()) return NONE;',
      "",
    ],
  ]),
  ...rulesOf("roles/installing.ts", [
    [
      "installs a snapshot that leaves it out",
      "if (!includes(confState, raft.id)) {",
      "if (raft.term < 0) {",
    ],
    [
      "installs a snapshot from before its commit index",
      "if (index < log.committed || (index === log.committed && !requested)) return false;",
      "",
    ],
    [
      "installs the snapshot it has committed already",
      "(index === log.committed && !requested)",
      "raft.term < 0",
    ],
    [
      "throws its log away for a snapshot that it matches",
      "if (!requested && log.matchesTerm(index, term)) {",
      "if (raft.term < 0) {",
    ],
    [
      "throws away acknowledged entries for an old snapshot",
      "raft.pendingRequestSnapshot !== 0 && index >= raft.pendingRequestSnapshot",
      "raft.pendingRequestSnapshot !== 0",
    ],
    ["keeps its configuration", "raft.tracker.use(restored, progress);", ""],
    ["asks for a snapshot for ever", "raft.pendingRequestSnapshot = 0;", ""],
  ]),
  ...rulesOf("replication/replication_state.ts", [
    [
      "takes a stale refusal while replicating",
      "if (rejected <= this.matchIndex) return false;",
      "",
    ],
    [
      "takes a stale refusal while probing",
      "if (this.nextIndex - 1 !== rejected) return false;",
      "",
    ],
    [
      "lets an old acknowledgement turn back progress",
      "if (index <= this.matchIndex) return false;",
      "if (index === this.matchIndex) return false;",
    ],
    [
      "probes again what the snapshot brought",
      "Math.max(this.matchIndex, snapshot) + 1",
      "this.matchIndex + 1",
    ],
    ["counts old acknowledgements in a new term", "    this.matchIndex = 0;\n", ""],
    ["sends many probes at once", "if (count > 0) this.appendPaused = true;", ""],
    ["lets the window overflow", "this.appendPaused = this.inflights.isFull();", ""],
    [
      "tells the same commit index again",
      "return commit > this.#sentCommit && this.#sentCommit < this.nextIndex - 1;",
      "return true;",
    ],
    ["forgets what was sent", "        this.nextIndex += count;\n", ""],
    [
      "takes an old request for a snapshot",
      'if (this.state === "replicate" && rejected < this.matchIndex) return false;',
      "",
    ],
  ]),
  ...rulesOf("replication/inflights.ts", [
    ["counts no bytes", "|| this.#bytes >= this.bytesMax", ""],
    ["counts no messages", "this.count >= this.countMax ||", ""],
    [
      "frees all but the acknowledged message",
      "this.#indices[this.#head] <= index",
      "this.#indices[this.#head] < index",
    ],
  ]),
];
