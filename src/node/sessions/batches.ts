/**
 * Client sessions in the batches of a replica: which entries of a batch the state machine sees, what is
 * committed with it, and what each proposer is told.
 *
 * @module
 */

import type { RaftLogEntry } from "../../raft/mod.ts";
import { EnvelopeError, InternalError, SessionError, StateMachineError } from "../errors.ts";
import type { AppliedProposal, PeerEffects } from "../events.ts";
import type { NodeStateDelta, ResultCodec } from "../state_machine.ts";
import { decodeSessionEntry } from "./envelope.ts";
import { SESSION_WINDOW } from "./limits.ts";
import type { SessionOutcome, SessionRefusal, SessionTable } from "./table.ts";

/** What the entries of one batch do, by their position in it; only those that concern sessions. */
export class SessionBatch {
  readonly #table: SessionTable;
  readonly #codec: ResultCodec;
  readonly #outcomes = new Map<number, SessionOutcome>();
  /** Positions among the batch's commands of those whose results are kept. */
  readonly #kept: number[] = [];
  #recorded = false;

  constructor(table: SessionTable, codec: ResultCodec) {
    this.#table = table;
    this.#codec = codec;
  }

  /**
   * Takes an entry.
   *
   * @param position its position among the entries of the batch.
   * @param commandPosition the position its command would have among the batch's commands.
   * @returns whether the state machine sees its command.
   * @throws EnvelopeError when it is nothing that this version knows.
   */
  admit(entry: RaftLogEntry, position: number, commandPosition: number): boolean {
    const operation = decodeSessionEntry(entry.index, entry.context!);
    const outcome = this.#table.admit(entry, operation);
    this.#outcomes.set(position, outcome);
    if (outcome.type !== "apply") return false;
    this.#kept.push(commandPosition);
    return true;
  }

  /** What to commit with the batch, given the results of all its commands. */
  readonly state = (results: readonly unknown[]): NodeStateDelta => {
    if (this.#recorded) throw new StateMachineError("sessionState must be called once for a batch");
    this.#recorded = true;
    return this.#table.record(
      this.#kept.map((position) => this.#codec.encode(results[position])),
    );
  };

  /** Whether the state machine sees the entry's command; undefined when it concerns no session. */
  isApplied(position: number): boolean | undefined {
    const outcome = this.#outcomes.get(position);
    return outcome && outcome.type === "apply";
  }

  /** @throws StateMachineError when the state machine did not ask what to commit. */
  checkRecorded(): void {
    if (this.#recorded) return;
    throw new StateMachineError(
      "the state machine must commit nodeStateOf(batch, results) with every batch, as it has a " +
        "resultCodec: it did not ask for it",
    );
  }

  /** Tells the proposer of an entry what became of it. */
  settle(position: number, proposal: AppliedProposal, effects: PeerEffects): void {
    const outcome = this.#outcomes.get(position);
    if (outcome === undefined || outcome.type === "apply") {
      effects.applied.push(proposal);
    } else if (outcome.type === "refused") {
      const error = refusal(outcome.reason);
      effects.rejected.push({ request: proposal.proposal, error });
    } else if (outcome.type === "duplicate") {
      this.#settleDuplicate(proposal, outcome.kept, effects);
    } else {
      const result = outcome.type === "opened" ? outcome.session : undefined;
      effects.applied.push({ ...proposal, result });
    }
  }

  #settleDuplicate(
    { proposal }: AppliedProposal,
    { index, term, bytes }: (SessionOutcome & { type: "duplicate" })["kept"],
    effects: PeerEffects,
  ): void {
    if (bytes === undefined) {
      const text = `the command took effect at index ${index}; its result was too large to be kept`;
      const error = new SessionError("RESULT_FORGOTTEN", text, true);
      effects.rejected.push({ request: proposal, error });
      return;
    }
    const result = this.#decode(bytes);
    effects.applied.push({ proposal, index, term, result, isDuplicate: true });
  }

  #decode(bytes: Uint8Array): unknown {
    try {
      return this.#codec.decode(bytes);
    } catch (cause) {
      throw new InternalError(`a kept result of a session cannot be decoded: ${cause}`, { cause });
    }
  }
}

/** @throws EnvelopeError as the replica's state machine cannot apply the entry. */
export function refuseSessionEntry(index: number): never {
  throw new EnvelopeError(
    `entry ${index} concerns client sessions, which the state machine of this replica does not ` +
      "support: it must have a resultCodec on every member, or on none",
  );
}

function refusal(reason: SessionRefusal): SessionError {
  switch (reason) {
    case "SESSION_EXPIRED":
      return new SessionError(
        reason,
        "there is no such session: it expired, gave way to others, was closed, or never was",
        true,
      );
    case "SEQUENCE_PASSED":
      return new SessionError(
        reason,
        "the session's client had acknowledged this sequence number already, or a higher one",
        true,
      );
    case "SEQUENCE_AHEAD":
      return new SessionError(
        reason,
        `the sequence number must be at most ${SESSION_WINDOW} above what the session's client has ` +
          "acknowledged: it is higher",
        false,
      );
  }
}
