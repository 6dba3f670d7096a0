/**
 * The checksums of rows, by which a damaged one is found whenever it is read, and never answered with.
 *
 * The integers of a row have a sum, which SQL itself checks, so that reads which only need them cost
 * no more; its bytes (keys, values) have a CRC-32, checked here. The CRC-32 begins with the row's
 * revision, so that bytes of one row do not pass for those of another.
 *
 * @module
 */

import { crc32 } from "node:zlib";

/** A prime: whatever bit of one of the integers changes, so does what remains of their sum. */
const MODULUS = 2_147_483_647;

/** The sum of the integers of a row of `history`, whose products stay far below 2^53. */
export function historySum(
  sequence: number,
  revision: number,
  createRevision: number,
  version: number,
  previous: number,
  jump: number,
  ordinal: number,
  hasLease: boolean,
): number {
  return (1 + (hasLease ? 61 : 0) + sequence * 31 + revision * 37 + createRevision * 41 +
    version * 43 + previous * 47 +
    jump * 53 + ordinal * 59) % MODULUS;
}

/** The same in SQL, of a row `h`. */
export const HISTORY_SUM_SQL =
  "((1 + (h.lease IS NOT NULL) * 61 + h.sequence * 31 + h.revision * 37 + h.create_revision * 41 + " +
  `h.version * 43 + h.previous * 47 + h.jump * 53 + h.ordinal * 59) % ${MODULUS})`;

/** The sum of the integers of a row of `current`. */
export function currentSum(sequence: number, version: number): number {
  return (1 + sequence * 31 + version * 37) % MODULUS;
}

/** The same in SQL, of a row `c`. */
export const CURRENT_SUM_SQL = `((1 + c.sequence * 31 + c.version * 37) % ${MODULUS})`;

/** What a checksum is where a column does not even hold what it should: no row has it. */
const NOT_BYTES = -1;

/** The checksum of the bytes of a row of `history`, given that of its key. */
export function historyChecksum(
  keyChecksum: number,
  revision: number,
  lease: Uint8Array | null,
  value: Uint8Array,
): number {
  if (!(value instanceof Uint8Array)) return NOT_BYTES;
  let checksum = (keyChecksum ^ revision) >>> 0;
  // Node 22 gives 0 for an empty blob as SQLite hands it out.
  if (value.length > 0) checksum = crc32(value, checksum);
  if (lease === null) return checksum;
  return lease instanceof Uint8Array ? crc32(lease, checksum) : NOT_BYTES;
}

/** The checksum of a key, with which that of its row begins. */
export function keyChecksum(key: Uint8Array): number {
  return key instanceof Uint8Array ? crc32(key) : NOT_BYTES;
}

/** The checksum of a row of `node_state`. */
export function nodeStateChecksum(key: string, value: Uint8Array): number {
  if (typeof key !== "string" || !(value instanceof Uint8Array)) return NOT_BYTES;
  const head = crc32(`${key.length}\n${key}`);
  return value.length === 0 ? head : crc32(value, head);
}

/** The checksum of the counters, in the order of their columns. */
export function metaChecksum(...counters: readonly number[]): number {
  return crc32(counters.join("\n"));
}
