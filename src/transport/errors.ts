/**
 * The errors of the transports. Only `start` and constructors fail; what goes wrong later is
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
 */
export type TransportErrorCode = "LISTEN_FAILED" | "TRANSPORT_STATE";

/** A transport could not do as it was told. */
export class TransportError extends RaftError {
  /** Says what could not be done, and why. */
  constructor(code: TransportErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
