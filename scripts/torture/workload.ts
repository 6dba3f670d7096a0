/**
 * The clients: each asks one member or another for something under few keys, waits for the answer or
 * its deadline, and asks again. Every other one writes through a session, and tries a write again at
 * whichever member answers, which must take effect once. Comparisons are made with what some client saw of the key, so that
 * they hold now and then.
 *
 * @module
 */

import { EtcdClient, EtcdError, EtcdSession } from "../../src/etcd/mod.ts";
import { Chance } from "../../src/sim/mod.ts";
import { GET, type KeyAction, type KeyCompare, type KeyInput } from "./model.ts";
import { perform, readVersion } from "./operation.ts";
import type { Recorder, Verdict } from "./recorder.ts";
import type { SeenVersion } from "./revisions.ts";

/** What the clients are. */
export interface WorkloadOptions {
  readonly seed: number;
  readonly endpoints: readonly string[];
  readonly clients: number;
  /** Keys that are in use at a time. */
  readonly keys: number;
  /** After so long other keys are used: what is unknown of a key must stay little. */
  readonly keysMs: number;
  /** What the names of the keys begin with. */
  readonly prefix: string;
  readonly recorder: Recorder;
}

/** What came of all operations so far. */
export interface WorkloadCounts {
  succeeded: number;
  /** Operations that certainly had no effect, and reads without an answer. */
  failed: number;
  /** Milliseconds; the longest time in which nothing succeeded. */
  longestSilenceMs: number;
}

const DEADLINES_MS = [100, 200, 400, 1_000, 2_500] as const;
const THINK_MS_MAX = 20;
/** Of a thousand operations. */
const READS = 350;
const COMPARISONS = 450;
const DELETIONS = 150;

/** Runs the clients. */
export class Workload {
  readonly counts: WorkloadCounts = { succeeded: 0, failed: 0, longestSilenceMs: 0 };
  readonly #options: WorkloadOptions;
  readonly #startedAt = performance.now();
  readonly #seen = new Map<string, SeenVersion | undefined>();
  /** Values that keys were created with, by the revision that did it. */
  readonly #creators = new Map<number, number>();
  readonly #loops: Promise<void>[] = [];
  #lastSuccessAt = performance.now();
  #nextValue = 1;
  #isOver = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  /** Starts the clients. */
  start(): void {
    for (let client = 0; client < this.#options.clients; client++) {
      const loop = this.#run(client);
      // Whoever stops the clients is told.
      loop.catch(() => {});
      this.#loops.push(loop);
    }
  }

  /** Ends them; resolves when no call is under way. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
    this.#noteSilence();
  }

  /** Reads all keys once more, at each member, and checks the history. @throws EtcdError */
  async check(deadlineMs: number): Promise<Verdict> {
    const { endpoints, recorder } = this.#options;
    const client = new EtcdClient({ endpoints, deadlineMs });
    try {
      for (const endpoint of endpoints) {
        for (const key of this.#seen.keys()) {
          const open = recorder.call(-1, { key, then: GET, else: GET });
          recorder.answered(open, await perform(client, open.input, { endpoint, deadlineMs }));
        }
      }
      await this.#writeTwice(client, deadlineMs);
      return await recorder.check((key, revision) => readVersion(client, key, revision));
    } finally {
      client.close();
    }
  }

  /** A write of a session that comes to one member after another must take effect once. */
  async #writeTwice(client: EtcdClient, deadlineMs: number): Promise<void> {
    const { endpoints, prefix } = this.#options;
    const key = `${prefix}-once`;
    const session = new EtcdSession();
    const writer = new EtcdClient({ endpoints, deadlineMs, session });
    const write = await session.begin();
    try {
      for (const endpoint of endpoints) await writer.put(key, "once", { endpoint, write });
      await writer.endSession();
    } finally {
      write.end();
      writer.close();
    }
    const { version } = (await client.get(key)).kvs[0];
    if (version !== 1) throw new Error(`a write of a session took effect ${version} times`);
  }

  async #run(number: number): Promise<void> {
    const chance = new Chance(this.#options.seed, number);
    const { endpoints } = this.#options;
    const session = number % 2 === 1 ? new EtcdSession() : undefined;
    const client = new EtcdClient({ endpoints, session });
    let endpoint = chance.pick(endpoints);
    try {
      while (!this.#isOver) {
        if (chance.hits(400)) endpoint = chance.pick(endpoints);
        const asked = session === undefined ? endpoint : undefined;
        const succeeded = await this.#ask(chance, client, number, asked);
        if (!succeeded) endpoint = chance.pick(endpoints);
        await new Promise((resolve) => setTimeout(resolve, chance.below(THINK_MS_MAX)));
      }
    } finally {
      client.close();
    }
  }

  async #ask(
    chance: Chance,
    client: EtcdClient,
    number: number,
    endpoint: string | undefined,
  ): Promise<boolean> {
    const { recorder } = this.#options;
    const open = recorder.call(number, this.#next(chance));
    const deadlineMs = chance.pick(DEADLINES_MS);
    try {
      const answer = await perform(client, open.input, { endpoint, deadlineMs });
      this.#see(open.input.key, recorder.answered(open, answer));
      this.counts.succeeded++;
      this.#noteSilence();
      return true;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      if (error.mayHaveTakenEffect) recorder.lost(open);
      else this.counts.failed++;
      return false;
    }
  }

  #noteSilence(): void {
    const now = performance.now();
    const silenceMs = now - this.#lastSuccessAt;
    this.counts.longestSilenceMs = Math.max(this.counts.longestSilenceMs, silenceMs);
    this.#lastSuccessAt = now;
  }

  #see(key: string, version: SeenVersion | undefined): void {
    this.#seen.set(key, version);
    if (version?.version === 1) this.#creators.set(version.createRevision, version.value);
  }

  #next(chance: Chance): KeyInput {
    const { prefix, keys, keysMs } = this.#options;
    const generation = Math.floor((performance.now() - this.#startedAt) / keysMs);
    const key = `${prefix}-${generation}-${chance.below(keys)}`;
    if (chance.hits(READS)) return { key, then: GET, else: GET };
    const then = chance.hits(DELETIONS) ? { type: "delete" as const } : this.#put();
    if (!chance.hits(COMPARISONS)) return { key, then, else: GET };
    const otherwise = chance.hits(150) ? this.#put() : GET;
    return { key, compare: this.#compare(chance, this.#seen.get(key)), then, else: otherwise };
  }

  #put(): KeyAction {
    return { type: "put", value: this.#nextValue++ };
  }

  #compare(chance: Chance, seen: SeenVersion | undefined): KeyCompare {
    const same = chance.hits(800) ? "=" : "!=";
    switch (chance.below(4)) {
      case 0:
        return { field: "value", operator: same, operand: seen?.value ?? 0 };
      case 1: {
        const operator = chance.pick(["=", "=", "!=", "<", ">"] as const);
        return { field: "version", operator, operand: seen?.version ?? 0 };
      }
      case 2: {
        const revision = seen?.modRevision ?? 0;
        return { field: "modRevision", operator: same, operand: seen?.value ?? 0, revision };
      }
      default: {
        const creator = this.#creators.get(seen?.createRevision ?? 0);
        const revision = creator === undefined ? 0 : seen!.createRevision;
        return { field: "createRevision", operator: same, operand: creator ?? 0, revision };
      }
    }
  }
}
