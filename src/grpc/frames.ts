/**
 * The numbers of HTTP/2 (RFC 9113) that a server meets.
 *
 * @module
 */

/** Bytes before the payload of each frame. */
export const FRAME_HEADER_BYTES = 9;

/** The longest payload that either side may send, as neither announces another. */
export const FRAME_PAYLOAD_BYTES_MAX = 16_384;

/** The largest window of flow control. */
export const WINDOW_MAX = 0x7fff_ffff;

/** The window that holds until another is announced. */
export const WINDOW_DEFAULT = 65_535;

/** Types of frames. */
export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames; which one a bit is depends on the type. */
export const FrameFlag = {
  acknowledge: 1,
  endStream: 1,
  endHeaders: 4,
  padded: 8,
  priority: 32,
} as const;

/** Parameters in a settings frame. */
export const Setting = { streamsMax: 3, initialWindow: 4, headerListBytes: 6 } as const;

/** Why a stream or a connection ends. */
export const Http2Code = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;
