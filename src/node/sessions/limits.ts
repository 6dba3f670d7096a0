/**
 * The limits of client sessions. They decide what an entry of the log does, so they must be the same on
 * every member: they are constants, and change only together with the version of the envelope.
 *
 * @module
 */

/** Most sessions of a region; to open one more ends the one that was used least recently. */
export const SESSIONS_MAX = 4_096;

/**
 * How far a sequence number may be ahead of what its client has acknowledged, which is also how many
 * results of a session are kept at most.
 */
export const SESSION_WINDOW = 4_096;

/** Most bytes of results that are kept for one session; those beyond are not kept. */
export const SESSION_RESULT_BYTES_MAX: number = 256 * 1024;

/** Most bytes of results that are kept for all sessions of a region; those beyond are not kept. */
export const SESSIONS_RESULT_BYTES_MAX: number = 64 * 1024 * 1024;

/** The limits that decide what an entry does; another set only where no real log depends on it. */
export interface SessionLimits {
  /** See `SESSIONS_MAX`. */
  readonly sessionsMax: number;
  /** See `SESSION_RESULT_BYTES_MAX`. */
  readonly sessionResultBytesMax: number;
  /** See `SESSIONS_RESULT_BYTES_MAX`. */
  readonly resultBytesMax: number;
}

/** The limits of every node. */
export const SESSION_LIMITS: SessionLimits = Object.freeze({
  sessionsMax: SESSIONS_MAX,
  sessionResultBytesMax: SESSION_RESULT_BYTES_MAX,
  resultBytesMax: SESSIONS_RESULT_BYTES_MAX,
});

/** How long a session lives unused unless it says otherwise, in milliseconds. */
export const SESSION_TIMEOUT_MS_DEFAULT = 300_000;

/** The longest that a session may ask to live unused, in milliseconds: 30 days. */
export const SESSION_TIMEOUT_MS_MAX = 2_592_000_000;

/** How often the leader lets the clock of the sessions go on, in milliseconds. */
export const SESSION_CLOCK_MS_DEFAULT = 10_000;
