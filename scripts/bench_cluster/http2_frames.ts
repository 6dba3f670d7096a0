/**
 * The numbers of HTTP/2 (RFC 9113) and of gRPC over it that the load generator needs.
 *
 * @module
 */

/** Bytes before the payload of each frame. */
export const FRAME_HEADER_BYTES = 9;

/** Bytes before each message of gRPC: whether it is compressed, and its length. */
export const GRPC_PREFIX_BYTES = 5;

/** Types of frames. */
export const Frame = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

/** Flags of frames. */
export const Flag = { acknowledge: 1, endStream: 1, endHeaders: 4, padded: 8 } as const;

/** Parameters of a settings frame. */
export const Setting = { headerTableBytes: 1, initialWindow: 4 } as const;
