/**
 * Crash sweep of installations: a follower that lacks compacted entries is sent a snapshot over gRPC,
 * and killed with SIGKILL at a random moment while it receives and installs it, again and again on the
 * same data. After each kill its log and its store verify, its term and commit index have not gone
 * back, and what the store holds is, pair by pair, the state of one index: the old one, or one from the
 * snapshot on. Started again it catches up with the leader, with the same state.
 *
 *     deno task install:sweep --count 100
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { crc32 } from "node:zlib";
import { encodePutCommand, KvStore, putRequest, verifyStore } from "../../src/kv/mod.ts";
import { checkSpooledSnapshot, Node } from "../../src/node/mod.ts";
import type { HardState } from "../../src/raft/mod.ts";
import {
  type Database,
  readUntouched,
  SqliteNodeStorage,
  verifyStorage,
  whileUntouched,
} from "../../src/storage/sqlite/mod.ts";
import { GrpcTransport } from "../../src/transport/grpc/mod.ts";
import { reservePorts } from "../reserved_ports.ts";
import {
  commandOf,
  count as tally,
  Numbers,
  runAsTask,
  type SweepReport,
  withDirectory,
} from "./sweep.ts";

const KEYS = 32;
const VALUE_BYTES = 4096;

/** Puts before the first round, and before each: more than the leader's log keeps. */
const FIRST_PUTS = 1500;
const ROUND_PUTS = 60;

/** How long a follower may take to catch up before the sweep gives up, in milliseconds. */
const DEADLINE_MS = 120_000;

/** What a follower does with a snapshot, in order. */
const PHASES = ["arriving", "restoring"] as const;
type Phase = (typeof PHASES)[number];

const utf8 = new TextEncoder();

/** Kills a follower `kills` times. @throws when it shows a mix, goes back, or does not catch up. */
export function installSweep(kills: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const numbers = new Numbers(seed);
    const report: SweepReport = {};
    const leader = await Leader.start(join(parent, "leader"));
    const directory = join(parent, "follower");
    const [port] = await reservePorts(1);
    const listen = `127.0.0.1:${port}`;
    const start = () => new Follower([directory, leader.address, listen]);
    let running: Follower | undefined;
    try {
      await leader.put(FIRST_PUTS);
      running = start();
      await leader.add(listen);
      await running.applied(leader.lastApplied);
      await running.kill();
      let before = examine(directory, leader);
      // How long the transfer and the installation take, about; kills are spread over either.
      const takesMs = { arriving: 50, restoring: 50 };
      for (let kill = 0; kill < kills; kill++) {
        await leader.putUntilCompacted(before.lastIndex);
        running = start();
        const phase = numbers.once(2) ? "arriving" : "restoring";
        await running.reaches(phase);
        await delay(numbers.below(Math.ceil(takesMs[phase] * 1.2)));
        await running.kill();
        const after = examine(directory, leader, before);
        tally(report, `kills while ${phase}, after which ${describe(directory, before, after)}`);
        running = start();
        await running.applied(leader.lastApplied);
        for (const phase of PHASES) {
          takesMs[phase] = takesMs[phase] * 0.7 + (running.tookMs(phase) ?? takesMs[phase]) * 0.3;
        }
        await running.kill();
        before = examine(directory, leader, after);
        if (before.appliedIndex < leader.lastApplied) throw new Error("what was applied is gone");
      }
    } finally {
      await running?.kill();
      await leader.stop();
    }
    return report;
  });
}

/** What is on the disk of the follower. */
interface Found {
  readonly hardState: HardState;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly revision: number;
  readonly appliedIndex: number;
}

function describe(directory: string, before: Found, after: Found): string {
  if (after.revision > before.revision) return "the store has the new state";
  if (after.firstIndex > before.firstIndex) {
    return "the log has the snapshot, the store the old state";
  }
  return arrived(directory)
    ? "the snapshot has arrived, log and store have the old state"
    : "log and store have the old state";
}

/** Whether a snapshot is there that was whole. */
function arrived(directory: string): boolean {
  const folder = join(directory, "snapshots");
  return existsSync(folder) && readdirSync(folder).some((name) => name.endsWith(".snapshot"));
}

function appliedIndexOf(database: Database): number {
  return database.prepare("SELECT last_applied FROM meta").first()?.[0] as number;
}

/** Verifies what is on the disk. @throws when it is unsound, a mix, or older than `before`. */
function examine(directory: string, leader: Leader, before?: Found): Found {
  const path = join(directory, "kv.db");
  const appliedInStore = () => readUntouched(path, appliedIndexOf);
  const snapshotArrived = (regionId: number, index: number, term: number) =>
    checkSpooledSnapshot(directory, regionId, index, term);
  const { problems, regions } = verifyStorage({
    directory,
    appliedIndex: appliedInStore,
    snapshotArrived,
  });
  if (problems.length > 0) throw new Error(problems.join("\n"));
  const store = whileUntouched(path, (location) =>
    verifyStore(location, (problem) => {
      throw new Error(problem);
    }));
  const [{ hardState, firstIndex, lastIndex }] = regions;
  const [revision, appliedIndex] = [store.revision as number, store.appliedIndex as number];
  leader.checkState(pairsOf(path), revision, appliedIndex);
  const old = before?.hardState;
  if (
    before !== undefined && old !== undefined &&
    (hardState.currentTerm < old.currentTerm || hardState.commitIndex < old.commitIndex ||
      revision < before.revision || appliedIndex < before.appliedIndex)
  ) {
    const now = { hardState, revision, appliedIndex };
    throw new Error(`${JSON.stringify(now)} follows ${JSON.stringify(before)}`);
  }
  return { hardState, firstIndex, lastIndex, revision, appliedIndex };
}

/** A pair, without anything that the sweep does not foresee. */
type Pair = readonly [key: string, create: number, mod: number, version: number, checksum: number];

function pairsOf(path: string): Pair[] {
  const sql = "SELECT CAST(c.key AS TEXT), h.create_revision, h.revision, h.version, h.value " +
    "FROM current c JOIN history h ON h.sequence = c.sequence ORDER BY c.key";
  return readUntouched(path, (database) =>
    database.prepare(sql).all().map((row) => [
      row[0] as string,
      row[1] as number,
      row[2] as number,
      row[3] as number,
      crc32(row[4] as Uint8Array),
    ]));
}

/** The only voter, in this process; it puts numbered values, so that every state is known. */
class Leader {
  readonly #node: Node;
  readonly #store: KvStore;
  readonly #transport: GrpcTransport;
  /** The indices of the puts, in order; put `n` has revision `n + 2`. */
  readonly #indices: number[] = [];

  private constructor(node: Node, store: KvStore, transport: GrpcTransport) {
    this.#node = node;
    this.#store = store;
    this.#transport = transport;
  }

  static async start(directory: string): Promise<Leader> {
    const identity = { clusterId: "sweep", nodeId: 1 };
    const storage = await SqliteNodeStorage.open({ directory, identity, writer: "direct" });
    const store = KvStore.open({ directory, commitRows: 1, checkpointRows: 16 });
    const transport = new GrpcTransport({ ...identity, listen: "127.0.0.1:0", insecure: true });
    const node = await Node.open({
      nodeId: 1,
      storage,
      directory,
      transport,
      regions: [{ stateMachine: store, members: [{ peerId: 1, address: "127.0.0.1:1" }] }],
      tickMs: 20,
      // Whoever is behind needs a snapshot.
      compaction: { entriesMax: 30, keepEntries: 1, laggingEntriesMax: 1, laggingBytesMax: 1 },
    });
    await node.read({ deadlineMs: DEADLINE_MS });
    return new Leader(node, store, transport);
  }

  get address(): string {
    return this.#transport.address() as string;
  }

  get lastApplied(): number {
    return this.#store.lastApplied();
  }

  async add(address: string): Promise<void> {
    await this.#node.addLearner({ peerId: 2, address });
  }

  async put(count: number): Promise<void> {
    const first = this.#indices.length;
    const numbers = Array.from({ length: count }, (_, i) => first + i);
    const results = await Promise.all(numbers.map((n) => {
      const request = putRequest({ key: utf8.encode(keyOf(n)), value: valueOf(n) });
      return this.#node.propose(encodePutCommand(request));
    }));
    for (const { index } of results) this.#indices.push(index);
  }

  /** Puts until entries after `index` are gone from the log. */
  async putUntilCompacted(index: number): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    do {
      if (performance.now() > deadline) throw new Error("the leader's log is not compacted");
      await this.put(ROUND_PUTS);
      await delay(40);
    } while (this.#node.status().firstIndex <= index + 1);
  }

  /** @throws unless the pairs are the state of the revision, and that the one of the index. */
  checkState(found: readonly Pair[], revision: number, appliedIndex: number): void {
    const puts = revision - 1;
    const [last, next] = [this.#indices[puts - 1] ?? 0, this.#indices[puts] ?? Infinity];
    if (appliedIndex < last || appliedIndex >= next) {
      throw new Error(`revision ${revision} is not the one of index ${appliedIndex}`);
    }
    const expected: Pair[] = [];
    for (let key = 0; key < Math.min(KEYS, puts); key++) {
      const n = key + KEYS * Math.floor((puts - 1 - key) / KEYS);
      const version = (n - key) / KEYS + 1;
      expected.push([keyOf(n), key + 2, n + 2, version, crc32(valueOf(n))]);
    }
    if (JSON.stringify(found) !== JSON.stringify(expected)) {
      throw new Error(`the store of revision ${revision} does not hold the state of that revision`);
    }
  }

  async stop(): Promise<void> {
    await this.#node.stop();
  }
}

function keyOf(n: number): string {
  return `key-${String(n % KEYS).padStart(2, "0")}`;
}

function valueOf(n: number): Uint8Array {
  return new Uint8Array(VALUE_BYTES).fill(n).fill(n >> 8, 0, 100);
}

/** The process that is killed. */
class Follower {
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #waiting = new Set<() => void>();
  #applied = -1;
  /** When it came to what, by a monotonic clock in milliseconds. */
  readonly #times: Partial<Record<Phase | "installed", number>> = {};
  #ended = false;
  #errors = "";

  constructor(args: readonly string[]) {
    const [file, ...rest] = commandOf("install_process.ts", args);
    const child = spawn(file, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_NO_WARNINGS: "1" },
    });
    this.#process = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#errors += text);
    this.#exited = new Promise((resolve) => child.once("close", () => resolve()));
    void this.#exited.then(() => {
      this.#ended = true;
      this.#look();
    });
    let partial = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (partial + text).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
      this.#look();
    });
  }

  /** Resolves once it has come to a phase. */
  reaches(phase: Phase): Promise<void> {
    return this.#until(() => this.#times[phase] !== undefined, `does not come to ${phase}`);
  }

  /** Resolves once it has applied an index. */
  applied(index: number): Promise<void> {
    return this.#until(() => this.#applied >= index, `does not reach index ${index}`);
  }

  /** How long a phase took, in milliseconds, when it came to it. */
  tookMs(phase: Phase): number | undefined {
    const { arriving, restoring, installed } = this.#times;
    const [from, to] = phase === "arriving" ? [arriving, restoring] : [restoring, installed];
    return from === undefined || to === undefined ? undefined : to - from;
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  #take(line: string): void {
    const now = performance.now();
    if (line === "arriving" || line === "restoring") this.#times[line] = now;
    else if (line.startsWith("applied ")) {
      this.#applied = Number(line.slice("applied ".length));
      if (this.#times.restoring !== undefined) this.#times.installed ??= now;
    }
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }

  #until(holds: () => boolean, problem: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle();
      };
      const fail = (): void =>
        end(() => reject(new Error(`the follower ${problem}: ${this.#errors.slice(-2000)}`)));
      const look = (): void => {
        if (holds()) end(resolve);
        else if (this.#ended) fail();
      };
      const timer = setTimeout(fail, DEADLINE_MS);
      this.#waiting.add(look);
      look();
    });
  }
}

function delay(timeMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, timeMs));
}

if (import.meta.main) await runAsTask("install sweep", 100, installSweep);
