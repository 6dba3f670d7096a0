/**
 * Steered faults around reads: a leader that was replaced and does not know it is asked for reads while
 * the answers to its heartbeats of before arrive; a read waits until its leader leads again; a rival
 * campaigns against a leader whose reads rely on its lease.
 *
 * @module
 */

import type { Replica } from "../replica.ts";
import { handBack, pass, type Script, type Stage, until } from "./stage.ts";

/** Whether somebody else leads a later term and has committed more than `replica` knows. */
function isOvertaken(stage: Stage, replica: Replica): boolean {
  if (!stage.isLive(replica)) return false;
  const { term, commitIndex } = replica.peer!;
  const later = stage.laterLeader(term);
  return later !== undefined && later.peer!.commitIndex > commitIndex;
}

/**
 * A leader hands over, and from then on hears nothing: the answers to its last heartbeats are held, and
 * so is the news of its successor. Asked for a read after its successor has committed, it then gets
 * those answers, which say nothing about that read.
 */
export function* delayEchoes(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const [successor] = stage.otherVoters(leader);
  if (successor === undefined) return;
  stage.push(leader, { type: "transfer-leader", to: successor.peerId });
  const campaigns = (): boolean => stage.isLive(successor) && successor.peer!.state === "candidate";
  if (!(yield until(campaigns, 4 * stage.tickUs)) || !stage.leads(leader)) return;
  stage.hold(stage.everybodyBut(leader), [leader]);
  stage.read(leader);
  const isStale = (): boolean => stage.leads(leader) && isOvertaken(stage, leader);
  if (!(yield until(isStale, 5 * stage.tickUs))) return;
  const read = stage.read(leader);
  const rounds = leader.peer!.counters.readRounds;
  const isAsked = (): boolean => stage.isLive(leader) && leader.peer!.counters.readRounds > rounds;
  if (!(yield until(isAsked, 5 * stage.tickUs)) || !stage.leads(leader)) return;
  if (!read.isServed) stage.reached("reads asked of a leader that was replaced");
}

/**
 * A follower hears of its leader alone. Others elect another leader and commit; then the follower asks
 * its leader for a read, and is suspended. The leader, which did not know, leads again, and whatever
 * it says about that read is the first thing that the follower hears of the new term.
 */
export function* leadAgainOverRead(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const [successor, follower, ...rest] = stage.otherVoters(leader);
  const { voters } = stage.region.truth.configuration;
  if (rest.length + 1 < Math.floor(voters.length / 2) + 1) return;
  const { term } = leader.peer!;
  stage.sever([follower], stage.everybodyBut(follower, leader));
  stage.push(leader, { type: "transfer-leader", to: successor.peerId });
  const campaigns = (): boolean => stage.isLive(successor) && successor.peer!.state === "candidate";
  if (!(yield until(campaigns, 4 * stage.tickUs)) || !stage.leads(leader)) return;
  const tell = stage.hold(stage.everybodyBut(leader, follower), [leader]);
  const isStale = (): boolean => stage.leads(leader) && isOvertaken(stage, leader);
  if (!(yield until(isStale, 5 * stage.tickUs)) || !stage.isLive(follower)) return;
  if (follower.peer!.leader !== leader.peerId) return;
  stage.read(follower);
  const rounds = follower.peer!.counters.readRounds;
  const isAsked = (): boolean =>
    stage.isLive(follower) && follower.peer!.counters.readRounds > rounds;
  if (!(yield until(isAsked, 5 * stage.tickUs)) || follower.peer!.term > term) return;
  stage.sieve([leader], [follower], ({ type }) => type === "read-index-response");
  stage.hostOf(follower).pause(15 * stage.tickUs);
  const end = stage.now + 15 * stage.tickUs;
  yield pass(stage.tickUs / 2);
  tell();
  if (yield* handBack(stage, leader, term, 6)) {
    stage.reached("reads that waited until their leader led again");
  }
  yield pass(Math.max(0, end - stage.now) + stage.tickUs / 2);
}

/**
 * A rival campaigns while the leader is heard by everybody, but hears nobody for less than an election
 * timeout. Where reads rely on the lease, nobody may vote for the rival. Who has not heard the leader
 * yet may: an election by hand in that moment is none that leases are made for.
 */
export function* campaignAgainstLease(stage: Stage): Script {
  const leader = stage.leader();
  if (leader === undefined) return;
  const others = stage.otherVoters(leader);
  const [rival] = others;
  if (rival === undefined || !others.every((replica) => follows(replica, leader))) return;
  stage.hold(stage.everybodyBut(leader), [leader]);
  stage.push(rival, { type: "campaign" });
  stage.reached("campaigns against a leader that is heard");
  const isStale = (): boolean => stage.leads(leader) && isOvertaken(stage, leader);
  if (!(yield until(isStale, stage.electionTimeoutUs / 2))) return;
  stage.read(leader);
  yield pass(stage.tickUs);
}

/** Whether a replica has heard a leader in its term. */
function follows({ peer }: Replica, leader: Replica): boolean {
  return peer!.term === leader.peer!.term && peer!.leader === leader.peerId;
}
