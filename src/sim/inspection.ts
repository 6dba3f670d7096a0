/**
 * What a peer wants done is inspected before anything of it happens: messages against what is
 * durable, writes against the log and the truth, commits against the quorum that must hold them.
 *
 * @module
 */

import { type ApplyWork, INITIAL_INDEX, type PeerEffects } from "../node/mod.ts";
import type { Message, PeerId, RaftLogEntry } from "../raft/mod.ts";
import type { LogWrite } from "../storage/contract.ts";
import { violated } from "./errors.ts";
import type { LogImage } from "./log_image.ts";
import { membershipEvents } from "./membership_events.ts";
import { isQuorum } from "./quorums.ts";
import type { Replica } from "./replica.ts";
import { mix } from "./trace.ts";

/** The replicas of a region by peer id: all there ever were. */
export type Replicas = ReadonlyMap<PeerId, Replica>;

/** Checks what a peer wants done, and notes its writes in `replica.written`. */
export function inspect(replica: Replica, effects: PeerEffects, replicas: Replicas): void {
  checkFailure(replica, effects);
  replica.confBefore = replica.confState;
  for (const message of effects.messages) inspectMessage(replica, message);
  for (const message of effects.snapshots) inspectMessage(replica, message);
  const leads = replica.peer!.state === "leader";
  if (leads) noteLeader(replica, replica.peer!.term);
  for (const { write } of effects.appends) inspectWrite(replica, write, leads);
  inspectPositions(replica, replicas);
  for (const { code } of effects.refused) {
    if (code === "STALE_PROPOSAL") replica.world.coverage.add("forwarded proposals refused");
    if (code === "VOTER_WITHOUT_LOG") {
      replica.world.coverage.add("messages refused by voters without their data");
    }
  }
  if (effects.apply !== undefined) inspectApply(replica, effects.apply);
}

function checkFailure(replica: Replica, effects: PeerEffects): void {
  if (effects.failure === undefined) return;
  const { failure } = effects;
  violated("no-exception", `peer ${replica.name} ended: ${failure.message}`, failure);
}

function noteLeader(replica: Replica, term: number): void {
  if (term > replica.ledTerm) replica.ledTerm = term;
  if (replica.truth.leads(replica.peerId, term)) {
    replica.world.coverage.add("elections");
    noteInheritedEntries(replica);
  }
}

function noteOtherLeaders(replica: Replica, replicas: Replicas): void {
  for (const other of replicas.values()) {
    if (other === replica || other.peer?.state !== "leader") continue;
    replica.world.coverage.add("leaders at the same time");
  }
}

function noteInheritedEntries(replica: Replica): void {
  const { peer, written, world } = replica;
  const first = peer!.commitIndex + 1;
  const term = written.termAt(first);
  if (term > 0 && term < peer!.term) {
    world.coverage.add("leaders elected with old entries to commit");
  }
}

/** A message says only what is durable here, where that matters. */
function inspectMessage(replica: Replica, message: Message): void {
  const { hardState, lastIndex } = replica.durable;
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      if (hardState.currentTerm < message.term) {
        violated(
          "durability",
          `${replica.name} leads term ${message.term}, and has stored term ${hardState.currentTerm}`,
        );
      }
      return noteLeader(replica, message.term);
    case "vote": {
      const { currentTerm, votedFor } = hardState;
      if (currentTerm > message.term) return;
      if (currentTerm === message.term && votedFor === replica.peerId) return;
      return violated(
        "durability",
        `${replica.name} asks for votes in term ${message.term}, and has stored a vote for ` +
          `${votedFor} in term ${currentTerm}`,
      );
    }
    case "vote-response": {
      if (message.reject) return;
      const isKept = hardState.currentTerm > message.term ||
        (hardState.currentTerm === message.term && hardState.votedFor === message.to);
      if (isKept) return;
      return violated(
        "durability",
        `${replica.name} votes for ${message.to} in term ${message.term}, and has stored a vote ` +
          `for ${hardState.votedFor} in term ${hardState.currentTerm}`,
      );
    }
    case "append-response": {
      if (message.reject) return;
      // What was stored in an earlier term may have been replaced in the same transaction.
      if (hardState.currentTerm > message.term) return;
      if (message.index <= lastIndex && hardState.currentTerm === message.term) return;
      return violated(
        "durability",
        `${replica.name} acknowledges index ${message.index} in term ${message.term}, and has ` +
          `stored up to ${lastIndex} in term ${hardState.currentTerm}`,
      );
    }
  }
}

function inspectWrite(replica: Replica, write: LogWrite, leads: boolean): void {
  const { truth, written, peer } = replica;
  const { entries, snapshot } = write;
  if (snapshot !== undefined) {
    const { index, term, confState } = snapshot.metadata;
    if (truth.committedTerm(index) !== term) {
      violated("state-machine-safety", `a snapshot of ${term}/${index} is of another history`);
    }
    replica.confState = confState;
  }
  if (entries !== undefined && entries.length > 0) {
    const isLeaderOfBefore = leads && written.hardState.currentTerm === peer!.term &&
      entries[0].term === peer!.term && replica.wasLeading;
    if (isLeaderOfBefore && entries[0].index !== written.lastIndex + 1) {
      violated(
        "leader-append-only",
        `leader ${replica.name} writes index ${entries[0].index} after ${written.lastIndex}`,
      );
    }
  }
  const replacedBefore = written.entriesReplaced;
  written.append(write);
  if (written.entriesReplaced > replacedBefore) {
    replica.world.coverage.add("written entries replaced");
  }
  if (entries !== undefined) noteEntries(replica, entries, leads);
}

function noteEntries(replica: Replica, entries: readonly RaftLogEntry[], leads: boolean): void {
  const { truth, written, peer } = replica;
  for (const entry of entries) {
    const hash = truth.written(entry, written.termAt(entry.index - 1));
    replica.world.trace.add(mix(hash, entry.index));
    if (entry.type !== "normal" && leads && entry.term === peer!.term) {
      checkOneConfigurationChange(replica, entry);
    }
  }
}

function checkOneConfigurationChange(replica: Replica, added: RaftLogEntry): void {
  const { written, peer } = replica;
  for (let index = peer!.lastApplied + 1; index < added.index; index++) {
    const entry = written.entries[index - written.truncatedIndex - 1];
    if (entry === undefined || entry.type === "normal") continue;
    violated(
      "one-configuration-change",
      `${replica.name} appends a change at ${added.index} while that of ${index} is not applied`,
    );
  }
}

/** Term, commit and applied index: they never go back, and lie in order. */
function inspectPositions(replica: Replica, replicas: Replicas): void {
  const peer = replica.peer!;
  const { term, commitIndex, lastApplied } = peer;
  if (
    term < replica.seenTerm || commitIndex < replica.seenCommit || lastApplied < replica.seenApplied
  ) {
    violated(
      "monotonicity",
      `${replica.name} went from term ${replica.seenTerm}, commit ${replica.seenCommit}, applied ` +
        `${replica.seenApplied} to ${term}, ${commitIndex}, ${lastApplied}`,
    );
  }
  if (lastApplied > commitIndex || commitIndex > replica.written.lastIndex) {
    violated(
      "index-order",
      `${replica.name} has applied ${lastApplied}, committed ${commitIndex} and written ` +
        `${replica.written.lastIndex}`,
    );
  }
  if (commitIndex > replica.seenCommit) inspectCommit(replica, commitIndex, replicas);
  replica.seenTerm = term;
  replica.seenCommit = commitIndex;
  replica.seenApplied = lastApplied;
  const leads = peer.state === "leader";
  if (leads && !(replica.wasLeading && replica.wasTerm === term)) {
    replica.truth.checkComplete(replica.peerId, term, replica.written);
    noteOtherLeaders(replica, replicas);
  }
  if (replica.wasLeading && !leads) replica.world.coverage.add("leaders stepped down");
  replica.wasLeading = leads;
  replica.wasTerm = term;
}

function inspectCommit(replica: Replica, commitIndex: number, replicas: Replicas): void {
  const { truth, written } = replica;
  let isNews = false;
  const first = Math.max(replica.seenCommit, written.truncatedIndex) + 1;
  for (let index = first; index <= commitIndex; index++) {
    if (truth.commits(index, written.termAt(index))) isNews = true;
  }
  if (!isNews) return;
  if (replica.ledTerm === 0) {
    violated("durability", `${replica.name} commits ${commitIndex} first, and has never led`);
  }
  truth.committedBy(replica.ledTerm, commitIndex);
  checkQuorum(replica, commitIndex, replicas);
  for (const other of replicas.values()) {
    if (other.peer?.state === "leader" && other.peer.term > replica.ledTerm) {
      truth.checkComplete(other.peerId, other.peer.term, other.written);
    }
  }
}

/**
 * What is committed was durable on a quorum (a disk that is lost by now counts as it was), and its
 * last entry is of the leader's own term.
 */
function checkQuorum(replica: Replica, index: number, replicas: Replicas): void {
  const term = replica.written.termAt(index);
  const has = (id: PeerId): boolean => {
    const holder = replicas.get(id);
    return holds(holder?.durable, term, index) || holds(holder?.forgotten, term, index);
  };
  if (!isQuorum(replica.confBefore, has)) {
    const holders = [...replicas.keys()].filter(has);
    violated(
      "durability",
      `${replica.name} commits ${term}/${index}, which is durable on ${holders} of voters ` +
        `${replica.confBefore.voters}|${replica.confBefore.votersOutgoing}`,
    );
  }
  if (term !== replica.ledTerm) {
    violated(
      "leader-completeness",
      `leader ${replica.name} of term ${replica.ledTerm} commits ${term}/${index} by counting`,
    );
  }
}

function holds(log: LogImage | undefined, term: number, index: number): boolean {
  return log !== undefined && (log.truncatedIndex >= index || log.termAt(index) === term);
}

function inspectApply(replica: Replica, work: ApplyWork): void {
  const { coverage } = replica.world;
  if (work.type === "batch") {
    const { lastApplied } = work.batch;
    const term = replica.truth.committedTerm(lastApplied);
    if (term !== undefined && !holds(replica.durable, term, lastApplied)) {
      violated("durability", `${replica.name} applies ${lastApplied} before it is durable`);
    }
    return replica.truth.checkBatch(work.batch, Math.max(replica.state.lastApplied(), 1));
  }
  const before = replica.confState;
  replica.confState = work.confState;
  if (!replica.truth.configured(work.index, work.confState)) return;
  for (const event of membershipEvents(before, work.confState)) coverage.add(event);
  const leads = replica.peer!.state === "leader";
  if (leads && !work.confState.voters.includes(replica.peerId)) coverage.add("leaders removed");
}

/**
 * Checks a linearizable read that a member serves at `index`. The state machine of a new region has
 * applied nothing, and is at the initial index all the same.
 *
 * @param floor what was committed when the read was asked for.
 */
export function inspectRead(replica: Replica, index: number, floor: number): void {
  const state = Math.max(replica.state.lastApplied(), INITIAL_INDEX);
  if (index >= floor && state >= index) return;
  violated(
    "linearizability",
    `a read on ${replica.name} is served at index ${index} and state ${state}, while ${floor} was ` +
      "committed when it was asked for",
  );
}
