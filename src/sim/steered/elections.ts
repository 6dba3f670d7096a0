/**
 * Steered faults around elections: partitions along the two majorities of a joint configuration, and
 * leaders that lead again after what they had sent out was replaced.
 *
 * @module
 */

import { bringsEntries, handBack, type Script, type Stage, until } from "./stage.ts";

/**
 * A partition along the two majorities of a joint configuration, while the leader commits by the old
 * one alone: its state machine is slow, so that it does not know the new one yet, and others do. What
 * it goes on committing is unknown to the incoming majority, which must not elect.
 */
export function* splitMajorities(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const others = stage.otherVoters(leader);
  const { voters } = stage.region.truth.configuration;
  const majority = Math.floor(voters.length / 2) + 1;
  if (voters.length % 2 === 0 || others.length + 1 < voters.length) return;
  const stays = [leader, ...others.slice(0, majority - 1)];
  const goes = others.slice(majority - 1);
  const leaves = stage.chance.pick(stays);
  stage.hostOf(leader).slowMachines(6 * stage.electionTimeoutUs);
  const isBehind = (): boolean =>
    stage.leads(leader) && leader.peer!.lastApplied < leader.peer!.commitIndex;
  if (!(yield until(isBehind, 60_000))) return;
  const joins = stage.membership.swap(stage.region, leader, leaves.peerId);
  const isKnown = (): boolean => goes.some(({ confState }) => confState.votersOutgoing.length > 0);
  if (!(yield until(isKnown, 60_000)) || !stage.leads(leader)) return;
  if (leader.confState.votersOutgoing.length > 0) return;
  stage.reached("partitions along the two majorities of a joint configuration");
  stage.sever(stays, stage.everybodyBut(...stays));
  const isElected = (): boolean => [...goes, joins].some((replica) => stage.leads(replica));
  yield until(isElected, 4 * stage.electionTimeoutUs);
}

/**
 * A leader sends entries that only one other voter gets, and both are cut off: the rest elects a leader
 * without them, which hands leadership back at once. The first one then leads with a shorter log, and
 * what the other acknowledged is gone, or of another term.
 */
export function* shortenTail(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const [follower, ...rest] = stage.otherVoters(leader);
  const majority = Math.floor(stage.region.truth.configuration.voters.length / 2) + 1;
  if (rest.length < majority) return;
  const { term } = leader.peer!;
  const everybody = stage.everybodyBut(leader, follower);
  const letAppends = stage.sieve([leader], everybody, (message) => !bringsEntries(message));
  const isAhead = (entries: number): boolean =>
    stage.leads(leader) && follower.durable.lastIndex >= leader.peer!.commitIndex + entries;
  yield until(() => isAhead(5), 40_000);
  if (!isAhead(1)) return;
  yield until(() => false, 3 * stage.tickUs / 10);
  const joinAll = stage.sever([leader, follower], everybody);
  letAppends();
  const isReplaced = (): boolean => stage.laterLeader(term) !== undefined;
  if (!(yield until(isReplaced, 5 * stage.electionTimeoutUs))) return;
  stage.sever([follower], stage.everybodyBut(follower));
  joinAll();
  const length = leader.written.lastIndex;
  if (!(yield* handBack(stage, leader, term, 8))) return;
  if (leader.written.lastIndex <= length) stage.reached("leaders again with a shorter log");
  yield until(() => false, 3 * stage.tickUs);
}

/**
 * A voter comes back without its data, and with it and the leader cut off from the rest, those that
 * miss what it had acknowledged make a majority with it. It must not vote for any of them.
 */
export function* forgetVoter(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const [voter, ...rest] = stage.otherVoters(leader);
  const majority = Math.floor(stage.region.truth.configuration.voters.length / 2) + 1;
  if (rest.length + 1 < majority) return;
  const stay = [leader, ...rest.slice(0, majority - 2)];
  const lag = rest.slice(majority - 2);
  if (lag.length + 1 < majority || !stage.membership.maySpare(voter.nodeId)) return;
  stage.sieve([leader], lag, (message) => !bringsEntries(message));
  const isAhead = (): boolean =>
    stage.leads(leader) &&
    lag.every(({ written }) => written.lastIndex < leader.peer!.commitIndex);
  if (!(yield until(isAhead, 60_000)) || !stage.membership.maySpare(voter.nodeId)) return;
  stage.sever(stay, stage.everybodyBut(...stay));
  stage.forget(voter, 2_000);
  stage.reached("voters without their data that a majority depends on");
  yield until(() => lag.some((replica) => stage.leads(replica)), 4 * stage.electionTimeoutUs);
}
