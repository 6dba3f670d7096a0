/**
 * Changes of members on any member: one that does not lead asks the leader, apart from Raft's messages,
 * and the leader answers once it has applied the change.
 *
 * @module
 */

import { AskError, type Transport } from "../transport/contract.ts";
import type { Clock } from "./clock.ts";
import {
  MembershipError,
  NotLeaderError,
  QuestionError,
  RequestError,
  StoppedError,
  TimedOutError,
} from "./errors.ts";
import type { MemberChange } from "./member_changes.ts";
import {
  decodeChangeOutcome,
  decodeMemberQuestion,
  encodeChangeOutcome,
  encodeMemberQuestion,
  encodeStanding,
  type Standing,
} from "./member_questions.ts";
import type { NodeMembers } from "./node_members.ts";
import type { MemberChangeResult } from "./options.ts";
import type { Region } from "./region.ts";

/** What forwarding is made of. */
export interface MemberForwardingParts {
  readonly regions: ReadonlyMap<number, Region>;
  readonly members: NodeMembers;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Whether a member that does not lead asks the leader. */
  readonly forwards: boolean;
}

/** Takes changes of members to whoever leads. */
export class MemberForwarding {
  readonly #parts: MemberForwardingParts;
  #stopped = false;

  constructor(parts: MemberForwardingParts) {
    this.#parts = parts;
  }

  /** Nothing is tried again from here on. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Changes the members of a region, wherever its leader is.
   *
   * @throws by rejection, as `Node.addLearner`.
   */
  async change(
    region: Region,
    change: MemberChange,
    deadline: number,
  ): Promise<MemberChangeResult> {
    const { members, clock, forwards } = this.#parts;
    if (!forwards) return await members.change(region, change, deadline);
    for (;;) {
      try {
        return await this.#changeAtLeader(region, change, deadline);
      } catch (error) {
        // Whoever leads next may take it.
        if (!(error instanceof NotLeaderError)) throw error;
        if (this.#stopped) throw new StoppedError(false);
        if (clock.now() >= deadline) throw new TimedOutError("change of members", false);
      }
      await members.nextTick();
    }
  }

  /** Answers what another node asks. Only a member may change the members. @throws QuestionError by rejection */
  async answer(fromNodeId: number, bytes: Uint8Array): Promise<Uint8Array> {
    const question = decodeMemberQuestion(bytes);
    const region = this.#parts.regions.get(question.regionId);
    if (region === undefined || this.#stopped) {
      throw new QuestionError(`region ${question.regionId} is not hosted here`);
    }
    const { members, clock } = this.#parts;
    if (question.ask === "standing") {
      const standing = standingOf(region, question.peerId);
      return encodeStanding({ ...standing, members: members.records(region) });
    }
    if (!members.list(region).some(({ nodeId }) => nodeId === fromNodeId)) {
      const text = `node ${fromNodeId} is no member of region ${region.regionId}`;
      return encodeChangeOutcome(new MembershipError("NOT_TAKEN", text, false));
    }
    try {
      const deadline = clock.now() + question.deadlineMs;
      return encodeChangeOutcome(await members.change(region, question.change, deadline));
    } catch (error) {
      if (error instanceof RequestError) return encodeChangeOutcome(error);
      throw error;
    }
  }

  async #changeAtLeader(
    region: Region,
    change: MemberChange,
    deadline: number,
  ): Promise<MemberChangeResult> {
    const { members } = this.#parts;
    const { leader, state } = region.peer;
    if (state === "leader") return await members.change(region, change, deadline);
    const nodeId = members.nodeOf(region, leader);
    if (nodeId === 0) throw new NotLeaderError(leader, 0);
    return await this.#ask(nodeId, region, change, deadline);
  }

  async #ask(
    nodeId: number,
    region: Region,
    change: MemberChange,
    deadline: number,
  ): Promise<MemberChangeResult> {
    const { transport, clock } = this.#parts;
    const { regionId } = region;
    const deadlineMs = Math.max(1, Math.ceil(deadline - clock.now()));
    const question = encodeMemberQuestion({ ask: "change", regionId, change, deadlineMs });
    try {
      return decodeChangeOutcome(await transport.ask(nodeId, question, deadlineMs));
    } catch (error) {
      if (!(error instanceof AskError || error instanceof QuestionError)) throw error;
      if (error instanceof AskError && !error.mayHaveArrived) throw new NotLeaderError(0, 0);
      const text = `the leader on node ${nodeId} was asked to change the members, and its answer ` +
        `did not come: ${error.message}`;
      throw new MembershipError("OUTCOME_UNKNOWN", text, true, { cause: error });
    }
  }
}

function standingOf({ peer }: Region, peerId: number): Omit<Standing, "members"> {
  const { voters, learners } = peer.status();
  const matchIndex = peer.acknowledged(peerId);
  if (peer.isRemoved(peerId)) return { role: "removed", matchIndex };
  if (voters.includes(peerId)) return { role: "voter", matchIndex };
  return { role: learners.includes(peerId) ? "learner" : "none", matchIndex };
}
