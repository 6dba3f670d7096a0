/**
 * The changes of a region's configuration that were written somewhere, as long as they may yet be
 * committed. While there is one, the configuration may become another one at any moment: the
 * operators of a run wait with what would be dangerous then.
 *
 * @module
 */

import type { RaftLogEntry } from "../raft/mod.ts";

/** Changes that were written and may yet be committed. */
export class OpenChanges {
  #entries: RaftLogEntry[] = [];

  /** Notes a change that was written for the first time. */
  add(entry: RaftLogEntry): void {
    this.#entries.push(entry);
  }

  /**
   * Whether every change is committed or replaced. It is replaced once another entry is committed in
   * its place, or one of a later term anywhere: every later leader has that one, and terms do not
   * decrease along a log, so that no leader can have the change, however high its index (Raft §5.4).
   *
   * @param commitIndex the highest index that is committed.
   * @param commitTerm the term of the entry there; 0 when it is the beginning of the log.
   */
  areDecided(commitIndex: number, commitTerm: number): boolean {
    this.#entries = this.#entries.filter(({ index, term }) =>
      index > commitIndex && term >= commitTerm
    );
    return this.#entries.length === 0;
  }
}
