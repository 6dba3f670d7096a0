/**
 * The error of this room.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/** A certificate or key cannot be used; the message says which one, why, and what was expected. */
export class CertificateError extends RaftError {
  /** Says which one, why, and what was expected. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("CERTIFICATE", message, options);
  }
}
