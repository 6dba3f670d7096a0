/**
 * How entries and region states become rows and back, with a CRC-32 over everything a row says,
 * its region and index included, so that a row in the wrong place is found as well as a changed one.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import type {
  ConfState,
  EntryType,
  PeerId,
  RaftLogEntry,
  SnapshotMetadata,
} from "../../raft/mod.ts";
import type { NodeIdentity } from "../contract.ts";
import type { RegionState } from "../region_state.ts";
import type { SqlValue } from "./database.ts";

/** The numbers of entry types on disk: those of eraftpb. */
const ENTRY_TYPES: readonly EntryType[] = ["normal", "conf-change", "conf-change-v2"];
const TYPE_NUMBERS: Readonly<Record<EntryType, number>> = {
  "normal": 0,
  "conf-change": 1,
  "conf-change-v2": 2,
};

const ENTRY_HEADER = new DataView(new ArrayBuffer(36));
const ENTRY_HEADER_BYTES = new Uint8Array(ENTRY_HEADER.buffer);
const NO_CONTEXT_LENGTH = 0xffffffff;

/** The number that stands for a type on disk. */
export function entryTypeNumber(type: EntryType): number {
  return TYPE_NUMBERS[type];
}

/** The checksum of a log row. */
export function entryChecksum(
  regionId: number,
  index: number,
  term: number,
  type: number,
  command: Uint8Array,
  context: Uint8Array | null | undefined,
): number {
  setUint64(ENTRY_HEADER, 0, regionId);
  setUint64(ENTRY_HEADER, 8, index);
  setUint64(ENTRY_HEADER, 16, term);
  ENTRY_HEADER.setUint32(24, type, true);
  ENTRY_HEADER.setUint32(28, command.length, true);
  const absent = context === null || context === undefined;
  ENTRY_HEADER.setUint32(32, absent ? NO_CONTEXT_LENGTH : context.length, true);
  let checksum = crc32(ENTRY_HEADER_BYTES);
  if (command.length > 0) checksum = crc32(command, checksum);
  if (!absent && context.length > 0) checksum = crc32(context, checksum);
  return checksum;
}

function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, value / 0x100000000, true);
}

/** The columns of a log row as they are selected: index, term, type, command, context, checksum. */
export type EntryRow = [number, number, number, Uint8Array, Uint8Array | null, number];

/** The entry in a row, or undefined when its checksum or a value is wrong. */
export function decodeEntry(regionId: number, row: SqlValue[]): RaftLogEntry | undefined {
  const [index, term, type, command, context, checksum] = row as EntryRow;
  if (entryChecksum(regionId, index, term, type, command, context) !== checksum) return undefined;
  if (type < 0 || type >= ENTRY_TYPES.length) return undefined;
  return { index, term, type: ENTRY_TYPES[type], command, context: context ?? undefined };
}

/** A row of `raft_state`, decoded. */
export interface RegionRow {
  /** The number that stands for the region in the keys of `raft_log`. */
  readonly slot: number;
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  /** What is kept of it. */
  readonly state: RegionState;
}

/** The columns of `raft_state`, in the order of {@linkcode encodeRegion}. */
export const REGION_COLUMNS: readonly string[] = [
  "slot",
  "region_id",
  "peer_id",
  "current_term",
  "voted_for",
  "commit_index",
  "conf_state",
  "conf_state_index",
  "truncated_index",
  "truncated_term",
  "last_index",
  "last_term",
  "snapshot",
  "checksum",
];

const texts = new WeakMap<ConfState | SnapshotMetadata, string>();

/** The JSON of a configuration or of a snapshot's metadata, made once an object. */
function textOf(value: ConfState | SnapshotMetadata): string {
  let text = texts.get(value);
  if (text === undefined) {
    text = JSON.stringify("confState" in value ? metadataFields(value) : confStateFields(value));
    texts.set(value, text);
  }
  return text;
}

function confStateFields(confState: ConfState): ConfState {
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = confState;
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}

function metadataFields(metadata: SnapshotMetadata): SnapshotMetadata {
  const { index, term, confState } = metadata;
  return { index, term, confState: confStateFields(confState) };
}

/** The values of a region's row, its checksum last. */
export function encodeRegion(
  slot: number,
  regionId: number,
  peerId: PeerId,
  state: RegionState,
): SqlValue[] {
  const row: SqlValue[] = [
    slot,
    regionId,
    peerId,
    state.hardState.currentTerm,
    state.hardState.votedFor,
    state.hardState.commitIndex,
    textOf(state.confState),
    state.confStateIndex,
    state.truncatedIndex,
    state.truncatedTerm,
    state.lastIndex,
    state.lastTerm,
    state.snapshot === undefined ? null : textOf(state.snapshot),
  ];
  row.push(crc32(row.join("\n")));
  return row;
}

/** The region in a row of all {@linkcode REGION_COLUMNS}, or undefined when it is damaged. */
export function decodeRegion(row: SqlValue[]): RegionRow | undefined {
  if (crc32(row.slice(0, -1).join("\n")) !== row[row.length - 1]) return undefined;
  const [slot, regionId, peerId, currentTerm, votedFor, commitIndex] = row as number[];
  const [confStateIndex, truncatedIndex, truncatedTerm, lastIndex, lastTerm] = row
    .slice(7, 12) as number[];
  const snapshot = row[12] as string | null;
  return {
    slot,
    regionId,
    peerId,
    state: {
      hardState: { currentTerm, votedFor, commitIndex },
      confState: JSON.parse(row[6] as string),
      confStateIndex,
      truncatedIndex,
      truncatedTerm,
      lastIndex,
      lastTerm,
      snapshot: snapshot === null ? undefined : JSON.parse(snapshot),
    },
  };
}

/** The checksum of a snapshot's row. */
export function snapshotChecksum(regionId: number, index: number, data: Uint8Array): number {
  const head = crc32(`${regionId}\n${index}\n${data.length}`);
  // Node 22 gives 0 for an empty blob as SQLite hands it out.
  return data.length > 0 ? crc32(data, head) : head;
}

/** The checksum of the identity's row. */
export function identityChecksum(identity: NodeIdentity, formatVersion: number): number {
  return crc32(`${identity.clusterId}\n${identity.nodeId}\n${formatVersion}`);
}
