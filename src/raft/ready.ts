/**
 * What a replica wants its host to do, taken from it in one piece.
 *
 * @module
 */

import type { HardState, Message, RaftLogEntry, ReadState, Snapshot, SoftState } from "./types.ts";

/**
 * The outstanding work of a replica at one moment. See the module documentation of `src/raft/mod.ts`
 * for the order in which the host does it.
 */
export interface Ready {
  /** Leader and role, when either changed. */
  readonly softState: SoftState | undefined;
  /** The hard state to persist, when it changed. */
  readonly hardState: HardState | undefined;
  /** Reads that may be answered once their index is applied. */
  readonly readStates: readonly ReadState[];
  /** Entries to persist, in one atomic write with `hardState` and `snapshot`. */
  readonly entries: readonly RaftLogEntry[];
  /** A snapshot to persist and to restore the state machine from, before anything is applied. */
  readonly snapshot: Snapshot | undefined;
  /**
   * Committed entries to apply. Without asynchronous storage writes some of them may also be in
   * `entries`: persist first.
   */
  readonly committedEntries: readonly RaftLogEntry[];
  /**
   * Messages to send at once, without waiting for the disk; those of type `vote` only once
   * `hardState` is durable. With asynchronous storage writes the
   * last of them may be a `storage-append` and a `storage-apply` message for the local threads.
   */
  readonly messages: readonly Message[];
  /**
   * Messages to send only after `entries`, `hardState` and `snapshot` are durable: votes and
   * acknowledgements. Always empty with asynchronous storage writes, where the `storage-append`
   * message carries them.
   */
  readonly messagesAfterAppend: readonly Message[];
  /** Whether the write must be synced before `messagesAfterAppend` leave: entries, term or vote changed. */
  readonly mustSync: boolean;
}
