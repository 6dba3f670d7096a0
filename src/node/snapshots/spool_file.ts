/**
 * The file of a spooled snapshot: `region-<id>-<index>-<serial>.snapshot` once sealed, with another
 * ending before. It is the state as it came, and a footer that only `seal` writes:
 *
 * | bytes | what |
 * |---|---|
 * | 8 | `flrspool` |
 * | 8 | region (integers little-endian) |
 * | 8 | index |
 * | 8 | term |
 * | 8 | bytes of the state |
 * | 4 | CRC-32 of the state |
 * | 4 | CRC-32 of the footer before |
 *
 * @module
 */

import { crc32 } from "node:zlib";

/** The spool's directory in that of the node. */
export const SPOOL_DIRECTORY = "snapshots";

/** What the name of a file ends with whose state is there, whole. */
export const SEALED = ".snapshot";

/** What it ends with before. */
export const ARRIVING = ".arriving";

/** The length of a footer. */
export const FOOTER_BYTES = 48;

const MAGIC = new TextEncoder().encode("flrspool");

/** What the footer of a file says. */
export interface Footer {
  readonly regionId: number;
  readonly index: number;
  readonly term: number;
  /** The length of the state. */
  readonly bytes: number;
  /** The CRC-32 of the state. */
  readonly checksum: number;
}

/** Whether a name is that of a file of the spool, sealed or not. */
export function isSpoolName(name: string): boolean {
  return /^region-\d+-\d+-\d+\.(snapshot|arriving)$/.test(name);
}

/** Of the names in a spool those of the sealed snapshots of an index, in the order they are tried. */
export function sealedNames(names: readonly string[], regionId: number, index: number): string[] {
  const prefix = `region-${regionId}-${index}-`;
  return names.filter((name) =>
    isSpoolName(name) && name.startsWith(prefix) && name.endsWith(SEALED)
  ).sort();
}

/** The last bytes of a file. */
export function encodeFooter(footer: Footer): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setBigUint64(8, BigInt(footer.regionId), true);
  view.setBigUint64(16, BigInt(footer.index), true);
  view.setBigUint64(24, BigInt(footer.term), true);
  view.setBigUint64(32, BigInt(footer.bytes), true);
  view.setUint32(40, footer.checksum, true);
  view.setUint32(44, crc32(bytes.subarray(0, 44)), true);
  return bytes;
}

/** What the last bytes of a file say; undefined unless they are sound, and stand behind a state of `stateBytes`. */
export function decodeFooter(bytes: Uint8Array, stateBytes: number): Footer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const sound = MAGIC.every((byte, at) => bytes[at] === byte) &&
    view.getUint32(44, true) === crc32(bytes.subarray(0, 44)) &&
    Number(view.getBigUint64(32, true)) === stateBytes;
  if (!sound) return undefined;
  return {
    regionId: Number(view.getBigUint64(8, true)),
    index: Number(view.getBigUint64(16, true)),
    term: Number(view.getBigUint64(24, true)),
    bytes: stateBytes,
    checksum: view.getUint32(40, true),
  };
}
