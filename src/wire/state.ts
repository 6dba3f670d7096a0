/**
 * The hard state and the configuration as bytes: `eraftpb.HardState` and `eraftpb.ConfState`.
 *
 * @module
 */

import type { ConfState, HardState, PeerId } from "../raft/mod.ts";
import { Reader, wrongWireType } from "./reader.ts";
import {
  checkUint,
  lengthFieldSize,
  uintFieldSize,
  varintSize,
  writeLength,
  writeUintField,
  writeVarint,
} from "./writer.ts";

/** Wire types of a repeated integer: packed, which we write, and one by one, which we read too. */
const PACKED = 2;
const SINGLE = 0;

const TAG_VOTERS = 0x0a;
const TAG_LEARNERS = 0x12;
const TAG_VOTERS_OUTGOING = 0x1a;
const TAG_LEARNERS_NEXT = 0x22;
const TAG_AUTO_LEAVE = 0x28;

/**
 * Bytes of `state` on the wire, without a length before them.
 *
 * @throws WireError when an id is no integer from 0 to 2^53-1.
 */
export function confStateWireSize(state: ConfState): number {
  return idsFieldSize("ConfState.voters", state.voters) +
    idsFieldSize("ConfState.learners", state.learners) +
    idsFieldSize("ConfState.voters_outgoing", state.votersOutgoing) +
    idsFieldSize("ConfState.learners_next", state.learnersNext) +
    (state.autoLeave ? 2 : 0);
}

/** Writes a configuration that `confStateWireSize` has measured. */
export function writeConfState(into: Uint8Array, position: number, state: ConfState): number {
  position = writeIds(into, position, TAG_VOTERS, state.voters);
  position = writeIds(into, position, TAG_LEARNERS, state.learners);
  position = writeIds(into, position, TAG_VOTERS_OUTGOING, state.votersOutgoing);
  position = writeIds(into, position, TAG_LEARNERS_NEXT, state.learnersNext);
  if (state.autoLeave) {
    into[position++] = TAG_AUTO_LEAVE;
    into[position++] = 1;
  }
  return position;
}

/** Reads a configuration up to the reader's end. The lists keep the order they have in the bytes. */
export function readConfState(reader: Reader): ConfState {
  const voters: PeerId[] = [];
  const learners: PeerId[] = [];
  const votersOutgoing: PeerId[] = [];
  const learnersNext: PeerId[] = [];
  let autoLeave = false;
  while (reader.more()) {
    const tag = reader.tag("ConfState");
    switch (tag >>> 3) {
      case 1:
        readIds(reader, tag, "ConfState.voters", voters);
        break;
      case 2:
        readIds(reader, tag, "ConfState.learners", learners);
        break;
      case 3:
        readIds(reader, tag, "ConfState.voters_outgoing", votersOutgoing);
        break;
      case 4:
        readIds(reader, tag, "ConfState.learners_next", learnersNext);
        break;
      case 5:
        if (tag !== TAG_AUTO_LEAVE) throw wrongWireType("ConfState", tag);
        autoLeave = reader.bool("ConfState.auto_leave");
        break;
      default:
        reader.skip(tag, "ConfState");
    }
  }
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}

/**
 * Encodes a configuration.
 *
 * @throws WireError when an id is no integer from 0 to 2^53-1.
 */
export function encodeConfState(state: ConfState): Uint8Array {
  const bytes = new Uint8Array(confStateWireSize(state));
  writeConfState(bytes, 0, state);
  return bytes;
}

/**
 * Decodes a configuration.
 *
 * @throws WireError when the bytes are none.
 */
export function decodeConfState(bytes: Uint8Array): ConfState {
  return readConfState(new Reader(bytes));
}

/**
 * Encodes a hard state.
 *
 * @throws WireError when a number is no integer from 0 to 2^53-1.
 */
export function encodeHardState(state: HardState): Uint8Array {
  const bytes = new Uint8Array(
    uintFieldSize("HardState.term", state.currentTerm) +
      uintFieldSize("HardState.vote", state.votedFor) +
      uintFieldSize("HardState.commit", state.commitIndex),
  );
  let position = writeUintField(bytes, 0, 0x08, state.currentTerm);
  position = writeUintField(bytes, position, 0x10, state.votedFor);
  writeUintField(bytes, position, 0x18, state.commitIndex);
  return bytes;
}

/**
 * Decodes a hard state.
 *
 * @throws WireError when the bytes are none.
 */
export function decodeHardState(bytes: Uint8Array): HardState {
  const reader = new Reader(bytes);
  let currentTerm = 0;
  let votedFor = 0;
  let commitIndex = 0;
  while (reader.more()) {
    const tag = reader.tag("HardState");
    switch (tag) {
      case 0x08:
        currentTerm = reader.uint("HardState.term");
        break;
      case 0x10:
        votedFor = reader.uint("HardState.vote");
        break;
      case 0x18:
        commitIndex = reader.uint("HardState.commit");
        break;
      default:
        if (tag >>> 3 <= 3) throw wrongWireType("HardState", tag);
        reader.skip(tag, "HardState");
    }
  }
  return { currentTerm, votedFor, commitIndex };
}

function idsFieldSize(field: string, ids: readonly PeerId[]): number {
  if (ids.length === 0) return 0;
  for (const id of ids) checkUint(field, id);
  return lengthFieldSize(idsSize(ids));
}

function idsSize(ids: readonly PeerId[]): number {
  let size = 0;
  for (const id of ids) size += varintSize(id);
  return size;
}

function writeIds(
  into: Uint8Array,
  position: number,
  tag: number,
  ids: readonly PeerId[],
): number {
  if (ids.length === 0) return position;
  position = writeLength(into, position, tag, idsSize(ids));
  for (const id of ids) position = writeVarint(into, position, id);
  return position;
}

function readIds(reader: Reader, tag: number, field: string, into: PeerId[]): void {
  if ((tag & 7) === SINGLE) {
    into.push(reader.uint(field));
    return;
  }
  if ((tag & 7) !== PACKED) throw wrongWireType("ConfState", tag);
  const outer = reader.end;
  reader.end = reader.lengthEnd(field);
  while (reader.more()) into.push(reader.uint(field));
  reader.end = outer;
}
