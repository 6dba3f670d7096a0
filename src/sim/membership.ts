/**
 * Changes of the membership, as an operator would ask for them: through the leader of the moment, and
 * so that the group can stay alive: what is lost for good stays a minority. Whatever is asked for may
 * be lost, refused or overtaken; nothing here waits.
 *
 * Where members are recorded, most changes are requests as those of `Node`; all others, and those that
 * `Node` does not know (demotions, explicit joint configurations), go to the core as they are.
 *
 * @module
 */

import type {
  ConfChange,
  ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeV2,
  ConfState,
  PeerId,
} from "../raft/mod.ts";
import type { MemberChange } from "../node/mod.ts";
import type { Chance } from "./chance.ts";
import type { Cluster, SimRegion } from "./cluster.ts";
import { OperatorRequest } from "./member_requests.ts";
import type { Replica } from "./replica.ts";

const VOTERS_MAX = 6;
const LEARNERS_MAX = 2;
const REQUESTS_PER_MILLE = 700;
const REQUEST_TIMEOUT_MS = 400;
const TRANSITIONS: readonly ConfChangeTransition[] = ["auto", "joint-implicit", "joint-explicit"];

/** The kinds of changes. */
export type MembershipChange = "add-learner" | "promote" | "demote" | "remove" | "replace";

/** Changes the members of regions. */
export class Membership {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Asks for a change of this kind, if there is one that makes sense. */
  change(region: SimRegion, kind: MembershipChange, chance: Chance): void {
    const confState = region.truth.configuration;
    if (this.#reusesId(region, kind, chance)) return;
    const steps = this.#steps(region, confState, kind, chance);
    if (steps === undefined) return;
    const { beginsAsLearner } = this.#cluster.world.environment;
    const wish = this.#takesRequests && (beginsAsLearner || chance.hits(REQUESTS_PER_MILLE))
      ? this.#wish(region, confState, kind, steps)
      : undefined;
    if (wish === undefined) this.#propose(region, steps, chance);
    else this.#request(region, wish);
  }

  /** Asks a leader to put a new voter into the place of one, by a joint configuration. */
  swap(region: SimRegion, leader: Replica, removed: PeerId): Replica {
    const fresh = this.#fresh(region);
    const changes: ConfChangeSingle[] = [
      { type: "add-node", peerId: fresh.peerId },
      { type: "remove-node", peerId: removed },
    ];
    const change = { transition: "auto", changes, context: undefined } as const;
    this.#cluster.hostOf(leader).push(region.regionId, { type: "change-configuration", change });
    return fresh;
  }

  /** Requests need peers that record members, and know who is alive. */
  get #takesRequests(): boolean {
    const { recordsMembers, streamsSnapshots } = this.#cluster.world.environment;
    return recordsMembers && streamsSnapshots;
  }

  /** Offers the id of a member that was removed, in vain. */
  #reusesId(region: SimRegion, kind: MembershipChange, chance: Chance): boolean {
    const { world } = this.#cluster;
    const { removed, configuration } = region.truth;
    if (!world.environment.recordsMembers || kind !== "add-learner" || removed.length === 0) {
      return false;
    }
    if (configuration.votersOutgoing.length > 0 || !chance.hits(250)) return false;
    world.coverage.add("used peer ids offered again");
    const peerId = chance.pick(removed);
    if (chance.hits(300)) {
      const nodeId = this.#cluster.nodeOf(region.regionId, peerId);
      this.#request(region, { kind: "add-learner", member: { peerId, nodeId } });
    } else {
      this.#propose(region, [{ type: chance.pick(["add-node", "add-learner"]), peerId }], chance);
    }
    return true;
  }

  /** What a request says that comes to these steps, or to the first of them; undefined: there is none. */
  #wish(
    region: SimRegion,
    { voters, learners }: ConfState,
    kind: MembershipChange,
    steps: readonly ConfChangeSingle[],
  ): MemberChange | undefined {
    const [{ peerId }] = steps;
    const nodeId = this.#cluster.nodeOf(region.regionId, peerId);
    switch (kind) {
      case "add-learner":
        return { kind, member: { peerId, nodeId } };
      case "promote":
        return { kind, peerId };
      case "remove":
        return { kind, peerId, force: false };
      case "demote":
        return undefined;
      case "replace": {
        const removed = steps[steps.length - 1].peerId;
        const [promoted] = learners;
        if (promoted === undefined) return { kind: "add-learner", member: { peerId, nodeId } };
        return voters.includes(removed)
          ? { kind: "swap", removed, promoted }
          : { kind: "remove", peerId: removed, force: true };
      }
    }
  }

  /**
   * What an operator does in the end: replaces voters that are lost for good, leaves joint
   * configurations, and stops the processes of peers that were removed.
   */
  tend(region: SimRegion, chance: Chance): void {
    const { configuration } = region.truth;
    this.#retire(region, configuration);
    if (configuration.votersOutgoing.length > 0) {
      if (!configuration.autoLeave) {
        this.#ask(region, { transition: "auto", changes: [], context: undefined });
      }
      return;
    }
    const [lost] = this.#lost(region, configuration);
    if (lost !== undefined) this.#replace(region, lost, chance);
  }

  #replace(region: SimRegion, lost: PeerId, chance: Chance): void {
    const { configuration } = region.truth;
    const steps: ConfChangeSingle[] = [{ type: "remove-node", peerId: lost }];
    if (configuration.voters.includes(lost)) {
      steps.unshift({ type: "add-node", peerId: this.#fresh(region).peerId });
    }
    this.#cluster.world.coverage.add("replacements of lost voters asked for");
    const living = { ...configuration, learners: this.#living(region, configuration.learners) };
    const wish = this.#takesRequests ? this.#wish(region, living, "replace", steps) : undefined;
    if (wish === undefined) this.#propose(region, steps, chance);
    else this.#request(region, wish);
  }

  /** Whether a node's disk may be lost without endangering the group. */
  maySpare(nodeId: number): boolean {
    return this.#cluster.regions.every((region) => {
      const { configuration } = region.truth;
      const { voters, votersOutgoing, learners } = configuration;
      const isMember = (id: PeerId): boolean =>
        this.#cluster.nodeOf(region.regionId, id) === nodeId;
      if (votersOutgoing.length > 0 || !this.#isSettled(region)) return false;
      if (!voters.some(isMember) && !learners.some(isMember)) return true;
      const lost = this.#lost(region, configuration).filter((id) => !isMember(id)).length;
      const minority = Math.floor((voters.length - 1) / 2);
      return lost + 1 <= minority;
    });
  }

  /**
   * Whether everybody has the newest configuration durably, and no other is on its way: none is
   * committed and not applied, and none may be committed yet. A change that was replaced may stay in
   * the log of a removed peer for ever, and does not count: where removed leaders go on leading, this
   * here is what ends them, and nothing else is committed until then.
   */
  #isSettled(region: SimRegion): boolean {
    const { truth } = region;
    const { configuration, configurationIndex } = truth;
    for (const id of [...configuration.voters, ...configuration.learners]) {
      const replica = region.replicas.get(id);
      if (replica !== undefined && replica.durable.confStateIndex < configurationIndex) {
        return false;
      }
    }
    for (const { written, durable, isRetired } of region.replicas.values()) {
      if (isRetired) continue;
      for (const entry of [...written.entries, ...durable.entries]) {
        const isChange = entry.type !== "normal" && entry.index > configurationIndex;
        if (isChange && truth.committedTerm(entry.index) === entry.term) return false;
      }
    }
    return truth.changesAreDecided;
  }

  #steps(
    region: SimRegion,
    confState: ConfState,
    kind: MembershipChange,
    chance: Chance,
  ): ConfChangeSingle[] | undefined {
    const { voters, learners, votersOutgoing } = confState;
    if (votersOutgoing.length > 0) return undefined;
    const mayShrink = voters.length >= 3 && this.#lost(region, confState).length === 0;
    switch (kind) {
      case "add-learner":
        if (learners.length >= LEARNERS_MAX || voters.length >= VOTERS_MAX) return undefined;
        return [{ type: "add-learner", peerId: this.#fresh(region).peerId }];
      case "promote":
        if (learners.length === 0) return undefined;
        return [{ type: "add-node", peerId: chance.pick(learners) }];
      case "demote":
        if (!mayShrink) return undefined;
        return [{ type: "add-learner", peerId: chance.pick(voters) }];
      case "remove":
        if (learners.length > 0 && chance.hits(300)) {
          return [{ type: "remove-node", peerId: chance.pick(learners) }];
        }
        return mayShrink ? [{ type: "remove-node", peerId: chance.pick(voters) }] : undefined;
      case "replace":
        if (this.#lost(region, confState).length > 0) return undefined;
        return [
          { type: "add-node", peerId: this.#fresh(region).peerId },
          { type: "remove-node", peerId: chance.pick(voters) },
        ];
    }
  }

  #propose(region: SimRegion, steps: readonly ConfChangeSingle[], chance: Chance): void {
    const transition = chance.pick(TRANSITIONS);
    const isSimple = steps.length === 1 && chance.hits(500);
    this.#ask(
      region,
      isSimple
        ? { ...steps[0], context: undefined }
        : { transition, changes: steps, context: undefined },
    );
  }

  #request(region: SimRegion, change: MemberChange): void {
    const leader = this.#cluster.leaderOf(region);
    if (leader === undefined) return;
    const { world } = this.#cluster;
    const host = this.#cluster.hostOf(leader);
    world.coverage.add("requests to change members");
    if (world.trace.verbose) world.line(`operator asks ${leader.name}: ${JSON.stringify(change)}`);
    const nodeOf = (peerId: PeerId): number => this.#cluster.nodeOf(region.regionId, peerId);
    const deadline = host.clock.nowMs + REQUEST_TIMEOUT_MS;
    const request = new OperatorRequest(change, region.truth, nodeOf, deadline);
    host.push(region.regionId, { type: "change-members", request });
  }

  #ask(region: SimRegion, change: ConfChange | ConfChangeV2): void {
    const leader = this.#cluster.leaderOf(region);
    if (leader === undefined) return;
    if (this.#cluster.world.trace.verbose) {
      const steps = "changes" in change ? change.changes : [change];
      const text = steps.map(({ type, peerId }) => `${type} ${peerId}`).join(", ");
      this.#cluster.world.line(`operator asks ${leader.name}: ${text || "leave"}`);
    }
    this.#cluster.hostOf(leader).push(region.regionId, { type: "change-configuration", change });
  }

  /** Members whose disk is lost, voters first. */
  #lost(region: SimRegion, { voters, learners }: ConfState): PeerId[] {
    const members = [...voters, ...learners];
    const living = this.#living(region, members);
    return members.filter((id) => !living.includes(id));
  }

  #living(region: SimRegion, members: readonly PeerId[]): PeerId[] {
    return members.filter((id) => {
      const replica = region.replicas.get(id);
      return replica !== undefined && !this.#cluster.hostOf(replica).isDamaged;
    });
  }

  /** A replica that was never a member: one that waits already, or a new one. */
  #fresh(region: SimRegion): Replica {
    const { voters, learners } = region.truth.configuration;
    for (const replica of region.replicas.values()) {
      const { peerId, durable } = replica;
      if (this.#cluster.hostOf(replica).isDamaged || region.truth.isRemoved(peerId)) continue;
      if (durable.lastIndex > 0 || voters.includes(peerId) || learners.includes(peerId)) continue;
      return replica;
    }
    return this.#cluster.join(region);
  }

  /** Removed peers end once nobody needs them to learn of their removal. */
  #retire(region: SimRegion, configuration: ConfState): void {
    const isMember = (id: PeerId): boolean =>
      configuration.voters.includes(id) || configuration.learners.includes(id) ||
      configuration.votersOutgoing.includes(id);
    const gone = [...region.everyReplica.values()].filter((replica) =>
      !replica.isRetired && replica.durable.lastIndex > 0 && !isMember(replica.peerId)
    );
    if (gone.length === 0 || !this.#isSettled(region)) return;
    for (const replica of gone) replica.isRetired = true;
  }
}
