/**
 * The members of a node's regions: where they live, as the options and the log say, and the requests
 * of callers to change them.
 *
 * @module
 */

import { type PeerId, RaftError } from "../raft/mod.ts";
import type { Transport } from "../transport/contract.ts";
import type { CheckedMember } from "./checked_options.ts";
import type { Clock } from "./clock.ts";
import type { Directory } from "./directory.ts";
import type { RequestError } from "./errors.ts";
import { type MemberChange, MemberChangeRequest } from "./member_changes.ts";
import type { MemberRecord } from "./member_book.ts";
import type { MemberChangeResult, MemberStatus } from "./options.ts";
import type { Region } from "./region.ts";

/** A change with its caller. */
export class LocalMemberChange extends MemberChangeRequest {
  readonly resolve: (result: MemberChangeResult) => void;
  readonly reject: (error: RequestError) => void;

  constructor(
    change: MemberChange,
    members: readonly MemberRecord[],
    deadline: number,
    resolve: (result: MemberChangeResult) => void,
    reject: (error: RequestError) => void,
  ) {
    super(change, members, deadline);
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** The members of all regions of a node. */
export class NodeMembers {
  readonly #nodeId: number;
  readonly #directory: Directory;
  readonly #transport: Transport;
  /** By region and peer: what the options say. */
  readonly #told = new Map<number, Map<PeerId, MemberRecord>>();
  /** What was recorded of each peer when it was looked at last. */
  readonly #seen = new Map<string, MemberRecord>();
  readonly #clock: Clock;
  /** Those who wait for the next tick. */
  #tickWaiters: (() => void)[] = [];

  constructor(nodeId: number, directory: Directory, transport: Transport, clock: Clock) {
    this.#clock = clock;
    this.#nodeId = nodeId;
    this.#directory = directory;
    this.#transport = transport;
  }

  /** Takes the members that a node was opened with. */
  tell(regionId: number, members: readonly CheckedMember[]): void {
    this.#told.set(regionId, new Map(members.map((member) => [member.peerId, member])));
    for (const { peerId, nodeId } of members) this.#directory.set(regionId, peerId, nodeId);
  }

  /**
   * Makes known to the transport who is a member by now, and forgets who was removed. What the options
   * say of an address counts more than what is recorded, until another one is recorded.
   */
  refresh(region: Region): void {
    const { regionId, peer } = region;
    for (const record of peer.recordedMembers.values()) {
      this.#directory.set(regionId, record.peerId, record.nodeId);
      this.#forgetTold(regionId, record);
    }
    for (const peerId of this.#directory.peers(regionId)) {
      const nodeId = this.#directory.nodeOf(regionId, peerId);
      if (peer.isRemoved(peerId)) this.#forget(regionId, peerId, nodeId);
      else this.#connect(nodeId, this.#recordOf(region, peerId)?.address);
    }
  }

  /** The members of a region as this node sees them, in ascending order. */
  list(region: Region): MemberStatus[] {
    const { voters, learners, leaderPeerId } = region.peer.status();
    return [...voters, ...learners].sort((a, b) => a - b).map((peerId) => {
      const record = this.#recordOf(region, peerId);
      return {
        peerId,
        nodeId: this.#directory.nodeOf(region.regionId, peerId),
        address: record?.address,
        clientAddress: record?.clientAddress,
        voter: voters.includes(peerId),
        leader: peerId === leaderPeerId,
      };
    });
  }

  /** Asks for a change; the addresses of all members are recorded with it. */
  change(region: Region, change: MemberChange, deadline: number): Promise<MemberChangeResult> {
    const members = this.#recordsWith(region, change);
    if (change.kind === "add-learner") {
      members.push(change.member);
      // Its node must be reachable before the change is applied here.
      this.#directory.set(region.regionId, change.member.peerId, change.member.nodeId);
      this.#connect(change.member.nodeId, change.member.address);
    }
    return new Promise((resolve, reject) => {
      const request = new LocalMemberChange(change, members, deadline, resolve, reject);
      region.push({ type: "change-members", request });
    });
  }

  /** Tries a change once a tick while it fails for a reason that passes, until the deadline. */
  async retry(
    change: () => Promise<MemberChangeResult>,
    deadline: number,
  ): Promise<MemberChangeResult> {
    for (;;) {
      try {
        return await change();
      } catch (error) {
        if (!(error instanceof RaftError) || !isWorthWaiting(error)) throw error;
        if (this.#clock.now() >= deadline) throw error;
      }
      await this.nextTick();
    }
  }

  /** A tick has passed, or none will come any more. */
  tick(): void {
    for (const resolve of this.#tickWaiters.splice(0)) resolve();
  }

  /** Resolves at the next tick. */
  nextTick(): Promise<void> {
    return new Promise((resolve) => this.#tickWaiters.push(resolve));
  }

  /** An id that no member of a region ever had, as far as this node knows. */
  nextPeerId(region: Region): PeerId {
    const known = [region.peerId, ...this.#directory.peers(region.regionId)];
    const { voters, learners } = region.peer.status();
    let id = Math.max(...known, ...voters, ...learners) + 1;
    while (region.peer.isRemoved(id)) id++;
    return id;
  }

  /** The node a peer lives on, or 0. */
  nodeOf(region: Region, peerId: PeerId): number {
    return this.#directory.nodeOf(region.regionId, peerId);
  }

  /** The nodes of the other peers of a region, as far as they are known. */
  otherNodes(region: Region): number[] {
    const nodes = this.#directory.peers(region.regionId).map((id) => this.nodeOf(region, id));
    return [...new Set(nodes)].filter((nodeId) => nodeId !== 0 && nodeId !== this.#nodeId);
  }

  /** Where the members of a region live, those whose node is known. */
  records(region: Region): MemberRecord[] {
    return this.list(region).filter(({ nodeId }) => nodeId !== 0)
      .map(({ peerId, nodeId, address, clientAddress }) => ({
        peerId,
        nodeId,
        address,
        clientAddress,
      }));
  }

  /** Takes what another node says of members of which nothing is known here yet. */
  learn(region: Region, records: readonly MemberRecord[]): void {
    for (const { peerId, nodeId, address } of records) {
      if (this.#recordOf(region, peerId)?.address !== undefined) continue;
      if (region.peer.isRemoved(peerId)) continue;
      this.#directory.set(region.regionId, peerId, nodeId);
      this.#connect(nodeId, address);
    }
  }

  /** What to tell the others when this node lives elsewhere than is recorded. */
  ownUpdate(region: Region): MemberChange | undefined {
    const { peerId } = region;
    const told = this.#told.get(region.regionId)?.get(peerId);
    const recorded = region.peer.recordedMembers.get(peerId);
    if (told === undefined || recorded === undefined) return undefined;
    const { address = recorded.address, clientAddress = recorded.clientAddress } = told;
    if (address === recorded.address && clientAddress === recorded.clientAddress) return undefined;
    return { kind: "update", member: { ...recorded, address, clientAddress } };
  }

  /** What is recorded with a change: where all members live, and what learners wait for. */
  #recordsWith(region: Region, change: MemberChange): MemberRecord[] {
    const { learners } = region.peer.status();
    const promoted = change.kind === "promote"
      ? change.peerId
      : change.kind === "swap"
      ? change.promoted
      : 0;
    return this.records(region).map((record): MemberRecord => {
      const { peerId, address, clientAddress } = record;
      const waits = learners.includes(peerId) && peerId !== promoted;
      const { becomesVoter, replaces } = this.#recordOf(region, peerId) ?? {};
      const goal = waits ? { becomesVoter, replaces } : {};
      if (change.kind !== "update" || change.member.peerId !== peerId) {
        return { ...record, ...goal };
      }
      return {
        ...record,
        ...goal,
        address: change.member.address ?? address,
        clientAddress: change.member.clientAddress ?? clientAddress,
      };
    });
  }

  /** An address that is recorded anew is newer than what the options said. */
  #forgetTold(regionId: number, record: MemberRecord): void {
    const before = this.#seen.get(`${regionId}/${record.peerId}`);
    this.#seen.set(`${regionId}/${record.peerId}`, record);
    const region = this.#told.get(regionId);
    const told = region?.get(record.peerId);
    if (before === undefined || told === undefined) return;
    const address = before.address === record.address ? told.address : undefined;
    const clientAddress = before.clientAddress === record.clientAddress
      ? told.clientAddress
      : undefined;
    region!.set(record.peerId, { ...told, address, clientAddress });
  }

  #recordOf(region: Region, peerId: PeerId): MemberRecord | undefined {
    const told = this.#told.get(region.regionId)?.get(peerId);
    const recorded = region.peer.recordedMembers.get(peerId);
    if (told === undefined || recorded === undefined) return told ?? recorded;
    return {
      ...recorded,
      address: told.address ?? recorded.address,
      clientAddress: told.clientAddress ?? recorded.clientAddress,
    };
  }

  #connect(nodeId: number, address: string | undefined): void {
    if (address !== undefined && nodeId !== this.#nodeId && nodeId !== 0) {
      this.#transport.addNode(nodeId, address);
    }
  }

  #forget(regionId: number, peerId: PeerId, nodeId: number): void {
    this.#directory.delete(regionId, peerId);
    this.#told.get(regionId)?.delete(peerId);
    if (nodeId !== 0 && !this.#directory.hosts(nodeId)) this.#transport.removeNode(nodeId);
  }
}

/** What a replacement waits for. */
function isWorthWaiting({ code }: RaftError): boolean {
  return code === "NOT_CAUGHT_UP" || code === "CHANGE_UNDER_WAY";
}
