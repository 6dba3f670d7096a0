/**
 * Steered faults around disks that hang: between the two writes of a new term, and while a follower
 * waits for a snapshot.
 *
 * @module
 */

import { bringsEntries, pass, type Script, type Stage, until } from "./stage.ts";

/**
 * The disk of a leader hangs while others elect another one. What it wrote becomes durable once it
 * knows the new term; then its disk hangs again, while the new leader's entries replace its own, and
 * answers the write of the term alone before that of the entries.
 */
export function* hangAtNewTerm(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const everybody = stage.everybodyBut(leader);
  const { term } = leader.peer!;
  const letOut = stage.sieve([leader], everybody, (message) => !bringsEntries(message));
  const letWrite = stage.stall(leader, 20 * stage.electionTimeoutUs);
  const hasTail = (): boolean =>
    leader.written.lastIndex > leader.durable.lastIndex &&
    everybody.every(({ written }) => written.lastIndex < leader.written.lastIndex);
  if (!(yield until(() => stage.isLive(leader) && hasTail(), 30_000))) return;
  const join = stage.sever([leader], everybody);
  const isReplaced = (): boolean => (stage.laterLeader(term)?.peer?.commitIndex ?? 0) > 0;
  if (!(yield until(isReplaced, 5 * stage.electionTimeoutUs))) return;
  const last = leader.written.lastIndex;
  const letIn = stage.sieve(everybody, [leader], ({ type }) => type !== "append");
  letOut();
  join();
  const knows = (): boolean => leader.written.hardState.currentTerm > term;
  if (!(yield until(() => stage.isLive(leader) && knows(), 6 * stage.tickUs))) return;
  letWrite();
  const before = leader.written.entriesReplaced;
  if (!(yield until(() => leader.durable.lastIndex >= last, 30_000))) return;
  const letWriteTerm = stage.stall(leader, 20 * stage.electionTimeoutUs);
  if (leader.durable.hardState.currentTerm > term) return;
  letIn();
  const isOvertaken = (): boolean =>
    leader.written.entriesReplaced > before && (leader.peer?.commitIndex ?? 0) >= last;
  if (!(yield until(isOvertaken, 2 * stage.electionTimeoutUs))) return;
  stage.reached("disks that hung between the term and the entries of a new leader");
  letWriteTerm();
  yield until(() => leader.durable.hardState.currentTerm > term, 20_000);
  stage.stall(leader, 3 * stage.tickUs);
  yield pass(3 * stage.tickUs);
}

/**
 * A follower falls behind what the leader's log keeps, and says so only when the leader's disk hangs:
 * the leader is silent then, and keeps the snapshot back. Nobody else can be elected meanwhile, and
 * the disk answers again.
 */
export function* keepSnapshotBack(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const [follower, ...rest] = stage.otherVoters(leader);
  if (rest.length < 1) return;
  const answer = stage.hold([follower], [leader]);
  const letAppends = stage.sieve([leader], [follower], (message) => !bringsEntries(message));
  stage.push(leader, { type: "unreachable", peerId: follower.peerId });
  const isBehind = (): boolean =>
    stage.leads(leader) && leader.written.truncatedIndex > follower.written.lastIndex;
  if (!(yield until(isBehind, 80_000))) return;
  stage.push(leader, { type: "unreachable", peerId: follower.peerId });
  const letWrite = stage.stall(leader, 20 * stage.electionTimeoutUs);
  for (const replica of rest) stage.sever([replica], stage.everybodyBut(replica));
  const { diskHangs } = leader.peer!.counters;
  const hangs = (): boolean => stage.leads(leader) && leader.peer!.counters.diskHangs > diskHangs;
  if (!(yield until(hangs, 3 * stage.electionTimeoutUs))) return;
  answer();
  yield pass(2 * stage.tickUs);
  letAppends();
  if (stage.leads(leader)) stage.reached("snapshots wanted of a leader whose disk hangs");
  letWrite();
}
