/**
 * The errors of the transports. Only constructors, `start` and `ask` fail; what else goes wrong is
 * reported to the handler, counted and logged.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/**
 * Why a transport could not do as it was told:
 *
 * - `LISTEN_FAILED`: the address cannot be listened on.
 * - `TRANSPORT_STATE`: it was started twice, or after it was closed.
 * - `ASK_FAILED`: a question did not reach its node, or no answer came back.
 */
export type TransportErrorCode = "LISTEN_FAILED" | "TRANSPORT_STATE" | "ASK_FAILED";

/** A transport could not do as it was told. */
export class TransportError extends RaftError {
  /** Says what could not be done, and why. */
  constructor(code: TransportErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** A question was not answered. */
export class AskError extends TransportError {
  /** Whether the question may have reached its node all the same. */
  readonly mayHaveArrived: boolean;

  /** Names the node and says why. */
  constructor(
    nodeId: number,
    reason: string,
    mayHaveArrived: boolean,
    options?: { cause?: unknown },
  ) {
    super("ASK_FAILED", `Node ${nodeId} did not answer: ${reason}`, options);
    this.mayHaveArrived = mayHaveArrived;
  }
}
