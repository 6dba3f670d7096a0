/**
 * What opens a stream between two nodes, and what comes back on it, as bytes: `Frame.hello` and
 * `Reply` in `proto/raft_service.proto`. What the values mean is the transport's business.
 *
 * @module
 */

import { WireError } from "./errors.ts";
import { Reader, repeatedField, wrongWireType } from "./reader.ts";
import {
  lengthFieldSize,
  uintFieldSize,
  writeBytesField,
  writeLength,
  writeUintField,
} from "./writer.ts";

/** Most bytes of a cluster id or of a feature's name, as UTF-8: 128. */
export const NAME_BYTES_MAX = 128;

/** Most features in a hello or a welcome: 64. */
export const FEATURES_MAX = 64;

/** Who calls, and whom it means to reach. */
export interface Hello {
  /** The version of the protocol the dialer speaks. */
  readonly protocolVersion: number;
  /** The dialer's cluster. */
  readonly clusterId: string;
  /** The dialer. */
  readonly fromNode: number;
  /** The node it means to reach. */
  readonly toNode: number;
  /** Names of what the dialer understands beyond the protocol's version. */
  readonly features: readonly string[];
}

/** A listener's consent. */
export interface Welcome {
  /** The version of the protocol the listener speaks. */
  readonly protocolVersion: number;
  /** The listener. */
  readonly node: number;
  /** Names of what the listener understands beyond the protocol's version. */
  readonly features: readonly string[];
  /** The largest message the listener takes, in bytes; 0 when it does not say. */
  readonly messageBytesMax: number;
  /** Bytes of frames that may be under way before `receivedBytes` confirms some; 0: no limit. */
  readonly windowBytes: number;
}

/** What a listener sends: its consent first, then how far it has come. */
export interface Reply {
  /** In the first reply: the consent. */
  readonly welcome: Welcome | undefined;
  /** Bytes of all frames after the hello that the listener is done with; undefined when it does not say. */
  readonly receivedBytes: number | undefined;
}

const TAG_EMBEDDED = 0x0a;

/**
 * Encodes the first frame of a stream.
 *
 * @throws WireError when a number or a name is out of its range.
 */
export function encodeHello(hello: Hello): Uint8Array {
  const clusterId = encodeName("Hello.cluster_id", hello.clusterId);
  const features = encodeFeatures("Hello.features", hello.features);
  const size = uintFieldSize("Hello.protocol_version", hello.protocolVersion) +
    lengthFieldSize(clusterId.length) +
    uintFieldSize("Hello.from_node", hello.fromNode) +
    uintFieldSize("Hello.to_node", hello.toNode) +
    featuresSize(features);
  const bytes = new Uint8Array(lengthFieldSize(size));
  let position = writeLength(bytes, 0, TAG_EMBEDDED, size);
  position = writeUintField(bytes, position, 0x08, hello.protocolVersion);
  position = writeLength(bytes, position, 0x12, clusterId.length);
  bytes.set(clusterId, position);
  position += clusterId.length;
  position = writeUintField(bytes, position, 0x18, hello.fromNode);
  position = writeUintField(bytes, position, 0x20, hello.toNode);
  for (const feature of features) position = writeBytesField(bytes, position, 0x2a, feature);
  return bytes;
}

/**
 * Decodes the first frame of a stream.
 *
 * @throws WireError when it is no hello, or holds messages too.
 */
export function decodeHello(bytes: Uint8Array): Hello {
  const reader = openHello(bytes);
  let protocolVersion = 0;
  let clusterId = "";
  let fromNode = 0;
  let toNode = 0;
  const features: string[] = [];
  while (reader.more()) {
    const tag = reader.tag("Hello");
    switch (tag) {
      case 0x08:
        protocolVersion = reader.uint("Hello.protocol_version");
        break;
      case 0x12:
        clusterId = decodeName(reader, "Hello.cluster_id");
        break;
      case 0x18:
        fromNode = reader.uint("Hello.from_node");
        break;
      case 0x20:
        toNode = reader.uint("Hello.to_node");
        break;
      case 0x2a:
        addFeature(features, decodeName(reader, "Hello.features"), "Hello.features");
        break;
      default:
        if (tag >>> 3 <= 5) throw wrongWireType("Hello", tag);
        reader.skip(tag, "Hello");
    }
  }
  return { protocolVersion, clusterId, fromNode, toNode, features };
}

/**
 * Encodes a listener's reply to a hello.
 *
 * @throws WireError when a number or a name is out of its range.
 */
export function encodeWelcome(welcome: Welcome): Uint8Array {
  const features = encodeFeatures("Welcome.features", welcome.features);
  const size = uintFieldSize("Welcome.protocol_version", welcome.protocolVersion) +
    uintFieldSize("Welcome.node", welcome.node) +
    featuresSize(features) +
    uintFieldSize("Welcome.message_bytes_max", welcome.messageBytesMax) +
    uintFieldSize("Welcome.window_bytes", welcome.windowBytes);
  const bytes = new Uint8Array(lengthFieldSize(size));
  let position = writeLength(bytes, 0, TAG_EMBEDDED, size);
  position = writeUintField(bytes, position, 0x08, welcome.protocolVersion);
  position = writeUintField(bytes, position, 0x10, welcome.node);
  for (const feature of features) position = writeBytesField(bytes, position, 0x1a, feature);
  position = writeUintField(bytes, position, 0x20, welcome.messageBytesMax);
  writeUintField(bytes, position, 0x28, welcome.windowBytes);
  return bytes;
}

/**
 * Encodes how far a listener has come.
 *
 * @throws WireError when `receivedBytes` is no integer from 0 to 2^53-1.
 */
export function encodeReceived(receivedBytes: number): Uint8Array {
  const bytes = new Uint8Array(uintFieldSize("Reply.received_bytes", receivedBytes));
  writeUintField(bytes, 0, 0x10, receivedBytes);
  return bytes;
}

/**
 * Decodes what a listener sent.
 *
 * @throws WireError when it cannot be read.
 */
export function decodeReply(bytes: Uint8Array): Reply {
  const reader = new Reader(bytes);
  let welcome: Welcome | undefined;
  let receivedBytes: number | undefined;
  while (reader.more()) {
    const tag = reader.tag("Reply");
    switch (tag) {
      case TAG_EMBEDDED: {
        if (welcome !== undefined) throw repeatedField("Reply.welcome");
        const outer = reader.end;
        reader.end = reader.lengthEnd("Reply.welcome");
        welcome = readWelcome(reader);
        reader.end = outer;
        break;
      }
      case 0x10:
        receivedBytes = reader.uint("Reply.received_bytes");
        break;
      default:
        if (tag >>> 3 <= 2) throw wrongWireType("Reply", tag);
        reader.skip(tag, "Reply");
    }
  }
  return { welcome, receivedBytes };
}

function readWelcome(reader: Reader): Welcome {
  let protocolVersion = 0;
  let node = 0;
  const features: string[] = [];
  let messageBytesMax = 0;
  let windowBytes = 0;
  while (reader.more()) {
    const tag = reader.tag("Welcome");
    switch (tag) {
      case 0x08:
        protocolVersion = reader.uint("Welcome.protocol_version");
        break;
      case 0x10:
        node = reader.uint("Welcome.node");
        break;
      case 0x1a:
        addFeature(features, decodeName(reader, "Welcome.features"), "Welcome.features");
        break;
      case 0x20:
        messageBytesMax = reader.uint("Welcome.message_bytes_max");
        break;
      case 0x28:
        windowBytes = reader.uint("Welcome.window_bytes");
        break;
      default:
        if (tag >>> 3 <= 5) throw wrongWireType("Welcome", tag);
        reader.skip(tag, "Welcome");
    }
  }
  return { protocolVersion, node, features, messageBytesMax, windowBytes };
}

/** Finds the hello in a frame; it must be alone. */
function openHello(bytes: Uint8Array): Reader {
  const reader = new Reader(bytes);
  let hello: Reader | undefined;
  while (reader.more()) {
    const tag = reader.tag("Frame.hello");
    if (tag === TAG_EMBEDDED) {
      if (hello !== undefined) throw repeatedField("Frame.hello");
      const end = reader.lengthEnd("Frame.hello");
      hello = new Reader(bytes, reader.position, end);
      reader.position = end;
    } else if (tag >>> 3 <= 2) {
      throw new WireError(
        "WIRE_MALFORMED",
        "Frame.hello",
        `Cannot decode Frame.hello as it must be alone: found field ${tag >>> 3}`,
      );
    } else {
      reader.skip(tag, "Frame.hello");
    }
  }
  if (hello === undefined) {
    throw new WireError(
      "WIRE_MALFORMED",
      "Frame.hello",
      "Cannot decode Frame.hello as it is missing",
    );
  }
  return hello;
}

function encodeName(field: string, name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length > NAME_BYTES_MAX) {
    throw nameLength("encode", field, bytes.length);
  }
  return bytes;
}

function decodeName(reader: Reader, field: string): string {
  const bytes = reader.view(field);
  if (bytes.length > NAME_BYTES_MAX) throw nameLength("decode", field, bytes.length);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WireError("WIRE_MALFORMED", field, `Cannot decode ${field} as it must be UTF-8`);
  }
}

function encodeFeatures(field: string, features: readonly string[]): Uint8Array[] {
  if (features.length > FEATURES_MAX) throw tooManyFeatures(field);
  return features.map((feature) => encodeName(field, feature));
}

function featuresSize(features: readonly Uint8Array[]): number {
  let size = 0;
  for (const feature of features) size += lengthFieldSize(feature.length);
  return size;
}

function addFeature(features: string[], feature: string, field: string): void {
  if (features.length >= FEATURES_MAX) throw tooManyFeatures(field);
  features.push(feature);
}

function nameLength(action: string, field: string, length: number): WireError {
  return new WireError(
    "WIRE_LIMIT",
    field,
    `Cannot ${action} ${field} as it must have from 1 to ${NAME_BYTES_MAX} bytes: it has ${length}`,
  );
}

function tooManyFeatures(field: string): WireError {
  return new WireError(
    "WIRE_LIMIT",
    field,
    `Cannot use ${field} as there must be at most ${FEATURES_MAX} features`,
  );
}
