/**
 * The checks of a node's options, and their defaults.
 *
 * @module
 */

import { ConfigError, type Logger, type PeerId, SILENT_LOGGER } from "../raft/mod.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { checkCompaction, type CheckedCompaction } from "./compaction.ts";
import type { Member, NodeOptions, RegionOptions } from "./options.ts";
import { unpredictableSeed } from "./random.ts";
import type { StateMachine } from "./state_machine.ts";

/** A member with its node. */
export type CheckedMember = Member & { readonly nodeId: number };

/** The options of a region with every default filled in. */
export interface CheckedRegion {
  readonly regionId: number;
  readonly peerId: PeerId;
  readonly stateMachine: StateMachine;
  readonly members: readonly CheckedMember[];
  readonly join: boolean;
}

/** The options of a node with every default filled in. */
export interface CheckedNodeOptions {
  readonly nodeId: number;
  readonly directory: string | undefined;
  readonly snapshotSendsMax: number;
  readonly compaction: CheckedCompaction;
  readonly regions: readonly CheckedRegion[];
  readonly tickMs: number;
  readonly requestTimeoutMs: number;
  readonly logger: Logger;
  readonly seed: number;
  readonly clock: Clock;
}

const TICK_MS_DEFAULT = 100;
const REQUEST_TIMEOUT_MS_DEFAULT = 5_000;
const SNAPSHOT_SENDS_MAX_DEFAULT = 2;

/**
 * Checks the options of a node. Those of the core are checked by the core.
 *
 * @throws ConfigError naming the option, what it must be and what it is.
 */
export function checkNodeOptions(options: NodeOptions): CheckedNodeOptions {
  const { nodeId, storage, clusterId } = options;
  checkPositive("nodeId", nodeId);
  if (storage.identity.nodeId !== nodeId) {
    throw new ConfigError(
      `nodeId must be ${storage.identity.nodeId}, as the storage says: current value is ${nodeId}`,
    );
  }
  if (clusterId !== undefined && storage.identity.clusterId !== clusterId) {
    throw new ConfigError(
      `clusterId must be "${storage.identity.clusterId}", as the storage says: ` +
        `current value is "${clusterId}"`,
    );
  }
  const tickMs = options.tickMs ?? TICK_MS_DEFAULT;
  const requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS_DEFAULT;
  checkPositive("tickMs", tickMs);
  checkPositive("requestTimeoutMs", requestTimeoutMs);
  const snapshotSendsMax = options.snapshotSendsMax ?? SNAPSHOT_SENDS_MAX_DEFAULT;
  checkPositive("snapshotSendsMax", snapshotSendsMax);
  if (options.sessionClockMs !== undefined) checkPositive("sessionClockMs", options.sessionClockMs);
  return {
    nodeId,
    directory: options.directory,
    snapshotSendsMax,
    compaction: checkCompaction(options.compaction),
    regions: checkRegions(options.regions, nodeId),
    tickMs,
    requestTimeoutMs,
    logger: options.logger ?? SILENT_LOGGER,
    seed: options.seed ?? unpredictableSeed(),
    clock: options.clock ?? SYSTEM_CLOCK,
  };
}

function checkRegions(regions: readonly RegionOptions[], nodeId: number): CheckedRegion[] {
  if (!Array.isArray(regions) || regions.length === 0) {
    throw new ConfigError("regions must name at least one region: current value has none");
  }
  const checked = regions.map((region) => checkRegion(region, nodeId));
  const ids = checked.map((region) => region.regionId);
  checkDistinct("regions[].regionId", ids);
  return checked;
}

function checkRegion(region: RegionOptions, nodeId: number): CheckedRegion {
  const regionId = region.regionId ?? 1;
  checkPositive("regionId", regionId);
  const members = region.members.map((member) => ({
    ...member,
    nodeId: member.nodeId ?? member.peerId,
  }));
  for (const member of members) {
    checkPositive("members[].peerId", member.peerId);
    checkPositive("members[].nodeId", member.nodeId);
  }
  checkDistinct("members[].peerId", members.map((member) => member.peerId));
  checkDistinct("members[].nodeId", members.map((member) => member.nodeId));
  const own = members.find((member) => member.nodeId === nodeId);
  const peerId = region.peerId ?? own?.peerId;
  if (peerId === undefined) {
    throw new ConfigError(
      `peerId must be given for region ${regionId}, as none of its members is on node ${nodeId}`,
    );
  }
  checkPositive("peerId", peerId);
  if (own !== undefined && own.peerId !== peerId) {
    throw new ConfigError(
      `peerId must be ${own.peerId}, as the members of region ${regionId} say: ` +
        `current value is ${peerId}`,
    );
  }
  const { stateMachine, join = false } = region;
  return { regionId, peerId, stateMachine, members, join };
}

/** @throws ConfigError when `value` is no integer from 1. */
export function checkPositive(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new ConfigError(`${name} must be an integer >= 1: current value is ${String(value)}`);
  }
}

function checkDistinct(name: string, values: readonly number[]): void {
  const repeated = values.find((value, position) => values.indexOf(value) !== position);
  if (repeated !== undefined) {
    throw new ConfigError(`${name} must be distinct: ${repeated} is there twice`);
  }
}
