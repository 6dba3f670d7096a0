/**
 * What the calls that change the members do, without gRPC: in etcd's manner, on any member, with
 * etcd's texts. They are rare, so that here, unlike for keys, promises may cost what they do.
 *
 * @module
 */

import { setTimeout } from "node:timers";
import { RaftError } from "../raft/mod.ts";
import type {
  MemberAddRequest,
  MemberAddResponse,
  MemberChangeResponse,
  MemberIdRequest,
  MemberUpdateRequest,
} from "./cluster_messages.ts";
import { type Answer, type EtcdHandlers, listMembers } from "./handlers.ts";
import type { Member } from "./messages.ts";
import type { CheckedServerOptions, ClusterMembership } from "./server_options.ts";
import { EtcdStatus, type StatusError } from "./status_errors.ts";

/** How long a change waits before it is tried again while another one is under way. */
const RETRY_WAIT_MS = 50;

/** How long the answer to a change that is in force waits for this member to have it as well. */
const CATCH_UP_MS_MAX = 2_000;

/** A call is refused with this status. */
class Refusal {
  readonly status: StatusError;

  constructor(status: StatusError) {
    this.status = status;
  }
}

/** The methods of the service `Cluster` that change the members. */
export class ClusterHandlers {
  readonly #options: CheckedServerOptions;
  readonly #membership: ClusterMembership;
  readonly #handlers: EtcdHandlers;

  constructor(
    options: CheckedServerOptions,
    membership: ClusterMembership,
    handlers: EtcdHandlers,
  ) {
    this.#options = options;
    this.#membership = membership;
    this.#handlers = handlers;
  }

  /** `Cluster.MemberAdd`: always as a learner at first, which costs the cluster no vote. */
  add(request: MemberAddRequest, deadline: number, answer: Answer<MemberAddResponse>): void {
    this.#serve(answer, async () => {
      const peerAddress = this.#peerAddress(request.peerUrls);
      const members = await this.#currentMembers(deadline);
      // Whoever takes the place of a member may take its address as well.
      refuseRepeated(members, request.peerUrls, request.replaces);
      const replaces = request.replaces === 0n ? undefined : this.#idOf(members, request.replaces);
      const { isLearner } = request;
      const nodeId = await this.#change(
        deadline,
        (call) => this.#membership.add({ peerAddress, isLearner, replaces }, call),
      );
      const id = BigInt(nodeId);
      const added = { id, name: "", peerUrls: request.peerUrls, clientUrls: [], isLearner: true };
      const after = await this.#membersAfter(deadline);
      const member = after.find((one) => one.id === id);
      const header = this.#handlers.header();
      if (member !== undefined) return { header, member, members: after };
      return { header, member: added, members: [...after, added] };
    });
  }

  /** `Cluster.MemberPromote`. */
  promote(request: MemberIdRequest, deadline: number, answer: Answer<MemberChangeResponse>): void {
    this.#serve(answer, async () => {
      const nodeId = this.#idOf(await this.#currentMembers(deadline), request.id);
      await this.#change(deadline, (call) => this.#membership.promote(nodeId, call));
      return { header: this.#handlers.header(), members: await this.#membersAfter(deadline) };
    });
  }

  /** `Cluster.MemberRemove`. */
  remove(request: MemberIdRequest, deadline: number, answer: Answer<MemberChangeResponse>): void {
    this.#serve(answer, async () => {
      const nodeId = this.#idOf(await this.#currentMembers(deadline), request.id);
      await this.#change(deadline, (call) => this.#membership.remove(nodeId, call));
      // A member that has removed itself can no longer find out what the others have.
      const members = nodeId === this.#options.node.status().nodeId
        ? listMembers(this.#options)
        : await this.#membersAfter(deadline);
      return {
        header: this.#handlers.header(),
        members: members.filter(({ id }) => id !== request.id),
      };
    });
  }

  /** `Cluster.MemberUpdate`. */
  update(
    request: MemberUpdateRequest,
    deadline: number,
    answer: Answer<MemberChangeResponse>,
  ): void {
    this.#serve(answer, async () => {
      const peerAddress = this.#peerAddress(request.peerUrls);
      const members = await this.#currentMembers(deadline);
      const nodeId = this.#idOf(members, request.id);
      refuseRepeated(members, request.peerUrls, request.id);
      await this.#change(deadline, (call) => this.#membership.update(nodeId, peerAddress, call));
      return { header: this.#handlers.header(), members: await this.#membersAfter(deadline) };
    });
  }

  #serve<Response>(answer: Answer<Response>, action: () => Promise<Response>): void {
    action().then(
      (response) => answer(null, response),
      (error) => answer(error instanceof Refusal ? error.status : this.#handlers.statusOf(error)),
    );
  }

  /** The one address in the URLs of a request. */
  #peerAddress(urls: readonly string[]): string {
    const [url, more] = urls;
    if (url === undefined) throw badUrls();
    if (more !== undefined) throw badUrls("a member has one URL here");
    const match = /^(https?):\/\/(\[[0-9a-fA-F:.%]+\]|[^:[\]/\s]+):(\d{1,5})$/.exec(url);
    if (match === null || Number(match[3]) < 1 || Number(match[3]) > 65_535) {
      throw badUrls(`${JSON.stringify(url)} is not http://HOST:PORT or https://HOST:PORT`);
    }
    const address = `${match[2]}:${match[3]}`;
    const refusal = this.#membership.refusePeer(match[1] as "http" | "https", address);
    if (refusal !== undefined) throw badUrls(refusal);
    return address;
  }

  #idOf(members: readonly Member[], id: bigint): number {
    if (!members.some((member) => member.id === id)) throw new Refusal(EtcdStatus.memberNotFound);
    return Number(id);
  }

  /** The members, no older than the call. */
  async #currentMembers(deadline: number): Promise<Member[]> {
    await this.#options.node.read({ deadlineMs: this.#handlers.remaining(deadline) });
    return listMembers(this.#options);
  }

  /** The members after a change; older ones where this member cannot learn of it in time. */
  async #membersAfter(deadline: number): Promise<Member[]> {
    const deadlineMs = Math.min(CATCH_UP_MS_MAX, this.#handlers.remaining(deadline));
    try {
      await this.#options.node.read({ deadlineMs });
    } catch {
      // The change is in force all the same.
    }
    return listMembers(this.#options);
  }

  /** Makes a change; while another one is under way it waits. */
  async #change<Result>(
    deadline: number,
    change: (call: { deadlineMs: number }) => Promise<Result>,
  ): Promise<Result> {
    for (;;) {
      try {
        return await change({ deadlineMs: this.#handlers.remaining(deadline) });
      } catch (error) {
        if (!isUnderWay(error) || this.#handlers.remaining(deadline) <= RETRY_WAIT_MS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS));
    }
  }
}

function isUnderWay(error: unknown): boolean {
  return error instanceof RaftError &&
    (error.code === "CHANGE_UNDER_WAY" || error.code === "NOT_TAKEN");
}

function badUrls(detail?: string): Refusal {
  const { code, details } = EtcdStatus.memberBadUrls;
  return new Refusal({ code, details: detail === undefined ? details : `${details}: ${detail}` });
}

/** Refuses a URL that another member than `self` has, whatever its scheme. */
function refuseRepeated(
  members: readonly Member[],
  urls: readonly string[],
  self: bigint,
): void {
  const bare = (url: string): string => url.replace(/^https?:\/\//, "");
  const taken = new Set(
    members.filter(({ id }) => id !== self).flatMap(({ peerUrls }) => peerUrls.map(bare)),
  );
  if (urls.some((url) => taken.has(bare(url)))) throw new Refusal(EtcdStatus.peerUrlExists);
}
