/**
 * Sends a large snapshot over gRPC to a follower with an empty log, cutting the connection several
 * times, while writes go on. Leader and follower are processes of their own; the connection between
 * them passes this one. What a load of writes alone takes is measured before, as a control: on the
 * leader, and on the follower, which follows another leader with a small store then.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { LoopbackProxy } from "../../tests/transport/loopback_proxy.ts";
import type { FollowerQuestion, FollowerReport, InstalledReport } from "./follower.ts";
import type { LeaderQuestion, LeaderState, SendReport, WritesReport } from "./leader.ts";
import type { MemoryFigures, ProcessReport } from "./memory.ts";
import { Partner } from "./partner.ts";

/** What is to be sent. */
export interface LargeSnapshotOptions {
  readonly bytes: number;
  readonly valueBytes: number;
  /** How often the connection is cut. */
  readonly cuts: number;
  /** How long writes are measured before the transfer at a time, in milliseconds. */
  readonly beforeMs: number;
  /** How often writes without a transfer are measured at most, until they take no more memory. */
  readonly loads: number;
  /** How many clients write, each one pair after the other. */
  readonly writers: number;
  readonly log: (text: string) => void;
}

/** What one of the two took in memory, in MiB. */
export interface MemoryReport {
  /** The most beyond idle while only writes were taken. */
  readonly loadAboveIdleMib: number;
  /** The most beyond idle with the transfer. */
  readonly aboveIdleMib: number;
  /** The most with the transfer beyond the most with writes alone. */
  readonly aboveLoadMib: number;
  /** The most in buffers beyond idle with the transfer; what is garbage by now included. */
  readonly buffersAboveIdleMib: number;
  /** The most beyond idle after it, while the follower gets what was written meanwhile. */
  readonly catchingUpAboveIdleMib: number;
}

/** What came of it. */
export interface LargeSnapshotReport {
  /** Whether the follower has exactly what the leader has. */
  readonly equal: boolean;
  readonly sender: MemoryReport;
  readonly receiver: MemoryReport;
  readonly before: WritesReport;
  /** Until all of it had arrived. */
  readonly sending: SendReport;
  /** From then until the follower had installed it. */
  readonly installing: WritesReport & { readonly forMs: number };
  /** The leader while the follower gets what was written meanwhile. */
  readonly catchingUp: { readonly process: ProcessReport };
  /** The follower until it had installed it. */
  readonly installed: ProcessReport;
  readonly follower: Omit<FollowerReport, "digest">;
}

/** How long a process may come to rest before it counts as idle, in milliseconds. */
const REST_MS = 1000;

/** Bytes of the store that the control sends. */
const CONTROL_BYTES = 4 * 1024 * 1024;

/** Writes are measured again and again until they take no more memory than this beyond the last time. */
const FLAT_MIB = 2;

/** Runs it. */
export async function runLargeSnapshot(
  options: LargeSnapshotOptions,
): Promise<LargeSnapshotReport> {
  const directory = await mkdtemp(join(tmpdir(), "flaredb-large-"));
  const run = new Run(directory, options);
  try {
    return await run.report();
  } finally {
    await run.close();
    await rm(directory, { recursive: true, force: true });
  }
}

class Run {
  readonly #directory: string;
  readonly #options: LargeSnapshotOptions;
  readonly #started: Partner[] = [];
  #proxy: LoopbackProxy | undefined;

  constructor(directory: string, options: LargeSnapshotOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  async report(): Promise<LargeSnapshotReport> {
    const { writers, log } = this.#options;
    const follower = this.#start("follower.ts");
    const followerLoad = await this.#control(follower);
    log(`the follower, writes alone: ${JSON.stringify(followerLoad)}`);

    await this.#fill("leader", this.#options.bytes);
    const leader = this.#leader("leader");
    const address = await addressOf(leader);
    await rest(leader);
    const before = await this.#load(leader, (writes) => Promise.resolve(writes.process));
    log(`the leader, writes alone: ${JSON.stringify(before)}`);

    const proxy = this.#proxy = await LoopbackProxy.start(
      await this.#join(follower, "follower", address),
    );
    cutEvenly(proxy, this.#options);
    const sending = await leader.ask<SendReport>({ ask: "send", address: proxy.address, writers });
    log(`sending: ${JSON.stringify(sending)}`);
    const arrivedMs = Date.now();
    const installed = await follower.ask<InstalledReport>({ ask: "installed" });
    log(`the follower: ${JSON.stringify(installed)}`);
    const { atMs } = installed;
    const installing = await leader.ask<WritesReport>({ ask: "installed", atMs });
    log(`installing: ${JSON.stringify(installing)}`);
    const state = await leader.ask<LeaderState>({ ask: "digest" });
    const applied: FollowerQuestion = { ask: "applied", index: state.lastApplied };
    const { digest, ...report } = await follower.ask<FollowerReport>(applied);
    await Promise.all([leader.end(), follower.end()]);
    return {
      equal: digest === state.digest,
      sender: memoryOf(before.process, [sending.process, installing.process], state.process),
      receiver: memoryOf(followerLoad, [installed.process], report.process),
      before,
      sending,
      installing: { ...installing, forMs: Math.max(0, atMs - arrivedMs) },
      catchingUp: { process: state.process },
      installed: installed.process,
      follower: report,
    };
  }

  async close(): Promise<void> {
    for (const partner of this.#started) partner.kill();
    await this.#proxy?.close();
  }

  /**
   * Has the follower get a small snapshot from another leader, so that it has run all of its code once
   * when it is idle, and the same writes after that.
   */
  async #control(follower: Partner): Promise<ProcessReport> {
    const leader = this.#leader("control-leader");
    const address = await addressOf(leader);
    await leader.ask({ ask: "fill", bytes: CONTROL_BYTES, valueBytes: this.#options.valueBytes });
    const joined = await this.#join(follower, "control-follower", address);
    await leader.ask({ ask: "send", address: joined, writers: 0 });
    await follower.ask({ ask: "installed" });
    await rest(follower);
    const load = await this.#load(leader, () => follower.ask<ProcessReport>({ ask: "report" }));
    await follower.ask({ ask: "stop" });
    await leader.end();
    return load.process;
  }

  /** Writes until that takes no more memory than it did; what was seen the last time. */
  async #load(
    leader: Partner,
    processOf: (writes: WritesReport) => Promise<ProcessReport>,
  ): Promise<WritesReport> {
    const { writers, beforeMs: forMs, loads } = this.#options;
    let highestMib = -Infinity;
    for (let times = 1;; times++) {
      const question: LeaderQuestion = { ask: "writes", forMs, writers };
      const report = await leader.ask<WritesReport>(question);
      const process = await processOf(report);
      const grownMib = process.aboveIdleMib - highestMib;
      highestMib = Math.max(highestMib, process.aboveIdleMib);
      if (writers > 0 && grownMib > FLAT_MIB && times < loads) continue;
      return { ...report, process: { ...process, aboveIdleMib: highestMib } };
    }
  }

  /** In a process of its own, whose memory does not count. */
  async #fill(name: string, bytes: number): Promise<void> {
    const filler = this.#leader(name);
    const { valueBytes } = this.#options;
    const size = await filler.ask<{ inUseBytes: number }>({ ask: "fill", bytes, valueBytes });
    this.#options.log(`the store holds ${size.inUseBytes} bytes`);
    await filler.end();
  }

  /** Starts the follower in a directory; where it listens. */
  async #join(follower: Partner, name: string, leader: string): Promise<string> {
    const directory = join(this.#directory, name);
    const question: FollowerQuestion = { ask: "start", directory, leader };
    return (await follower.ask<{ address: string }>(question)).address;
  }

  #leader(name: string): Partner {
    return this.#start("leader.ts", join(this.#directory, name));
  }

  #start(program: string, ...args: string[]): Partner {
    const partner = new Partner(program, ...args);
    this.#started.push(partner);
    return partner;
  }
}

async function addressOf(leader: Partner): Promise<string> {
  return (await leader.ask<{ address: string }>({ ask: "address" })).address;
}

async function rest(partner: Partner): Promise<void> {
  await setTimeout(REST_MS);
  await partner.ask<MemoryFigures>({ ask: "idle" });
}

function memoryOf(
  load: ProcessReport,
  phases: readonly ProcessReport[],
  catchingUp: ProcessReport,
): MemoryReport {
  const highest = (of: (report: ProcessReport) => number) => Math.max(...phases.map(of));
  const aboveIdleMib = highest((report) => report.aboveIdleMib);
  return {
    loadAboveIdleMib: load.aboveIdleMib,
    aboveIdleMib,
    aboveLoadMib: aboveIdleMib - load.aboveIdleMib,
    buffersAboveIdleMib: highest((report) => report.buffersAboveIdleMib),
    catchingUpAboveIdleMib: catchingUp.aboveIdleMib,
  };
}

function cutEvenly(proxy: LoopbackProxy, { bytes, cuts }: LargeSnapshotOptions): void {
  let left = cuts;
  const step = bytes / (cuts + 1);
  const { forward } = proxy;
  forward.onBytes = () => {
    if (left === 0 || forward.bytes < (cuts - left + 1) * step) return;
    left--;
    proxy.cut();
  };
}
