/**
 * Frames as bytes: many messages of many regions that travel together from one node to another
 * (`Frame.messages` in `proto/raft_service.proto`). A message that is refused does not take the
 * rest of its frame with it.
 *
 * Decoded byte arrays are views of the frame, because a copy of each costs more than all other work
 * on an entry (1 µs against 40 ns on V8). A view keeps the memory behind it alive; so that a small
 * entry never holds a large buffer, a message that is a small part of the buffer is copied once, as
 * a whole ({@linkcode VIEW_SHARE}).
 *
 * @module
 */

import type { Message } from "../raft/mod.ts";
import { WireError } from "./errors.ts";
import { messageWireSize, readMessage, writeMessage } from "./message.ts";
import { Reader, repeatedField, wrongWireType } from "./reader.ts";
import { checkUint, lengthFieldSize, varintSize, writeLength, writeVarint } from "./writer.ts";

/** A message and the region it belongs to. */
export interface RegionMessage {
  /** The region: an integer from 1. */
  readonly regionId: number;
  /** A message between peers; never of a local or storage kind. */
  readonly message: Message;
}

/** Most messages in a frame: 65,536. */
export const MESSAGES_PER_FRAME_MAX = 65_536;

/** Most refused messages in a frame, 64, before the frame as a whole counts as malformed. */
export const REFUSED_PER_FRAME_MAX = 64;

/**
 * A message of less than one part in this many, 8, of the buffer its frame lies in is copied: what is
 * decoded never keeps more than about eight times its own size in memory.
 */
export const VIEW_SHARE = 8;

/** Below this size a message, a heartbeat or an acknowledgement, holds nothing that is kept for long. */
const COPY_BYTES_MIN = 64;

const TAG_HELLO = 0x0a;
const TAG_MESSAGE = 0x12;
const TAG_REGION_ID = 0x08;
const TAG_REGION_MESSAGE = 0x12;

/** What a frame held. */
export interface DecodedFrame {
  /** The messages that were accepted, in the order of the frame. */
  readonly messages: readonly RegionMessage[];
  /** One error for each message that was refused. */
  readonly refused: readonly WireError[];
}

/** Limits on what a frame may hold. */
export interface FrameLimits {
  /** Most bytes of one message, as an `eraftpb.Message`. Default: no limit but the frame itself. */
  readonly messageBytesMax?: number;
}

/**
 * Bytes that a region's message takes in a frame, when the message alone takes `messageBytes`, as
 * `messageWireSize` measures.
 *
 * @throws WireError `WIRE_INTEGER_RANGE` when the region is no integer from 1 to 2^53-1.
 */
export function frameItemSize(regionId: number, messageBytes: number): number {
  return lengthFieldSize(regionMessageSize(regionId, messageBytes));
}

/**
 * Writes a region's message into a frame under construction; `messageBytes` is what
 * `messageWireSize` measured. Yields the position after it. A frame is nothing but such parts.
 */
export function writeFrameItem(
  into: Uint8Array,
  position: number,
  item: RegionMessage,
  messageBytes: number,
): number {
  const { regionId } = item;
  const length = 1 + varintSize(regionId) + lengthFieldSize(messageBytes);
  position = writeLength(into, position, TAG_MESSAGE, length);
  into[position] = TAG_REGION_ID;
  position = writeVarint(into, position + 1, regionId);
  position = writeLength(into, position, TAG_REGION_MESSAGE, messageBytes);
  return writeMessage(into, position, item.message);
}

/**
 * Encodes a frame of messages.
 *
 * @throws WireError when one of them cannot be encoded, or there are more than
 * {@linkcode MESSAGES_PER_FRAME_MAX}.
 */
export function encodeFrame(items: readonly RegionMessage[]): Uint8Array {
  if (items.length > MESSAGES_PER_FRAME_MAX) throw tooManyMessages("encode", items.length);
  const sizes = items.map((item) => messageWireSize(item.message));
  let size = 0;
  for (let i = 0; i < items.length; i++) size += frameItemSize(items[i]!.regionId, sizes[i]!);
  const bytes = new Uint8Array(size);
  let position = 0;
  for (let i = 0; i < items.length; i++) {
    position = writeFrameItem(bytes, position, items[i]!, sizes[i]!);
  }
  return bytes;
}

/**
 * Decodes a frame of messages. `bytes` must not change afterwards: what is decoded holds views of it.
 *
 * @throws WireError when the frame itself cannot be read, holds a hello, more than
 * {@linkcode MESSAGES_PER_FRAME_MAX} messages, or more than {@linkcode REFUSED_PER_FRAME_MAX} that
 * must be refused.
 */
export function decodeFrame(bytes: Uint8Array, limits: FrameLimits = {}): DecodedFrame {
  const messageBytesMax = limits.messageBytesMax ?? Infinity;
  const messages: RegionMessage[] = [];
  const refused: WireError[] = [];
  const reader = new Reader(bytes);
  while (reader.more()) {
    const tag = reader.tag("Frame");
    if (tag !== TAG_MESSAGE) {
      if (tag === TAG_HELLO) throw unexpectedHello();
      if (tag >>> 3 <= 2) throw wrongWireType("Frame", tag);
      reader.skip(tag, "Frame");
      continue;
    }
    if (messages.length + refused.length >= MESSAGES_PER_FRAME_MAX) {
      throw tooManyMessages("decode", MESSAGES_PER_FRAME_MAX + 1);
    }
    const end = reader.lengthEnd("Frame.messages");
    const length = end - reader.position;
    try {
      // The buffer of a small array is made when it is first asked for: not for messages this short.
      if (length >= COPY_BYTES_MIN && length < bytes.buffer.byteLength / VIEW_SHARE) {
        const copy = new Uint8Array(length);
        copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset + reader.position, length));
        messages.push(readRegionMessage(new Reader(copy), messageBytesMax));
      } else {
        reader.end = end;
        messages.push(readRegionMessage(reader, messageBytesMax));
      }
    } catch (error) {
      if (!(error instanceof WireError) || refused.length >= REFUSED_PER_FRAME_MAX) throw error;
      refused.push(error);
    }
    reader.position = end;
    reader.end = bytes.length;
  }
  return { messages, refused };
}

function regionMessageSize(regionId: number, messageBytes: number): number {
  if (regionId === 0) throw regionZero("encode");
  checkUint("RegionMessage.region_id", regionId);
  return 1 + varintSize(regionId) + lengthFieldSize(messageBytes);
}

function readRegionMessage(reader: Reader, messageBytesMax: number): RegionMessage {
  let regionId = 0;
  let message: Message | undefined;
  while (reader.more()) {
    const tag = reader.tag("RegionMessage");
    switch (tag) {
      case TAG_REGION_ID:
        regionId = reader.uint("RegionMessage.region_id");
        break;
      case TAG_REGION_MESSAGE: {
        if (message !== undefined) throw repeatedField("RegionMessage.message");
        const outer = reader.end;
        reader.end = reader.lengthEnd("RegionMessage.message");
        checkMessageBytes(reader.end - reader.position, messageBytesMax);
        message = readMessage(reader);
        reader.end = outer;
        break;
      }
      default:
        if (tag >>> 3 <= 2) throw wrongWireType("RegionMessage", tag);
        reader.skip(tag, "RegionMessage");
    }
  }
  if (regionId === 0) throw regionZero("decode");
  if (message === undefined) {
    throw new WireError(
      "WIRE_MALFORMED",
      "RegionMessage.message",
      "Cannot decode RegionMessage.message as it is missing",
    );
  }
  return { regionId, message };
}

function checkMessageBytes(length: number, messageBytesMax: number): void {
  if (length <= messageBytesMax) return;
  throw new WireError(
    "WIRE_LIMIT",
    "RegionMessage.message",
    `Cannot decode RegionMessage.message as it must have at most ${messageBytesMax} bytes: ` +
      `it has ${length}`,
  );
}

function regionZero(action: string): WireError {
  return new WireError(
    "WIRE_INTEGER_RANGE",
    "RegionMessage.region_id",
    `Cannot ${action} RegionMessage.region_id as it must be an integer from 1 to 2^53-1: found 0`,
  );
}

function unexpectedHello(): WireError {
  return new WireError(
    "WIRE_MALFORMED",
    "Frame.hello",
    "Cannot decode Frame.hello as only the first frame of a stream may have one",
  );
}

function tooManyMessages(action: string, count: number): WireError {
  return new WireError(
    "WIRE_LIMIT",
    "Frame.messages",
    `Cannot ${action} Frame.messages as there must be at most ${MESSAGES_PER_FRAME_MAX}: ` +
      `found ${count}`,
  );
}
