/**
 * The process that sends: leads alone, takes writes, and adds a follower that needs a snapshot.
 * Arguments: its directory.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import type { Node } from "../../src/node/mod.ts";
import { digest, fill, put, startMember, stderrLogger } from "./member.ts";
import { type ProcessReport, ProcessWatch } from "./memory.ts";
import { serve } from "./partner.ts";

/** What a leader is asked. */
export type LeaderQuestion =
  /** To fill its store. */
  | { readonly ask: "fill"; readonly bytes: number; readonly valueBytes: number }
  /** Where it listens, once it leads. */
  | { readonly ask: "address" }
  /** To take writes for so long. */
  | { readonly ask: "writes"; readonly forMs: number; readonly writers: number }
  /** To add a follower, and take writes until it has the snapshot. */
  | { readonly ask: "send"; readonly address: string; readonly writers: number }
  /** What it holds. */
  | { readonly ask: "digest" };

/** Latencies of writes, in milliseconds. */
export interface Latencies {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What was seen while writes were taken. */
export interface WritesReport {
  readonly writes: Latencies;
  readonly process: ProcessReport;
}

/** What was seen while the snapshot was sent. */
export interface SendReport extends WritesReport {
  readonly transferMs: number;
  readonly resumptions: number;
}

/** What a leader holds. */
export interface LeaderState {
  readonly digest: string;
  readonly lastApplied: number;
}

/** Writes 256-byte values until `end`. */
async function measureWrites(
  node: Node,
  writers: number,
  end: Promise<unknown>,
): Promise<Latencies> {
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
  await Promise.all(Array.from({ length: writers }, (_, client) => writer(client)));
  await end;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 100) / 100;
  return { count: latencies.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Resolves once a snapshot was on its way and has arrived. */
async function untilSent(node: Node): Promise<{ transferMs: number; resumptions: number }> {
  const start = performance.now();
  let seen = false;
  let resumptions = 0;
  for (;;) {
    const [departing] = node.status().departingSnapshots;
    resumptions = departing?.resumptions ?? resumptions;
    seen ||= departing !== undefined;
    if (seen && departing === undefined) {
      return { transferMs: Math.round(performance.now() - start), resumptions };
    }
    await setTimeout(10);
  }
}

if (import.meta.main) {
  const { node, store, transport } = await startMember({
    nodeId: 1,
    directory: process.argv[2],
    members: [{ peerId: 1, address: "127.0.0.1:1" }],
    join: false,
    logger: stderrLogger("leader"),
  });
  const watch = new ProcessWatch();
  await serve(async (question: LeaderQuestion) => {
    switch (question.ask) {
      case "fill":
        await fill(node, question.bytes, question.valueBytes);
        return store.size();
      case "address":
        while (node.status().role !== "leader") await setTimeout(20);
        return { address: transport.address() };
      case "writes": {
        const writes = await measureWrites(node, question.writers, setTimeout(question.forMs));
        const report: WritesReport = { writes, process: watch.report() };
        return report;
      }
      case "send": {
        await node.addLearner({ peerId: 2, address: question.address });
        const sent = untilSent(node);
        const writes = await measureWrites(node, question.writers, sent);
        const report: SendReport = { ...await sent, writes, process: watch.report() };
        return report;
      }
      case "digest": {
        const state: LeaderState = { digest: digest(store), lastApplied: store.lastApplied() };
        return state;
      }
    }
  });
  watch.stop();
  await node.stop();
  process.exit(0);
}
