/**
 * The virtual disk of a node. What its regions write while a transaction is being synced shares the
 * next one. A transaction becomes durable as a whole, just before its writers are told; a crash in
 * the middle loses it as a whole, or finds that it had landed.
 *
 * @module
 */

import { StorageError } from "../storage/mod.ts";
import type { Chance } from "./chance.ts";
import type { World } from "./world.ts";

/** A write on its way to the disk. */
export interface DiskWrite {
  /** Makes it durable. */
  readonly commit: () => void;
  /** Tells the process, when it still runs. */
  readonly done: () => void;
}

/** The disk of a node. */
export class Disk {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #fail: (error: StorageError) => void;
  #waiting: DiskWrite[] = [];
  #underWay: DiskWrite[] | undefined;
  /** Counts transactions and crashes: a transaction of the past does not complete. */
  #era = 0;
  #stalledUntil = 0;
  #fullUntil = 0;
  #failNext = false;
  /** How much slower than usual it is. */
  slowness = 1;
  #latencyUsMax = Infinity;
  /** Counts what is waited for: only the newest wait ends. */
  #waits = 0;

  /** @param fail called when a transaction failed: the process must end. */
  constructor(world: World, chance: Chance, fail: (error: StorageError) => void) {
    this.#world = world;
    this.#chance = chance;
    this.#fail = fail;
  }

  /** Whether anything has been written that is not durable. */
  get isBusy(): boolean {
    return this.#underWay !== undefined;
  }

  /** Adds a write to the next transaction. */
  submit(write: DiskWrite): void {
    this.#waiting.push(write);
    if (this.#underWay === undefined) this.#begin();
  }

  /** Nothing completes until `time`, in microseconds. */
  stallUntil(time: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, time);
  }

  /** It answers again. */
  resume(): void {
    if (this.#world.now >= this.#stalledUntil) return;
    this.#stalledUntil = 0;
    if (this.#underWay !== undefined) this.#wait();
  }

  /** Every transaction until `time` fails for lack of space. */
  fillUntil(time: number): void {
    this.#fullUntil = Math.max(this.#fullUntil, time);
  }

  /** The next transaction fails. */
  failNext(): void {
    this.#failNext = true;
  }

  /**
   * The faults are over. A vote is asked for once it is durable, so from now on the disk takes no longer
   * than half an election timeout: slower ones may split the votes for ever (Raft §5.6).
   */
  repair(): void {
    const { electionTick, tickUs } = this.#world.environment;
    this.#latencyUsMax = Math.floor(electionTick * tickUs / 2);
    this.#stalledUntil = this.#fullUntil = 0;
    this.#failNext = false;
    this.slowness = 1;
  }

  /** The process ends: what waits is lost, what is under way has landed or is lost. */
  crash(): void {
    this.#era++;
    this.#waiting = [];
    const lost = this.#underWay;
    this.#underWay = undefined;
    if (lost === undefined) return;
    if (this.#chance.hits(400)) {
      this.#world.coverage.add("transactions landed unacknowledged");
      for (const write of lost) write.commit();
    } else {
      this.#world.coverage.add("transactions lost in a crash");
    }
  }

  #begin(): void {
    if (this.#waiting.length === 0) return;
    this.#underWay = this.#waiting.splice(0, this.#world.environment.transactionWritesMax);
    this.#wait();
  }

  #wait(): void {
    const { diskMinUs, diskMaxUs } = this.#world.environment;
    const stall = Math.max(0, this.#stalledUntil - this.#world.now);
    const slowest = Math.min(diskMaxUs, this.#latencyUsMax);
    const latency = this.#chance.between(diskMinUs, slowest) * this.slowness;
    const era = this.#era;
    const wait = ++this.#waits;
    this.#world.schedule(stall + latency, () => {
      if (this.#era !== era || this.#waits !== wait) return;
      if (this.#world.now < this.#stalledUntil) this.#wait();
      else this.#complete();
    });
  }

  #complete(): void {
    const failure = this.#failure();
    if (failure !== undefined) return this.#fail(failure);
    const writes = this.#underWay!;
    this.#underWay = undefined;
    const era = this.#era;
    for (const write of writes) write.commit();
    for (const write of writes) {
      // Whoever is told may bring the process down.
      if (this.#era !== era) return;
      write.done();
    }
    if (this.#underWay === undefined) this.#begin();
  }

  #failure(): StorageError | undefined {
    if (this.#world.now < this.#fullUntil) {
      this.#world.coverage.add("disks that were full");
      return new StorageError("STORAGE_FULL", "no space is left on the simulated disk");
    }
    if (!this.#failNext) return undefined;
    this.#failNext = false;
    this.#world.coverage.add("disks that failed a write");
    return new StorageError("STORAGE_IO", "a sync of the simulated disk failed");
  }
}
