/**
 * What a replica is started from: the region on disk, created when it is new, and the index the
 * state machine stands at. What does not fit together is refused here, before anything runs.
 *
 * The first members of a region start from a common snapshot of the empty state, so the log begins
 * after it, at index 2, and an empty state machine counts as having applied index 1.
 *
 * @module
 */

import { createConfState, type Logger, type LogStorage, type PeerId } from "../raft/mod.ts";
import type { NodeStorage, RaftStorage } from "../storage/contract.ts";
import { RecoveryError, StateMachineError } from "./errors.ts";
import type { Member } from "./options.ts";
import { REPLACE_ADVICE, type SnapshotSpool, type SpooledSnapshot } from "./snapshots/spool.ts";
import type { StateMachine } from "./state_machine.ts";

/** The index of the snapshot that the first members start from. */
export const INITIAL_INDEX = 1;

/** The term of that snapshot. */
export const INITIAL_TERM = 1;

/** What a region is opened with. */
export interface RegionRecovery {
  /** The region. */
  readonly regionId: number;
  /** The replica on this node. */
  readonly peerId: PeerId;
  /** The first members. */
  readonly members: readonly Member[];
  /** Whether it joins a region that runs already. */
  readonly join: boolean;
}

/**
 * The storage of a region, created when it is not on disk yet.
 *
 * @throws RecoveryError when the region on disk belongs to another peer, or this peer is not among
 *   the first members; StorageError when the disk fails.
 */
export async function openRegion(
  storage: NodeStorage,
  region: RegionRecovery,
): Promise<RaftStorage> {
  const { regionId, peerId } = region;
  const existing = storage.region(regionId);
  if (existing === undefined) return await enterInitialTerm(await createRegion(storage, region));
  if (existing.peerId === peerId) return await enterInitialTerm(existing);
  throw new RecoveryError(
    `region ${regionId} on disk belongs to peer ${existing.peerId}, not to ${peerId}: ` +
      "peer ids are never used again; start with the old id, or add a new member with an empty folder",
  );
}

function createRegion(storage: NodeStorage, region: RegionRecovery): Promise<RaftStorage> {
  const { regionId, peerId, members, join } = region;
  if (join) return storage.createRegion({ regionId, peerId });
  if (!members.some((member) => member.peerId === peerId)) {
    throw new RecoveryError(
      `peer ${peerId} is not among the first members of region ${regionId}: ` +
        "name it there, or start it with `join`",
    );
  }
  const confState = createConfState({ voters: members.map((member) => member.peerId) });
  const initial = { index: INITIAL_INDEX, term: INITIAL_TERM, confState };
  return storage.createRegion({ regionId, peerId, initial });
}

/** No replica is in an earlier term than an entry of its log: the first leader leads term 2. */
async function enterInitialTerm(storage: RaftStorage): Promise<RaftStorage> {
  const { hardState } = storage.initialState();
  if (hardState.currentTerm < INITIAL_TERM && storage.firstIndex() > INITIAL_INDEX) {
    await storage.append({ hardState: { ...hardState, currentTerm: INITIAL_TERM } });
  }
  return storage;
}

/**
 * Finishes the installation of a snapshot that the end of the process interrupted: the log begins
 * after it, the state machine is behind, and its state is in the spool.
 *
 * @throws StateMachineError when the state machine cannot be restored, SnapshotSpoolError when the
 *   spool cannot be read.
 */
export async function finishInstallation(
  storage: Pick<RaftStorage, "regionId" | "firstIndex" | "term">,
  stateMachine: Pick<StateMachine, "lastApplied" | "restore">,
  spool: SnapshotSpool,
  logger: Logger,
): Promise<void> {
  const index = storage.firstIndex() - 1;
  if (index === 0 || stateMachine.lastApplied() >= index) return;
  const spooled = await spool.find(storage.regionId, index);
  if (spooled === undefined || spooled.term !== storage.term(index)) return;
  logger.info(
    `region ${storage.regionId}: installs the snapshot of index ${index}, as it had begun`,
  );
  try {
    await stateMachine.restore(spooled.read(), index);
  } catch (cause) {
    throw restorationError(spooled, cause);
  }
  await spooled.remove();
}

/** Says that a state machine could not be restored from a snapshot that the log begins after. */
export function restorationError(
  { regionId, index, place }: SpooledSnapshot,
  cause: unknown,
): StateMachineError {
  const found = cause instanceof Error ? cause.message : String(cause);
  return new StateMachineError(
    `the state machine of region ${regionId} could not be restored from the snapshot of index ` +
      `${index} (${place}): ${found}; the log begins after it, so the next start tries that again: ` +
      `if it cannot either, ${REPLACE_ADVICE}`,
    { cause },
  );
}

/**
 * The index the state machine has applied, in terms of the log.
 *
 * @throws RecoveryError when log and state machine do not meet: the machine is ahead of the log, or
 *   the log no longer holds what the machine lacks.
 */
export function recoverLastApplied(
  storage: Pick<RaftStorage, "regionId" | "firstIndex" | "lastIndex">,
  stateMachine: Pick<StateMachine, "lastApplied">,
): number {
  const machineIndex = stateMachine.lastApplied();
  if (!Number.isSafeInteger(machineIndex) || machineIndex < 0) {
    throw new RecoveryError(
      `lastApplied() of the state machine of region ${storage.regionId} must be an integer >= 0: ` +
        `current value is ${String(machineIndex)}`,
    );
  }
  const firstIndex = storage.firstIndex();
  const lastIndex = storage.lastIndex();
  const lastApplied = Math.max(machineIndex, Math.min(firstIndex - 1, INITIAL_INDEX));
  if (lastApplied > lastIndex) {
    throw new RecoveryError(
      `the state machine of region ${storage.regionId} has applied index ${lastApplied}, but the ` +
        `log ends at ${lastIndex}: log and state machine are not of the same time; restore both ` +
        "from one backup, or replace this member by a new one with an empty data folder",
    );
  }
  if (lastApplied < firstIndex - 1) {
    throw new RecoveryError(
      `the state machine of region ${storage.regionId} has applied index ${lastApplied}, but the ` +
        `log begins at ${firstIndex}: the entries between are gone; restore the state machine ` +
        "from a backup, or replace this member by a new one with an empty data folder",
    );
  }
  return lastApplied;
}

/**
 * What has been applied is committed, even when the stored commit index is older: the peer may have
 * lost it, as it is not written on its own.
 */
export function committedTo(storage: LogStorage, lastApplied: number): LogStorage {
  const state = storage.initialState();
  if (state.hardState.commitIndex >= lastApplied) return storage;
  const hardState = { ...state.hardState, commitIndex: lastApplied };
  return {
    initialState: () => ({ hardState, confState: state.confState }),
    entries: (low, high, sizeMax) => storage.entries(low, high, sizeMax),
    term: (index) => storage.term(index),
    firstIndex: () => storage.firstIndex(),
    lastIndex: () => storage.lastIndex(),
    snapshot: () => storage.snapshot(),
  };
}
