/**
 * How a node starts: each of its regions is recovered from the storage, or created, and gets a peer; then
 * it listens, and time begins to pass.
 *
 * @module
 */

import type { Logger, RaftError } from "../raft/mod.ts";
import type { CheckedNodeOptions, CheckedRegion } from "./checked_options.ts";
import type { Directory } from "./directory.ts";
import { EPOCH_BOUND } from "./envelope.ts";
import type { NodeOptions } from "./options.ts";
import type { NodeParts } from "./parts.ts";
import { Peer } from "./peer.ts";
import { Random, unpredictableSeed } from "./random.ts";
import { finishInstallation, openRegion, recoverLastApplied } from "./recovery.ts";
import { Region } from "./region.ts";
import type { SnapshotSpool } from "./snapshots/spool.ts";

/** What a region is opened with. */
interface RegionOpening {
  readonly options: NodeOptions;
  readonly checked: CheckedNodeOptions;
  readonly directory: Directory;
  readonly spool: SnapshotSpool;
  readonly wake: () => void;
  readonly fail: (error: RaftError) => void;
}

/** Opens all regions. @throws as `hostRegion` */
export async function openRegions(parts: NodeParts): Promise<void> {
  const wake = (): void => parts.turns.wake();
  for (const checked of parts.checked.regions) {
    parts.members.tell(checked.regionId, checked.members);
    const region = await hostRegion(checked, { ...parts, wake });
    parts.regions.set(checked.regionId, region);
    parts.members.refresh(region);
  }
  await parts.spool.clean();
}

/** Listens, and lets ticks pass until the returned function is called. */
export async function startTicking(parts: NodeParts): Promise<() => void> {
  const { options, checked, router, regions, departures, members, watch, turns, sessions } = parts;
  await options.transport.start(router);
  const stop = checked.clock.every(checked.tickMs, () => {
    for (const region of regions.values()) {
      region.tick(departures.lowestIndex(region.regionId));
      watch.tick(region);
    }
    departures.tick();
    members.tick();
    sessions.tick();
  });
  turns.wake();
  return stop;
}

/**
 * Opens a region with everything it needs to run.
 *
 * @throws RecoveryError, StateMachineError, SnapshotSpoolError, StorageError as `recovery.ts` says;
 *   ConfigError when an option of the core is invalid.
 */
async function hostRegion(region: CheckedRegion, opening: RegionOpening): Promise<Region> {
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
