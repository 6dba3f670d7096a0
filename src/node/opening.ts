/**
 * How a node opens its regions: each is recovered from the storage, or created, and gets a peer.
 *
 * @module
 */

import type { Logger, RaftError } from "../raft/mod.ts";
import type { CheckedNodeOptions, CheckedRegion } from "./checked_options.ts";
import type { Directory } from "./directory.ts";
import { EPOCH_BOUND } from "./envelope.ts";
import type { NodeOptions } from "./options.ts";
import { Peer } from "./peer.ts";
import { Random, unpredictableSeed } from "./random.ts";
import { finishInstallation, openRegion, recoverLastApplied } from "./recovery.ts";
import { Region } from "./region.ts";
import type { SnapshotSpool } from "./snapshots/spool.ts";

/** What a region is opened with. */
export interface RegionOpening {
  readonly options: NodeOptions;
  readonly checked: CheckedNodeOptions;
  readonly directory: Directory;
  readonly spool: SnapshotSpool;
  readonly wake: () => void;
  readonly fail: (error: RaftError) => void;
}

/**
 * Opens a region with everything it needs to run.
 *
 * @throws RecoveryError, StateMachineError, SnapshotSpoolError, StorageError as `recovery.ts` says;
 *   ConfigError when an option of the core is invalid.
 */
export async function hostRegion(region: CheckedRegion, opening: RegionOpening): Promise<Region> {
  const { options, checked, directory, spool, wake, fail } = opening;
  const { regionId, peerId, stateMachine } = region;
  const logger: Logger = checked.logger;
  const storage = await openRegion(options.storage, region);
  await finishInstallation(storage, stateMachine, spool, logger);
  const nodeState = stateMachine.nodeState();
  const { resultCodec } = stateMachine;
  const random = new Random((checked.seed + regionId) % Number.MAX_SAFE_INTEGER);
  const peer = new Peer({
    id: peerId,
    nodeId: checked.nodeId,
    regionId,
    storage,
    lastApplied: recoverLastApplied(storage, stateMachine),
    epoch: unpredictableSeed() % EPOCH_BOUND,
    random: (bound) => random.below(bound),
    electionTick: options.electionTick,
    heartbeatTick: options.heartbeatTick,
    preVote: options.preVote,
    checkQuorum: options.checkQuorum,
    forwardProposals: options.forwardProposals,
    repeatDropped: options.repeatDropped,
    streamsSnapshots: true,
    nodeState,
    sessions: resultCodec && { nodeState, resultCodec, clockMs: options.sessionClockMs },
    stepDownOnRemoval: true,
    beginsAsLearner: true,
    limits: options.limits,
    nodeOf: (peer) => directory.nodeOf(regionId, peer),
    logger,
  });
  const { compaction } = checked;
  return new Region({ peer, storage, stateMachine, compaction, logger, wake, fail });
}
