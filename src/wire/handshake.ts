/**
 * The opening of a stream between two nodes as bytes: `Frame.hello` and `Reply.welcome` in
 * `proto/raft_service.proto`. What the values mean is the transport's business.
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
  readonly protocolVersion: number;
  readonly clusterId: string;
  readonly fromNode: number;
  readonly toNode: number;
  /** Names of what the dialer understands beyond the protocol's version. */
  readonly features: readonly string[];
}

/** A listener's consent. */
export interface Welcome {
  readonly protocolVersion: number;
  readonly node: number;
  /** Names of what the listener understands beyond the protocol's version. */
  readonly features: readonly string[];
  /** The largest message the listener takes, in bytes; 0 when it does not say. */
  readonly messageBytesMax: number;
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
  const reader = openEmbedded(bytes, "Frame.hello", 2);
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
    uintFieldSize("Welcome.message_bytes_max", welcome.messageBytesMax);
  const bytes = new Uint8Array(lengthFieldSize(size));
  let position = writeLength(bytes, 0, TAG_EMBEDDED, size);
  position = writeUintField(bytes, position, 0x08, welcome.protocolVersion);
  position = writeUintField(bytes, position, 0x10, welcome.node);
  for (const feature of features) position = writeBytesField(bytes, position, 0x1a, feature);
  writeUintField(bytes, position, 0x20, welcome.messageBytesMax);
  return bytes;
}

/**
 * Decodes a listener's reply to a hello.
 *
 * @throws WireError when it is no welcome.
 */
export function decodeWelcome(bytes: Uint8Array): Welcome {
  const reader = openEmbedded(bytes, "Reply.welcome", 1);
  let protocolVersion = 0;
  let node = 0;
  const features: string[] = [];
  let messageBytesMax = 0;
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
      default:
        if (tag >>> 3 <= 4) throw wrongWireType("Welcome", tag);
        reader.skip(tag, "Welcome");
    }
  }
  return { protocolVersion, node, features, messageBytesMax };
}

/** Finds field 1, a message, in `bytes`; fields up to `known` besides it are refused. */
function openEmbedded(bytes: Uint8Array, field: string, known: number): Reader {
  const reader = new Reader(bytes);
  let embedded: Reader | undefined;
  while (reader.more()) {
    const tag = reader.tag(field);
    if (tag === TAG_EMBEDDED) {
      if (embedded !== undefined) throw repeatedField(field);
      const end = reader.lengthEnd(field);
      embedded = new Reader(bytes, reader.position, end);
      reader.position = end;
    } else if (tag >>> 3 <= known) {
      throw new WireError(
        "WIRE_MALFORMED",
        field,
        `Cannot decode ${field} as it must be alone: found field ${tag >>> 3}`,
      );
    } else {
      reader.skip(tag, field);
    }
  }
  if (embedded === undefined) {
    throw new WireError("WIRE_MALFORMED", field, `Cannot decode ${field} as it is missing`);
  }
  return embedded;
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
