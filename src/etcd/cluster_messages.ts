/**
 * The requests and responses by which members are changed, as plain data.
 *
 * @module
 */

import type { Member, ResponseHeader } from "./messages.ts";

/** Asks for a new member. */
export interface MemberAddRequest {
  /** Where it will listen for other members; this server takes one URL a member. */
  readonly peerUrls: readonly string[];
  /** It stays a learner until it is promoted; otherwise it becomes a voter once it has caught up. */
  readonly isLearner: boolean;
  /**
   * Once the new member has caught up it takes the place of this one, in one step; 0n: of none. Not
   * of etcd, whose servers ignore it.
   */
  readonly replaces: bigint;
}

/** A member was added. */
export interface MemberAddResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** The new member, with the id that was chosen for it. */
  readonly member: Member;
  /** All members, by ascending id. */
  readonly members: readonly Member[];
}

/** Names the member to promote or to remove. */
export interface MemberIdRequest {
  /** An unsigned 64-bit integer, exact. */
  readonly id: bigint;
}

/** Says where a member listens from now on. */
export interface MemberUpdateRequest {
  /** An unsigned 64-bit integer, exact. */
  readonly id: bigint;
  /** Where it listens for other members; this server takes one URL a member. */
  readonly peerUrls: readonly string[];
}

/** A member was promoted, removed or updated. */
export interface MemberChangeResponse {
  /** Who answered, and as of which revision. */
  readonly header: ResponseHeader;
  /** All members, by ascending id. */
  readonly members: readonly Member[];
}
