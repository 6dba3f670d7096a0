/**
 * Requests to change the members, as `Node` hands them to a peer: with the whereabouts of the members,
 * and answered once.
 *
 * @module
 */

import {
  type AppliedMemberChange,
  type MemberChange,
  MemberChangeRequest,
  type PeerEffects,
} from "../node/mod.ts";
import type { PeerId } from "../raft/mod.ts";
import type { Coverage } from "./coverage.ts";
import { violated } from "./errors.ts";
import type { RegionTruth } from "./region_truth.ts";

/** A request of the operator. */
export class OperatorRequest extends MemberChangeRequest {
  readonly #truth: RegionTruth;
  #isAnswered = false;

  constructor(
    change: MemberChange,
    truth: RegionTruth,
    nodeOf: (peerId: PeerId) => number,
    deadline: number,
  ) {
    const { voters, learners } = truth.configuration;
    const ids = [...voters, ...learners].filter((peerId) => nodeOf(peerId) !== 0);
    const members = ids.map((peerId) => ({ peerId, nodeId: nodeOf(peerId) }));
    if (change.kind === "add-learner") members.push(change.member);
    super(change, members, deadline);
    this.#truth = truth;
  }

  /** It was carried out, and is in the log at `index`. */
  carriedOut({ index }: AppliedMemberChange): void {
    this.answered();
    if (this.#truth.changesConfiguration(index)) return;
    violated(
      "exactly-once",
      `a request to change members is answered with index ${index}, which changes none`,
    );
  }

  /** It was answered, in one way or another. */
  answered(): void {
    if (this.#isAnswered) violated("exactly-once", "a request to change members has two answers");
    this.#isAnswered = true;
  }
}

/** Takes a peer's answers to requests of the operator. */
export function settleOperatorRequests(effects: PeerEffects, coverage: Coverage): void {
  for (const changed of effects.changed) {
    if (!(changed.request instanceof OperatorRequest)) continue;
    coverage.add("requests to change members carried out");
    changed.request.carriedOut(changed);
  }
  for (const { request } of effects.changesRejected) {
    if (!(request instanceof OperatorRequest)) continue;
    coverage.add("requests to change members refused");
    request.answered();
  }
}
