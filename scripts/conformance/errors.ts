/**
 * What may go wrong while a command runs, told apart by where it belongs: in the printed output, or
 * in the report of a failing block.
 *
 * @module
 */

import {
  CompactedError,
  ConfChangeError,
  ConfigError,
  LocalMessageError,
  MessageRefusedError,
  PeerNotFoundError,
  ProposalDroppedError,
  SnapshotRequestDroppedError,
  SnapshotTemporarilyUnavailableError,
  UnavailableError,
} from "../../src/raft/mod.ts";

/** A refusal of the environment itself, printed like one of the core. */
export class CommandError extends Error {
  override name = "CommandError";
}

const PRINTED_ERRORS = [
  CommandError,
  CompactedError,
  ConfChangeError,
  ConfigError,
  LocalMessageError,
  MessageRefusedError,
  PeerNotFoundError,
  ProposalDroppedError,
  SnapshotRequestDroppedError,
  SnapshotTemporarilyUnavailableError,
  UnavailableError,
];

/**
 * Whether `error` is an answer that a trace may expect. A broken invariant, a failing disk or a bug
 * is none: it fails the block, whatever the block expects.
 */
export function isPrintedError(error: unknown): error is Error {
  return PRINTED_ERRORS.some((kind) => error instanceof kind);
}
