/**
 * The errors of storages: one class whose `code` says what kind of failure it was. Messages say what
 * was found, where, and what can be done about it.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/**
 * What went wrong.
 *
 * Of the disk, final for the whole node:
 * - `STORAGE_IO`: a read, write or sync failed, or the files cannot be opened.
 * - `STORAGE_FULL`: no space is left, or a limit on the size of the database is reached.
 * - `STORAGE_CORRUPT`: stored data is damaged, missing or contradicts itself.
 * - `STORAGE_READ_ONLY`: the files or their directory may not be written.
 *
 * Of opening, nothing was altered:
 * - `STORAGE_LOCKED`: another process, or this one, has the same data open.
 * - `STORAGE_IDENTITY`: the data belongs to another cluster or node.
 * - `STORAGE_FORMAT`: the data was written by a newer version, or is not ours.
 * - `STORAGE_OPTION`: an option or argument is invalid.
 *
 * Of a write that breaks the rules of the log, final for its region, nothing was written:
 * - `STORAGE_GAP`: the entries do not follow the log, or each other.
 * - `STORAGE_COMMITTED`: the write would replace or drop committed entries.
 * - `STORAGE_REGRESSION`: a term, vote or configuration index would go back.
 * - `STORAGE_RANGE`: an index lies outside the log.
 * - `STORAGE_LIMIT`: a value exceeds what the storage can hold.
 *
 * Not final:
 * - `STORAGE_REGION_EXISTS`: the region to create exists already.
 * - `STORAGE_CLOSED`: the storage was closed.
 */
export type StorageErrorCode =
  | "STORAGE_IO"
  | "STORAGE_FULL"
  | "STORAGE_CORRUPT"
  | "STORAGE_READ_ONLY"
  | "STORAGE_LOCKED"
  | "STORAGE_IDENTITY"
  | "STORAGE_FORMAT"
  | "STORAGE_OPTION"
  | "STORAGE_GAP"
  | "STORAGE_COMMITTED"
  | "STORAGE_REGRESSION"
  | "STORAGE_RANGE"
  | "STORAGE_LIMIT"
  | "STORAGE_REGION_EXISTS"
  | "STORAGE_CLOSED";

/** A storage refused or failed. Its `code` is a {@linkcode StorageErrorCode}; `cause` is the driver's error, if any. */
export class StorageError extends RaftError {
  /** What kind of failure it was. */
  declare readonly code: StorageErrorCode;

  /** Says what was found, where, and what can be done. */
  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** The error of every call after `close`. */
export function closedError(): StorageError {
  return new StorageError(
    "STORAGE_CLOSED",
    "The storage is closed: open it again before reading or writing",
  );
}
