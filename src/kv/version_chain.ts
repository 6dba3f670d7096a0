/**
 * How an older version of a key is found without an index of its own. Each row of `history` links to
 * the version before it (`previous`) and to one further back (`jump`). The jumps are those of
 * Myers' random-access stack ("An applicative random-access stack", 1983): they cost nothing more to
 * write, and any version is reached in a number of steps logarithmic in how many there are. A key
 * written a million times thus reads at an old revision in about forty steps, and a put writes two
 * rows, never three.
 *
 * Compaction removes rows only below the revision that may still be read, and never the newest row
 * at or below it, so that a link to a row that is gone always leads too far back to be followed.
 *
 * @module
 */

/** The newest row of a key and the two jumps from it, as far as their rows exist. */
export interface ChainHead {
  readonly sequence: number;
  /** How many versions the chain has up to here. */
  readonly ordinal: number;
  /** Where the head jumps to, 0 for nowhere. */
  readonly jump: number;
  readonly jumpOrdinal: number | null;
  /** Where that row jumps to. */
  readonly jumpJump: number | null;
  readonly jumpJumpOrdinal: number | null;
}

/** Where a new version after `head` jumps to: past two jumps of equal length, else to the head. */
export function jumpAfter(head: ChainHead): number {
  const { ordinal, jumpOrdinal, jumpJump, jumpJumpOrdinal } = head;
  if (jumpOrdinal === null || jumpJump === null || jumpJumpOrdinal === null) return head.sequence;
  return ordinal - jumpOrdinal === jumpOrdinal - jumpJumpOrdinal ? jumpJump : head.sequence;
}

/** The links of one row. */
export interface ChainLink {
  readonly sequence: number;
  readonly revision: number;
  readonly previous: number;
  readonly jump: number;
}

/**
 * The newest version at or before `revision`, starting at one that is newer; undefined when the key
 * did not exist then.
 *
 * @param row returns the links of a row, or undefined for one that does not exist (0 never does).
 */
export function versionAt(
  start: ChainLink,
  revision: number,
  row: (sequence: number) => ChainLink | undefined,
): ChainLink | undefined {
  let link: ChainLink | undefined = start;
  while (link !== undefined && link.revision > revision) {
    const far: ChainLink | undefined = row(link.jump);
    link = far !== undefined && far.revision > revision ? far : row(link.previous);
  }
  return link;
}
