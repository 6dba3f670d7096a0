/**
 * Damage to a database and its write-ahead log, page by page and frame by frame.
 *
 * @module
 */

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Numbers } from "./sweep.ts";

const PAGE_BYTES = 4096;
const WAL_HEADER_BYTES = 32;
const FRAME_BYTES = 24 + PAGE_BYTES;

/** A part of a file that is damaged as one. */
export interface Target {
  /** The file's name. */
  readonly file: string;
  /** `page 3`, `frame 7`, or `log's header`. */
  readonly what: string;
  /** Where it begins in the file. */
  readonly offset: number;
  /** How long it is. */
  readonly bytes: number;
}

/** All parts of a database and its log, whose names `files` gives, in the directory `image`. */
export function targetsOf(image: string, files: readonly string[]): Target[] {
  const [database, log] = files.map((name) => {
    const path = join(image, name);
    return existsSync(path) ? statSync(path).size : 0;
  });
  const targets: Target[] = [];
  for (let offset = 0; offset < database; offset += PAGE_BYTES) {
    const what = `page ${offset / PAGE_BYTES + 1}`;
    targets.push({ file: files[0], what, offset, bytes: PAGE_BYTES });
  }
  if (log > 0) {
    targets.push({ file: files[1], what: "log's header", offset: 0, bytes: WAL_HEADER_BYTES });
  }
  for (let offset = WAL_HEADER_BYTES; offset + FRAME_BYTES <= log; offset += FRAME_BYTES) {
    const what = `frame ${(offset - WAL_HEADER_BYTES) / FRAME_BYTES + 1}`;
    targets.push({ file: files[1], what, offset, bytes: FRAME_BYTES });
  }
  return targets;
}

/**
 * The content of the target's file in `image` with damage of a kind, and what that is: a changed bit,
 * zeros, a changed bit near the beginning, noise.
 */
export function damagedCopy(
  image: string,
  target: Target,
  kind: number,
  numbers: Numbers,
): { content: Uint8Array; damage: string } {
  const content = new Uint8Array(readFileSync(join(image, target.file)));
  const part = content.subarray(target.offset, target.offset + target.bytes);
  if (kind % 4 === 1) part.fill(0);
  if (kind % 4 === 3) { for (let i = 0; i < part.length; i++) part[i] = numbers.below(256); }
  const at = kind % 4 === 2 ? numbers.below(Math.min(24, part.length)) : numbers.below(part.length);
  const bit = 1 << numbers.below(8);
  if (kind % 2 === 0) part[at] ^= bit;
  const damage = kind % 2 === 0 ? `byte ${at} xor ${bit}` : kind % 4 === 1 ? "zeros" : "noise";
  return { content, damage };
}
