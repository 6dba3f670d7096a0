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
import type { Replica } from "./replica.ts";

/** Election timeouts that may pass until the group is at rest. */
const ELECTION_TIMEOUTS_MAX = 60;
const STEPS_BETWEEN_CHECKS = 16;

/** Runs a cluster without faults until all its regions are at rest and have taken a write. */
export function converge(cluster: Cluster, workload: Workload, write: Operation): void {
  const { world } = cluster;
  const { electionTick, tickUs } = world.environment;
  const end = world.now + 2 * electionTick * tickUs * ELECTION_TIMEOUTS_MAX;
  for (const region of cluster.regions) {
    waitFor(cluster, end, () => unrest(cluster, region));
    const members = membersOf(region);
    const leader = cluster.leaderOf(region)!;
    const mayForward = world.environment.forwardProposals;
    const replica = mayForward ? members[world.steps % members.length] : leader;
    const command = workload.encode(write.input);
    const attempt = region.truth.propose(command);
    const event = {
      type: "proposals",
      proposals: [new ProposalRequest(command, Infinity)],
    } as const;
    cluster.hostOf(replica).push(region.regionId, event);
    waitFor(cluster, end, () => {
      if (attempt.committedIndex === 0) return "the last write is not committed";
      return unrest(cluster, region);
    });
  }
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
  const { peer, durable, machine } = replica;
  if (peer!.leader !== leader.peerId) return `${replica.name} follows ${peer!.leader}`;
  const lastIndex = leader.durable.lastIndex;
  if (durable.lastIndex !== lastIndex || leader.written.lastIndex !== lastIndex) {
    return `${replica.name} has ${durable.lastIndex} of ${leader.written.lastIndex} entries`;
  }
  if (durable.termAt(lastIndex) !== leader.durable.termAt(lastIndex)) {
    return `${replica.name} ends in another entry than ${leader.name}`;
  }
  if (peer!.commitIndex !== lastIndex || machine.lastApplied() !== lastIndex) {
    return `${replica.name} has committed ${peer!.commitIndex} and applied ` +
      `${machine.lastApplied()} of ${lastIndex}`;
  }
  if (machine.digest() !== leader.machine.digest()) return `${replica.name} has another state`;
  return undefined;
}

/** The members that are not lost. */
function membersOf({ truth, replicas }: SimRegion): Replica[] {
  const { voters, learners } = truth.configuration;
  const members = [...voters, ...learners].map((id) => replicas.get(id));
  return members.filter((replica) => replica !== undefined);
}
