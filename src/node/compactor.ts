/**
 * Compacts the log of one replica at ticks, one compaction at a time.
 *
 * @module
 */

import type { Logger, RaftLogEntry } from "../raft/mod.ts";
import type { LogWrite, RaftStorage } from "../storage/contract.ts";
import {
  type CheckedCompaction,
  compactionTarget,
  isCompactionDue,
  LogMeter,
  neededByFollowers,
} from "./compaction.ts";
import type { Peer } from "./peer.ts";
import type { StateMachine } from "./state_machine.ts";

/** Bytes of entries at the beginning of a log that are weighed when a node starts. */
const SAMPLE_BYTES = 256 * 1024;

/** A compaction must discard this share of what begins one: many small ones cost more. */
const SHARE_MIN = 16;

/**
 * For how many election timeouts a silent follower counts as alive: one that restarts, or whose state
 * machine is busy with a large snapshot, comes back and must not find its entries gone.
 */
const ALIVE_TIMEOUTS = 120;

/** After how many ticks a state machine is asked again to make its state durable. */
const FLUSH_TICKS = 20;

/** Compacts one log. */
export class Compactor {
  readonly #peer: Peer;
  readonly #storage: RaftStorage;
  readonly #stateMachine: StateMachine;
  readonly #options: CheckedCompaction;
  readonly #logger: Logger;
  readonly #meter: LogMeter;
  #busy = false;
  #flushTicks = 0;
  /** Entries discarded since the start. */
  discardedEntries = 0;

  constructor(
    peer: Peer,
    storage: RaftStorage,
    stateMachine: StateMachine,
    options: CheckedCompaction,
    logger: Logger,
  ) {
    this.#peer = peer;
    this.#storage = storage;
    this.#stateMachine = stateMachine;
    this.#options = options;
    this.#logger = logger;
    const [first, last] = [storage.firstIndex(), storage.lastIndex()];
    this.#meter = new LogMeter(first, last, averageBytes(storage, first, last));
  }

  /** A write was handed to the storage. */
  written({ snapshot, entries }: LogWrite): void {
    if (snapshot !== undefined) this.#meter.reset(snapshot.metadata.index);
    if (entries !== undefined) this.#meter.append(entries);
  }

  /**
   * A tick has passed: compacts when it is time.
   *
   * @param departingIndex the lowest index a snapshot on its way to a follower stands for.
   * @returns what rejects when the storage fails, when a compaction was begun.
   */
  tick(departingIndex: number): Promise<void> | undefined {
    if (this.#flushTicks > 0) this.#flushTicks--;
    if (this.#busy) return undefined;
    const firstIndex = this.#storage.firstIndex();
    const { lastApplied } = this.#peer;
    const due = { firstIndex, lastApplied, meter: this.#meter };
    if (!isCompactionDue(due, this.#options)) return undefined;
    const needed = neededByFollowers(
      (id) => this.#peer.isAlive(id, ALIVE_TIMEOUTS),
      this.#peer.id,
      this.#peer.status().progress,
    );
    const neededIndex = Math.min(needed, departingIndex);
    const target = compactionTarget({ ...due, neededIndex }, this.#options);
    if (this.#stateMachine.durableIndex() < target && departingIndex === Infinity) this.#flush();
    const index = Math.min(target, this.#stateMachine.durableIndex());
    const discarded = index - firstIndex + 1;
    if (discarded < Math.max(1, Math.min(this.#options.entriesMax, lastApplied) / SHARE_MIN)) {
      // Few entries may have many bytes.
      const bytes = discarded < 1 ? 0 : this.#meter.bytes(firstIndex - 1, index);
      if (bytes < this.#options.bytesMax / SHARE_MIN) return undefined;
    }
    return this.#compact(index, discarded);
  }

  async #compact(index: number, discarded: number): Promise<void> {
    this.#busy = true;
    this.#meter.discard(index);
    await this.#storage.compact(index);
    this.#busy = false;
    this.discardedEntries += discarded;
    this.#logger.debug(
      `region ${this.#peer.regionId}: the log was compacted up to ${index}, ${discarded} entries`,
    );
  }

  /** What is not durable must stay in the log; a machine that can be told is told. */
  #flush(): void {
    if (this.#flushTicks > 0 || this.#stateMachine.flush === undefined) return;
    this.#flushTicks = FLUSH_TICKS;
    this.#stateMachine.flush();
  }
}

function averageBytes(storage: RaftStorage, first: number, last: number): number {
  if (last < first) return 0;
  const sample: readonly RaftLogEntry[] = storage.entries(first, last + 1, SAMPLE_BYTES);
  const meter = new LogMeter(first, first - 1, 0);
  meter.append(sample);
  return meter.bytes(first - 1, first - 1 + sample.length) / sample.length;
}
