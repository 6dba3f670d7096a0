/**
 * The codec of the messages: the only place where bytes from the network become messages, and
 * messages become bytes. The format is protobuf, described by `proto/eraftpb.proto` (messages
 * between replicas, numbers as in tikv/raft-rs) and `proto/raft_service.proto` (frames and the
 * handshake between nodes).
 *
 * Integers are `number`, checked in both directions to be whole and from 0 to 2^53-1 (`priority`
 * may be negative). Decoding never reads outside its bytes and throws nothing but
 * {@linkcode WireError}; fields of later versions are skipped. Decoded byte arrays are views, see
 * {@linkcode decodeFrame}.
 *
 * Configuration changes are bytes in an entry, which `src/raft/membership` encodes.
 *
 * @example
 * ```ts
 * import { createMessage } from "@flaredb/raft/raft";
 * import { decodeMessage, encodeMessage } from "@flaredb/raft/wire";
 *
 * const bytes = encodeMessage(createMessage({ type: "heartbeat", to: 2, from: 1, term: 3 }));
 * const message = decodeMessage(bytes);
 * if (message.term !== 3) throw new Error("unexpected term");
 * ```
 *
 * @module
 */

export { WireError, type WireErrorCode } from "./errors.ts";
export { decodeEntry, encodeEntry, entryWireSize } from "./entry.ts";
export { decodeConfState, decodeHardState, encodeConfState, encodeHardState } from "./state.ts";
export { decodeSnapshot, encodeSnapshot } from "./snapshot.ts";
export {
  decodeMessage,
  encodeMessage,
  ENTRIES_PER_MESSAGE_MAX,
  messageWireSize,
} from "./message.ts";
export {
  type DecodedFrame,
  decodeFrame,
  encodeFrame,
  frameItemSize,
  type FrameLimits,
  MESSAGES_PER_FRAME_MAX,
  REFUSED_PER_FRAME_MAX,
  type RegionMessage,
  VIEW_SHARE,
  writeFrameItem,
} from "./frame.ts";
export {
  decodeHello,
  decodeReply,
  encodeHello,
  encodeReceived,
  encodeWelcome,
  FEATURES_MAX,
  type Hello,
  NAME_BYTES_MAX,
  type Reply,
  type Welcome,
} from "./handshake.ts";
export {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  type Question,
  QUESTION_BYTES_MAX,
} from "./question.ts";
export {
  CHUNK_OVERHEAD_BYTES,
  decodeSnapshotFrame,
  decodeSnapshotReply,
  encodeSnapshotFrame,
  encodeSnapshotReply,
  type SnapshotBegin,
  type SnapshotChunk,
  type SnapshotEnd,
  type SnapshotFrame,
  type SnapshotReply,
  TRANSFER_ID_BYTES,
} from "./snapshot_stream.ts";
