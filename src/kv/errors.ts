/**
 * The errors of the key-value store. What a command may be refused for is a result, not an error:
 * see `KvFailure` in `types.ts`.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/** Bytes are not the protobuf message they should be: truncated, or a number out of its range. */
export class KvDecodeError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("KV_DECODE", message, options);
  }
}

/** A value cannot be written as the field it belongs to. */
export class KvEncodeError extends RaftError {
  /** Says what happened. */
  constructor(message: string) {
    super("KV_ENCODE", message);
  }
}

/** Whoever drives the store broke its contract: a batch out of order, a call after `close()`. */
export class KvUsageError extends RaftError {
  /** Says what happened. */
  constructor(message: string) {
    super("KV_USAGE", message);
  }
}

/** The database cannot be opened, read or written. The store must be closed; nothing is retried. */
export class KvStorageError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("KV_STORAGE", message, options);
  }
}

/**
 * Stored data is damaged, missing or contradicts itself. Nothing was answered from it; the store must
 * be closed, and the member restored from a backup or replaced.
 */
export class KvCorruptError extends RaftError {
  /** What is wrong, as a clause. */
  readonly found: string;
  /** Says what is wrong in which file, as a clause. */
  constructor(path: string, found: string) {
    super(
      "KV_CORRUPT",
      `In ${path}, ${found}; restore the directory from a backup, or remove the node from the ` +
        "cluster and add it again with an empty directory",
    );
    this.found = found;
  }
}

/** A snapshot stream is damaged, cut short, or of a version this build does not know. */
export class KvSnapshotError extends RaftError {
  /** Says what happened. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("KV_SNAPSHOT", message, options);
  }
}

/** A read cannot be answered; `reason` says why, in the terms of {@linkcode KvFailureReason}. */
export class KvReadError extends RaftError {
  /** `"compacted"`: the revision is gone; `"future-revision"`: it does not exist yet. */
  readonly reason: "compacted" | "future-revision";
  /** Names the revision asked for, and the bound it is beyond. */
  constructor(reason: "compacted" | "future-revision", asked: number, limit: number) {
    super(
      reason === "compacted" ? "KV_COMPACTED" : "KV_FUTURE_REVISION",
      reason === "compacted"
        ? `Cannot read at revision ${asked} as everything before ${limit} has been compacted`
        : `Cannot read at revision ${asked} as the store is at revision ${limit}`,
    );
    this.reason = reason;
  }
}
