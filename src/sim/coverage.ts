/**
 * How often the rare things happened that a simulation is there for. A sweep that never reached one
 * of them proves less than it seems to, and fails.
 *
 * @module
 */

/** Things that must have happened somewhere in a large sweep. */
export const RARE_EVENTS = [
  "elections",
  "leaders at the same time",
  "leaders stepped down",
  "leaders elected with old entries to commit",
  "written entries replaced",
  "durable entries replaced",
  "transfers asked for",
  "leadership passed to the transferee",
  "reads asked for before the term's first commit",
  "read rounds repeated",
  "reads answered",
  "reads answered by followers",
  "reads answered by lease",
  "serializable reads answered",
  "serializable reads of an old state",
  "writes answered",
  "conditions that held",
  "conditions that failed",
  "writes of unknown outcome",
  "sessions opened",
  "sessions expired",
  "sessions evicted",
  "commands repeated through a session",
  "answers that were kept",
  "answers too large to be kept",
  "commands that came too late",
  "commands of sessions that are gone",
  "proposals repeated",
  "proposals certainly lost",
  "deadlines that passed",
  "connections of clients lost",
  "requests refused by limits",
  "forwarded proposals refused",
  "snapshots sent",
  "snapshots cut",
  "snapshots installed",
  "snapshots installed with a batch under way",
  "machines restored from the stored snapshot",
  "snapshots temporarily unavailable",
  "compactions",
  "entries applied again after a restart",
  "commit index behind the applied one at a restart",
  "learners added",
  "learners promoted",
  "voters demoted",
  "voters removed",
  "leaders removed",
  "replacements of lost voters asked for",
  "requests to change members",
  "requests to change members carried out",
  "requests to change members refused",
  "used peer ids offered again",
  "joint configurations entered",
  "joint configurations left",
  "transactions lost in a crash",
  "transactions landed unacknowledged",
  "crashes in a turn",
  "crashes of all nodes",
  "disks that failed a write",
  "disks that hung",
  "disks that were full",
  "damaged disks refused",
  "disks wiped",
  "nodes that came back without their data",
  "messages refused by voters without their data",
  "packets lost",
  "packets duplicated",
  "packets cut by a partition",
  "packets replayed",
  "links reset",
  "pauses longer than an election timeout",
  "clock jumps",
  "partitions along the two majorities of a joint configuration",
  "leaders again with a shorter log",
  "disks that hung between the term and the entries of a new leader",
  "snapshots wanted of a leader whose disk hangs",
  "reads asked of a leader that was replaced",
  "reads that waited until their leader led again",
  "campaigns against a leader that is heard",
  "voters without their data that a majority depends on",
] as const;

/** One of them. */
export type RareEvent = (typeof RARE_EVENTS)[number];

const POSITIONS: ReadonlyMap<RareEvent, number> = new Map(
  RARE_EVENTS.map((event, position) => [event, position]),
);

/** Counts of rare events. */
export class Coverage {
  /** How often each was seen, in the order of `RARE_EVENTS`. */
  readonly counts: number[] = RARE_EVENTS.map(() => 0);

  /** Counts an event. */
  add(event: RareEvent, times = 1): void {
    this.counts[POSITIONS.get(event)!] += times;
  }

  /** How often an event happened. */
  get(event: RareEvent): number {
    return this.counts[POSITIONS.get(event)!];
  }

  /** Adds the counts of another run. */
  addAll(counts: readonly number[]): void {
    for (let position = 0; position < this.counts.length; position++) {
      this.counts[position] += counts[position];
    }
  }

  /** What never happened. */
  missing(): RareEvent[] {
    return RARE_EVENTS.filter((_, position) => this.counts[position] === 0);
  }
}
