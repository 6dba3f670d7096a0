/**
 * Changes of the membership, as an operator would ask for them: through the leader of the moment, and
 * so that the group can stay alive: what is lost for good stays a minority. Whatever is asked for may
 * be lost, refused or overtaken; nothing here waits.
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
import type { Chance } from "./chance.ts";
import type { Cluster, SimRegion } from "./cluster.ts";
import type { Replica } from "./replica.ts";

const VOTERS_MAX = 6;
const LEARNERS_MAX = 2;
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
    const steps = this.#steps(region, confState, kind, chance);
    if (steps !== undefined) this.#propose(region, steps, chance);
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
    const lost = this.#lost(region, configuration);
    if (lost.length === 0) return;
    const fresh = this.#fresh(region);
    const steps: ConfChangeSingle[] = [{ type: "remove-node", peerId: lost[0] }];
    if (configuration.voters.includes(lost[0])) {
      steps.unshift({ type: "add-node", peerId: fresh.peerId });
    }
    this.#cluster.world.coverage.add("replacements of lost voters asked for");
    this.#propose(region, steps, chance);
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

  /** Whether everybody has the newest configuration durably, and no other is on its way. */
  #isSettled(region: SimRegion): boolean {
    const { configuration, configurationIndex } = region.truth;
    for (const id of [...configuration.voters, ...configuration.learners]) {
      const replica = region.replicas.get(id);
      if (replica !== undefined && replica.durable.confStateIndex < configurationIndex) {
        return false;
      }
    }
    for (const { written, durable, isRetired } of region.replicas.values()) {
      if (isRetired) continue;
      for (const entry of [...written.entries, ...durable.entries]) {
        if (entry.type !== "normal" && entry.index > configurationIndex) return false;
      }
    }
    return true;
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
    return [...voters, ...learners].filter((id) => {
      const replica = region.replicas.get(id);
      return replica === undefined || this.#cluster.hostOf(replica).isDamaged;
    });
  }

  /** A replica that was never a member: one that waits already, or a new one. */
  #fresh(region: SimRegion): Replica {
    const { voters, learners } = region.truth.configuration;
    for (const replica of region.replicas.values()) {
      const { peerId, durable } = replica;
      if (this.#cluster.hostOf(replica).isDamaged) continue;
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
    const gone = [...region.replicas.values()].filter((replica) =>
      !replica.isRetired && replica.durable.lastIndex > 0 && !isMember(replica.peerId)
    );
    if (gone.length === 0 || !this.#isSettled(region)) return;
    for (const replica of gone) replica.isRetired = true;
  }
}
