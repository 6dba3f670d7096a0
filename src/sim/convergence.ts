/**
 * The end of a run: the faults are over, everybody who is not lost runs, and the group must come to
 * rest: one leader, equal logs and states on all members, and a new write that takes effect.
 *
 * @module
 */

import { ProposalRequest } from "../node/mod.ts";
import type { Cluster, SimRegion } from "./cluster.ts";
import { violated } from "./errors.ts";
import type { Operation, Workload } from "./machine.ts";
import type { Attempt } from "./region_truth.ts";
import type { Replica } from "./replica.ts";

/** Election timeouts that may pass until the group is at rest. */
const ELECTION_TIMEOUTS_MAX = 60;
const STEPS_BETWEEN_CHECKS = 16;
/** After how many of them another write is tried: one may have been lost with a leader. */
const RETRY_ELECTION_TIMEOUTS = 5;

/** Runs a cluster without faults until all its regions are at rest and have taken a write. */
export function converge(cluster: Cluster, workload: Workload, write: Operation): void {
  const { world } = cluster;
  const { electionTick, tickUs } = world.environment;
  const end = world.now + 2 * electionTick * tickUs * ELECTION_TIMEOUTS_MAX;
  for (const region of cluster.regions) {
    if (!world.environment.preVote) nudge(cluster, region);
    const attempts: Attempt[] = [];
    let nextAttempt = 0;
    waitFor(cluster, end, () => {
      const isCommitted = attempts.some(({ committedIndex }) => committedIndex > 0);
      const reason = isCommitted ? unrest(cluster, region) : "no write is committed";
      if (reason !== undefined && world.now >= nextAttempt) {
        attempts.push(propose(cluster, region, workload.encode(write.input)));
        nextAttempt = world.now + RETRY_ELECTION_TIMEOUTS * electionTick * tickUs;
      }
      return reason;
    });
    serveReads(cluster, region, end);
  }
}

/** Every member answers a read. */
function serveReads(cluster: Cluster, region: SimRegion, end: number): void {
  for (const replica of membersOf(region)) {
    let read = cluster.probe(region, replica);
    waitFor(cluster, end, () => {
      // There may be room for no more reads until those of the clients have reached their deadline.
      if (read.isRejected) read = cluster.probe(region, replica);
      return read.isServed ? undefined : `${replica.name} does not answer a read`;
    });
  }
}

/**
 * An operator starts an election where the log is longest as long as there is no leader. Without
 * pre-vote nobody tells a candidate that its term is old, and with two members that know different
 * configurations the one that may win can stay behind the other's terms for very long.
 */
function nudge(cluster: Cluster, region: SimRegion): void {
  const { world } = cluster;
  const { electionTick, tickUs } = world.environment;
  world.schedule(RETRY_ELECTION_TIMEOUTS * electionTick * tickUs, () => {
    const members = membersOf(region).filter((member) => cluster.isLive(member));
    if (members.every((member) => member.peer!.state !== "leader")) {
      const longest = Math.max(...members.map((member) => member.durable.lastIndex));
      const best = members.find((member) => member.durable.lastIndex === longest);
      if (best !== undefined) cluster.hostOf(best).push(region.regionId, { type: "campaign" });
    }
    nudge(cluster, region);
  });
}

/** Proposes on any member; on the leader when nobody else may. */
function propose(cluster: Cluster, region: SimRegion, command: Uint8Array): Attempt {
  const { world } = cluster;
  const members = membersOf(region);
  const replica = world.environment.forwardProposals
    ? members[world.steps % members.length]
    : members.find((member) => member.peer!.state === "leader") ?? members[0];
  const attempt = region.truth.propose(command);
  // What a leader that is full drops stays open until its term ends, or its deadline: without one it
  // would take the room of those that follow.
  const { electionTick, tickUs } = world.environment;
  const host = cluster.hostOf(replica);
  const deadline = host.clock.nowMs + RETRY_ELECTION_TIMEOUTS * electionTick * tickUs / 1_000;
  const proposals = [new ProposalRequest(attempt.command, deadline)];
  host.push(region.regionId, { type: "proposals", proposals });
  return attempt;
}

function waitFor(cluster: Cluster, end: number, why: () => string | undefined): void {
  const { world } = cluster;
  for (;;) {
    const reason = why();
    if (reason === undefined) return;
    if (world.now > end) violated("convergence", `without faults, after a long time, ${reason}`);
    for (let step = 0; step < STEPS_BETWEEN_CHECKS; step++) world.step();
  }
}

/** Why a region is not at rest; undefined when it is. */
function unrest(cluster: Cluster, region: SimRegion): string | undefined {
  const members = membersOf(region);
  const down = members.find((replica) => !cluster.isLive(replica));
  if (down !== undefined) return `${down.name} does not run`;
  const leaders = members.filter((replica) => replica.peer!.state === "leader");
  if (leaders.length !== 1) return `there are ${leaders.length} leaders`;
  if (region.truth.configuration.votersOutgoing.length > 0) return "the configuration is joint";
  for (const replica of members) {
    const reason = difference(leaders[0], replica);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function difference(leader: Replica, replica: Replica): string | undefined {
  const { peer, durable, state } = replica;
  if (peer!.leader !== leader.peerId) return `${replica.name} follows ${peer!.leader}`;
  const lastIndex = leader.durable.lastIndex;
  if (durable.lastIndex !== lastIndex || leader.written.lastIndex !== lastIndex) {
    return `${replica.name} has ${durable.lastIndex} of ${leader.written.lastIndex} entries`;
  }
  if (durable.termAt(lastIndex) !== leader.durable.termAt(lastIndex)) {
    return `${replica.name} ends in another entry than ${leader.name}`;
  }
  if (peer!.commitIndex !== lastIndex || state.lastApplied() !== lastIndex) {
    return `${replica.name} has committed ${peer!.commitIndex} and applied ` +
      `${state.lastApplied()} of ${lastIndex}`;
  }
  if (state.digest() !== leader.state.digest()) return `${replica.name} has another state`;
  return undefined;
}

/** The members that are not lost. */
function membersOf({ truth, replicas }: SimRegion): Replica[] {
  const { voters, learners, votersOutgoing } = truth.configuration;
  const ids = new Set([...voters, ...learners, ...votersOutgoing]);
  const members = [...ids].map((id) => replicas.get(id));
  return members.filter((replica) => replica !== undefined);
}
