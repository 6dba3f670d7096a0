/**
 * What can go wrong in a command, and the exit codes that say so.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/** The exit codes of `flaredb`; the same for every command. */
export const EXIT_CODE = {
  /** Done. For reads this includes finding nothing. */
  ok: 0,
  /** The command failed; standard error says why and what may have taken effect. */
  failed: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** No endpoint answered in time. */
  unavailable: 3,
  /** The node was removed from its cluster, or has lost its data: it never takes part again. */
  expelled: 4,
} as const;

/** The command line is wrong: an unknown option, a missing argument, a value out of its range. */
export class UsageError extends RaftError {
  constructor(message: string) {
    super("USAGE", message);
  }
}

/** The command failed; the message is a sentence for people, with what to check. */
export class CommandFailedError extends RaftError {
  /** The exit code to end with. */
  readonly exitCode: number;

  constructor(
    message: string,
    options?: { readonly cause?: unknown; readonly exitCode?: number },
  ) {
    super("COMMAND_FAILED", message, options);
    this.exitCode = options?.exitCode ?? EXIT_CODE.failed;
  }
}

/** The sentence for people in whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
