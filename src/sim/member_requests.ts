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
  type MemberRecord,
  type PeerEffects,
  type RejectedMemberChange,
} from "../node/mod.ts";
import type { PeerId } from "../raft/mod.ts";
import type { Coverage } from "./coverage.ts";
import { violated } from "./errors.ts";
import type { RegionTruth } from "./region_truth.ts";
import { RequestTruth } from "./request_truth.ts";

/** A request of the operator. */
export class OperatorRequest extends MemberChangeRequest {
  readonly #number: number;
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
    const number = truth.requests.add();
    const address = RequestTruth.addressOf(number);
    const members: MemberRecord[] = ids.map((peerId) => ({
      peerId,
      nodeId: nodeOf(peerId),
      address,
    }));
    if (change.kind === "add-learner") members.push(change.member);
    super(change, members, deadline);
    this.#number = number;
    this.#truth = truth;
  }

  /** It was carried out. */
  carriedOut({ index }: AppliedMemberChange): void {
    this.#answerOnce();
    this.#truth.requests.answered(this.#number, index);
  }

  /** It was not, as far as is known. */
  refused({ error }: RejectedMemberChange): void {
    this.#answerOnce();
    if (!error.mayHaveTakenEffect) this.#truth.requests.answered(this.#number, 0);
  }

  #answerOnce(): void {
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
  for (const rejected of effects.changesRejected) {
    if (!(rejected.request instanceof OperatorRequest)) continue;
    coverage.add("requests to change members refused");
    rejected.request.refused(rejected);
  }
}
