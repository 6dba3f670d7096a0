/**
 * The options of the store: what they mean, their limits and defaults.
 *
 * @module
 */

import { ConfigError } from "../raft/mod.ts";

/** What a `KvStore` is opened with. */
export interface KvStoreOptions {
  /** The folder that holds `kv.db`; created when absent. One process at a time: the node sees to it. */
  readonly directory: string;
  /** Rows of history after which the open transaction is committed. Default 1,024. */
  readonly commitRows?: number;
  /** Bytes of commands after which it is. Default 4 MiB. */
  readonly commitBytes?: number;
  /** Rows of history after which a checkpoint makes all of it durable. Default 8,192. */
  readonly checkpointRows?: number;
  /** Bytes of commands after which one does. Default 16 MiB. */
  readonly checkpointBytes?: number;
  /** Memory for the page cache, in bytes. Default 64 MiB. */
  readonly cacheBytes?: number;
  /**
   * Most bytes of `kv.db`; beyond it writes fail with `KV_STORAGE`, which is final. Rounded down to pages of
   * 4096 bytes. Default 16 TiB, the most that SQLite knows.
   */
  readonly databaseBytesMax?: number;
}

/** The limits with every default filled in. */
export type StoreLimits = Required<Omit<KvStoreOptions, "directory">>;

const DEFAULTS: StoreLimits = {
  commitRows: 1_024,
  commitBytes: 4 * 1024 * 1024,
  checkpointRows: 8_192,
  checkpointBytes: 16 * 1024 * 1024,
  cacheBytes: 64 * 1024 * 1024,
  databaseBytesMax: 0xfffffffe * 4096,
};

/**
 * Checks the options and fills in the defaults.
 *
 * @throws ConfigError naming the option that is wrong.
 */
export function checkStoreOptions(options: KvStoreOptions): StoreLimits {
  const limits: { -readonly [name in keyof StoreLimits]: number } = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof StoreLimits)[]) {
    const value = options[name] ?? DEFAULTS[name];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ConfigError(`Cannot open store as ${name} must be an integer >= 1: found ${value}`);
    }
    limits[name] = value;
  }
  return limits;
}
