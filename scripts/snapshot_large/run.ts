/**
 * Sends a large snapshot over gRPC to a follower with an empty log in another process, cutting the
 * connection several times, while writes go on.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Node } from "../../src/node/mod.ts";
import { LoopbackProxy } from "../../tests/transport/loopback_proxy.ts";
import type { FollowerReport } from "./follower.ts";
import { digest, fill, put, startMember } from "./member.ts";
import { MemoryWatch } from "./memory.ts";

/** What is to be sent. */
export interface LargeSnapshotOptions {
  readonly bytes: number;
  readonly valueBytes: number;
  /** How often the connection is cut. */
  readonly cuts: number;
  /** How long writes are measured before the transfer, in milliseconds. */
  readonly beforeMs: number;
  readonly log: (text: string) => void;
}

/** What came of it. */
export interface LargeSnapshotReport {
  /** Whether the follower has exactly what the leader has. */
  readonly equal: boolean;
  readonly resumptions: number;
  readonly snapshotIndex: number;
  readonly transferMs: number;
  readonly installedMs: number;
  readonly leaderMemoryMib: number;
  readonly followerMemoryMib: number;
  /** Of writes, in milliseconds. */
  readonly before: Latencies;
  readonly during: Latencies;
}

/** Latencies of writes, in milliseconds. */
export interface Latencies {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Runs it. */
export async function runLargeSnapshot(
  options: LargeSnapshotOptions,
): Promise<LargeSnapshotReport> {
  const directory = await mkdtemp(join(tmpdir(), "flaredb-large-"));
  const leader = await startMember({
    nodeId: 1,
    directory: join(directory, "1"),
    members: [{ peerId: 1, address: "127.0.0.1:1" }],
    join: false,
  });
  let follower: ChildProcess | undefined;
  let proxy: LoopbackProxy | undefined;
  try {
    const { node, store, transport } = leader;
    await fill(node, options.bytes, options.valueBytes);
    options.log(`the store holds ${store.size().inUseBytes} bytes`);
    const before = await measureWrites(node, setTimeout(options.beforeMs));
    options.log(`before: ${JSON.stringify(before)}`);

    follower = startFollower(join(directory, "2"), transport.address());
    const lines = createInterface({ input: follower.stdout! })[Symbol.asyncIterator]();
    const { address } = await nextLine<{ address: string }>(lines);
    proxy = await LoopbackProxy.start(address);
    let left = options.cuts;
    const step = options.bytes / (options.cuts + 1);
    proxy.forward.onBytes = () => {
      if (left === 0 || proxy!.forward.bytes < (options.cuts - left + 1) * step) return;
      left--;
      proxy!.cut();
    };
    const memory = new MemoryWatch();
    const start = performance.now();
    await node.addLearner({ peerId: 2, address: proxy.address });
    let resumptions = 0;
    const transferred = (async () => {
      let seen = false;
      for (;;) {
        const [departing] = node.status().departingSnapshots;
        resumptions = departing?.resumptions ?? resumptions;
        seen ||= departing !== undefined;
        if (seen && departing === undefined) return performance.now() - start;
        await setTimeout(10);
      }
    })();
    const during = await measureWrites(node, transferred);
    const transferMs = await transferred;
    const leaderMemoryMib = memory.growth();
    memory.stop();
    options.log(`during: ${JSON.stringify(during)}`);
    follower.stdin!.write(`${store.lastApplied()}\n`);
    const report = await nextLine<FollowerReport>(lines);
    return {
      equal: report.digest === digest(store),
      resumptions,
      snapshotIndex: report.snapshotIndex,
      transferMs: Math.round(transferMs),
      installedMs: Math.round(performance.now() - start),
      leaderMemoryMib,
      followerMemoryMib: report.memoryMib,
      before,
      during,
    };
  } finally {
    follower?.kill("SIGKILL");
    await proxy?.close();
    await leader.node.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

function startFollower(directory: string, leader: string): ChildProcess {
  const program = fileURLToPath(new URL("./follower.ts", import.meta.url));
  const runs = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  return spawn(process.execPath, [...runs, program, directory, leader], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

async function nextLine<Value>(lines: AsyncIterator<string>): Promise<Value> {
  const { done, value } = await lines.next();
  if (done === true) throw new Error("the follower has ended");
  return JSON.parse(value) as Value;
}

/** Writes 256-byte values from eight clients until `end`. */
async function measureWrites(node: Node, end: Promise<unknown>): Promise<Latencies> {
  let over = false;
  void end.then(() => over = true);
  const latencies: number[] = [];
  const writer = async (client: number): Promise<void> => {
    const value = new Uint8Array(256).fill(client);
    while (!over) {
      const start = performance.now();
      await put(node, `small/${client}`, value);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(writer));
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 100) / 100;
  return { count: latencies.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
