/**
 * Snapshots as bytes: `eraftpb.Snapshot`.
 *
 * @module
 */

import type { ConfState, Snapshot, SnapshotMetadata } from "../raft/mod.ts";
import { Reader, repeatedField, wrongWireType } from "./reader.ts";
import { confStateWireSize, readConfState, writeConfState } from "./state.ts";
import {
  bytesFieldSize,
  lengthFieldSize,
  uintFieldSize,
  writeBytesField,
  writeLength,
  writeUintField,
} from "./writer.ts";

const TAG_DATA = 0x0a;
const TAG_METADATA = 0x12;
const TAG_CONF_STATE = 0x0a;
const TAG_INDEX = 0x10;
const TAG_TERM = 0x18;

const NO_BYTES = new Uint8Array(0);

/**
 * Bytes of `snapshot` on the wire, without a length before them.
 *
 * @throws WireError when a number is no integer from 0 to 2^53-1.
 */
export function snapshotWireSize(snapshot: Snapshot): number {
  return bytesFieldSize(snapshot.data) + lengthFieldSize(metadataSize(snapshot.metadata));
}

/** Writes a snapshot that `snapshotWireSize` has measured. */
export function writeSnapshot(into: Uint8Array, position: number, snapshot: Snapshot): number {
  const { metadata } = snapshot;
  position = writeBytesField(into, position, TAG_DATA, snapshot.data);
  position = writeLength(into, position, TAG_METADATA, metadataSize(metadata));
  position = writeLength(into, position, TAG_CONF_STATE, confStateWireSize(metadata.confState));
  position = writeConfState(into, position, metadata.confState);
  position = writeUintField(into, position, TAG_INDEX, metadata.index);
  return writeUintField(into, position, TAG_TERM, metadata.term);
}

/** Reads a snapshot up to the reader's end. */
export function readSnapshot(reader: Reader): Snapshot {
  let data: Uint8Array = NO_BYTES;
  let metadata: SnapshotMetadata | undefined;
  while (reader.more()) {
    const tag = reader.tag("Snapshot");
    switch (tag) {
      case TAG_DATA:
        data = reader.view("Snapshot.data");
        break;
      case TAG_METADATA: {
        if (metadata !== undefined) throw repeatedField("Snapshot.metadata");
        const outer = reader.end;
        reader.end = reader.lengthEnd("Snapshot.metadata");
        metadata = readMetadata(reader);
        reader.end = outer;
        break;
      }
      default:
        if (tag >>> 3 <= 2) throw wrongWireType("Snapshot", tag);
        reader.skip(tag, "Snapshot");
    }
  }
  return { metadata: metadata ?? { index: 0, term: 0, confState: emptyConfState() }, data };
}

/**
 * Encodes a snapshot.
 *
 * @throws WireError when a number is no integer from 0 to 2^53-1.
 */
export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
  const bytes = new Uint8Array(snapshotWireSize(snapshot));
  writeSnapshot(bytes, 0, snapshot);
  return bytes;
}

/**
 * Decodes a snapshot. Its data is a view of `bytes`, which must not change afterwards.
 *
 * @throws WireError when the bytes are no snapshot.
 */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  return readSnapshot(new Reader(bytes));
}

function metadataSize(metadata: SnapshotMetadata): number {
  return lengthFieldSize(confStateWireSize(metadata.confState)) +
    uintFieldSize("SnapshotMetadata.index", metadata.index) +
    uintFieldSize("SnapshotMetadata.term", metadata.term);
}

function readMetadata(reader: Reader): SnapshotMetadata {
  let confState: ConfState | undefined;
  let index = 0;
  let term = 0;
  while (reader.more()) {
    const tag = reader.tag("SnapshotMetadata");
    switch (tag) {
      case TAG_CONF_STATE: {
        if (confState !== undefined) throw repeatedField("SnapshotMetadata.conf_state");
        const outer = reader.end;
        reader.end = reader.lengthEnd("SnapshotMetadata.conf_state");
        confState = readConfState(reader);
        reader.end = outer;
        break;
      }
      case TAG_INDEX:
        index = reader.uint("SnapshotMetadata.index");
        break;
      case TAG_TERM:
        term = reader.uint("SnapshotMetadata.term");
        break;
      default:
        if (tag >>> 3 <= 3) throw wrongWireType("SnapshotMetadata", tag);
        reader.skip(tag, "SnapshotMetadata");
    }
  }
  return { index, term, confState: confState ?? emptyConfState() };
}

function emptyConfState(): ConfState {
  return { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
}
