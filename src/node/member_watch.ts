/**
 * What a node does about members by itself, tick by tick: the leader makes learners voters that were
 * added to become that, a node tells where it lives when that is not what is recorded, and one that was
 * removed, or was not added yet, finds that out.
 *
 * @module
 */

import type { Logger, PeerId } from "../raft/mod.ts";
import type { Transport } from "../transport/contract.ts";
import type { Clock } from "./clock.ts";
import { lostVoterError } from "./lost_voter.ts";
import type { MemberChange } from "./member_changes.ts";
import type { MemberForwarding } from "./member_forwarding.ts";
import { askStanding } from "./member_questions.ts";
import type { NodeMembers } from "./node_members.ts";
import type { Notifier } from "./notifier.ts";
import type { Region } from "./region.ts";

/** Election timeouts that a replica without a leader waits before it asks another node. */
const LOST_TIMEOUTS = 2;

/**
 * Election timeouts that a replica goes on after it has applied its own removal: the others may need
 * its voice to learn of that.
 */
const REMOVED_TIMEOUTS = 2;

/** How long an answer may take, in milliseconds. */
const ASK_MS = 2_000;

/** How long a change that a node makes by itself may take, in milliseconds. */
const CHANGE_MS = 5_000;

/** What a watch is made of. */
export interface MemberWatchParts {
  readonly nodeId: number;
  readonly members: NodeMembers;
  readonly forwarding: MemberForwarding;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly notifier: Notifier;
  readonly logger: Logger;
  /** An election timeout, in ticks. */
  readonly electionTick: number;
}

interface Watched {
  ticks: number;
  /** Ticks without a leader, or without anything from it. */
  lostTicks: number;
  /** Ticks since the removal of this replica was seen; undefined before. */
  removedTicks: number | undefined;
  removalTold: boolean;
  waitTold: boolean;
  /** Whether a change or a question of its own is under way. */
  busy: boolean;
  /** Counts the nodes that were asked. */
  asked: number;
}

/** Watches the regions of a node. */
export class MemberWatch {
  readonly #parts: MemberWatchParts;
  readonly #watched = new Map<number, Watched>();

  constructor(parts: MemberWatchParts) {
    this.#parts = parts;
  }

  /** A tick has passed for a region. */
  tick(region: Region): void {
    const watched = this.#of(region);
    const { electionTick } = this.#parts;
    watched.ticks++;
    if (this.#watchRemoval(region, watched)) return;
    const { leader, state, lastApplied } = region.peer;
    watched.lostTicks = leader === 0 || lastApplied === 0 ? watched.lostTicks + 1 : 0;
    if (watched.busy) return;
    if (watched.lostTicks > 0) {
      // Whoever joins may not know where its leader lives, and asks at once.
      const due = lastApplied === 0 ? 1 : 0;
      if (watched.lostTicks % (LOST_TIMEOUTS * electionTick) === due) this.#ask(region, watched);
      return;
    }
    if (watched.ticks % electionTick !== 0) return;
    const turn = watched.ticks / electionTick;
    const change = (state === "leader" ? promotionOf(region, turn) : undefined) ??
      this.#parts.members.ownUpdate(region);
    if (change !== undefined) this.#change(region, watched, change);
  }

  #of(region: Region): Watched {
    let watched = this.#watched.get(region.regionId);
    if (watched === undefined) {
      watched = {
        ticks: 0,
        lostTicks: 0,
        // A removal that is on the disk already needs no patience.
        removedTicks: region.peer.isRemoved(region.peerId) ? Infinity : undefined,
        removalTold: false,
        waitTold: false,
        busy: false,
        asked: 0,
      };
      this.#watched.set(region.regionId, watched);
    }
    return watched;
  }

  /** Whether the replica was removed. */
  #watchRemoval(region: Region, watched: Watched): boolean {
    if (watched.removedTicks === undefined) {
      if (!region.peer.isRemoved(region.peerId)) return false;
      watched.removedTicks = 0;
    }
    watched.removedTicks++;
    if (watched.removedTicks > REMOVED_TIMEOUTS * this.#parts.electionTick) {
      this.#tellRemoval(region, watched);
    }
    return true;
  }

  #tellRemoval(region: Region, watched: Watched): void {
    if (watched.removalTold) return;
    watched.removalTold = true;
    this.#parts.notifier.removed(region.peer);
  }

  #change(region: Region, watched: Watched, change: MemberChange): void {
    const { forwarding, clock, logger } = this.#parts;
    watched.busy = true;
    forwarding.change(region, change, clock.now() + CHANGE_MS).then(
      () => logger.info(`region ${region.regionId} peer ${region.peerId}: ${describe(change)}`),
      (error) => logger.debug(`region ${region.regionId}: ${error.message}`),
    ).finally(() => watched.busy = false);
  }

  /** Asks another node what became of this replica. */
  #ask(region: Region, watched: Watched): void {
    const { members, transport, logger } = this.#parts;
    const nodes = members.otherNodes(region);
    if (nodes.length === 0) return;
    const nodeId = nodes[watched.asked++ % nodes.length];
    const { regionId, peerId } = region;
    watched.busy = true;
    askStanding(transport, nodeId, regionId, peerId, ASK_MS).then(({ role, members: known }) => {
      members.learn(region, known);
      if (role === "removed") this.#tellRemoval(region, watched);
      if (role === "voter" && region.peer.status().lastIndex === 0) {
        const how = `node ${nodeId} has it as a voter`;
        this.#parts.notifier.messageRefused(region.peer, lostVoterError(peerId, how));
      }
      if (role === "none") this.#tellWait(region, watched, nodeId);
    }).catch((error) => logger.debug(`region ${regionId}: ${error.message}`))
      .finally(() => watched.busy = false);
  }

  #tellWait(region: Region, watched: Watched, nodeId: number): void {
    if (watched.waitTold) return;
    watched.waitTold = true;
    this.#parts.logger.info(
      `region ${region.regionId} peer ${region.peerId}: node ${nodeId} knows no such member yet: ` +
        "waits to be added",
    );
  }
}

/**
 * The promotion of a learner that was added to become a voter; of several one after another, as some
 * may be far behind. Whether it has caught up is checked when it is proposed.
 */
function promotionOf({ peer }: Region, turn: number): MemberChange | undefined {
  const { voters, learners } = peer.status();
  const waiting = learners.filter((id) => peer.recordedMembers.get(id)?.becomesVoter === true);
  if (waiting.length === 0) return undefined;
  const peerId = waiting[turn % waiting.length];
  const { replaces = 0 } = peer.recordedMembers.get(peerId)!;
  return voters.includes(replaces)
    ? { kind: "swap", removed: replaces, promoted: peerId }
    : { kind: "promote", peerId };
}

function describe(change: MemberChange): string {
  const id = (peerId: PeerId): string => `peer ${peerId}`;
  switch (change.kind) {
    case "promote":
      return `${id(change.peerId)} has caught up and votes from now on`;
    case "swap":
      return `${id(change.promoted)} has caught up and has taken the place of ${
        id(change.removed)
      }`;
    default:
      return "has told the others where it lives";
  }
}
