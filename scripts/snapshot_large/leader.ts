/**
 * The process that sends: leads alone, takes writes, and adds a follower that needs a snapshot.
 * Arguments: its directory.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import type { Node } from "../../src/node/mod.ts";
import { digest, fill, startMember, stderrLogger } from "./member.ts";
import { type ProcessReport, ProcessWatch } from "./memory.ts";
import { serve } from "./partner.ts";
import { type Latencies, Writers } from "./writers.ts";

/** What a leader is asked. */
export type LeaderQuestion =
  /** To fill its store. */
  | { readonly ask: "fill"; readonly bytes: number; readonly valueBytes: number }
  /** Where it listens, once it leads. */
  | { readonly ask: "address" }
  /** That it is idle from here on. */
  | { readonly ask: "idle" }
  /** To take writes for so long. */
  | { readonly ask: "writes"; readonly forMs: number; readonly writers: number }
  /** To add a follower, and take writes from here on; answered when all of the snapshot has arrived. */
  | { readonly ask: "send"; readonly address: string; readonly writers: number }
  /** To take no more writes, as the follower had installed it at that moment. */
  | { readonly ask: "installed"; readonly atMs: number }
  /** What it holds, once the follower has been sent all. */
  | { readonly ask: "digest" };

/** What was seen while writes were taken. */
export interface WritesReport {
  readonly writes: Latencies;
  readonly process: ProcessReport;
}

/** What was seen while the snapshot was sent. */
export interface SendReport extends WritesReport {
  readonly forMs: number;
  readonly resumptions: number;
}

/** What a leader holds. */
export interface LeaderState {
  readonly digest: string;
  readonly lastApplied: number;
  /** While the follower caught up. */
  readonly process: ProcessReport;
}

/** Resolves once a snapshot was on its way and has arrived; how often it was resumed. */
async function untilSent(node: Node): Promise<number> {
  let seen = false;
  let resumptions = 0;
  for (;;) {
    const [departing] = node.status().departingSnapshots;
    if (departing === undefined && seen) return resumptions;
    seen ||= departing !== undefined;
    resumptions = departing?.resumptions ?? resumptions;
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
  let writers: Writers | undefined;
  await serve(async (question: LeaderQuestion) => {
    switch (question.ask) {
      case "fill":
        await fill(node, question.bytes, question.valueBytes);
        return store.size();
      case "address":
        while (node.status().role !== "leader") await setTimeout(20);
        return { address: transport.address() };
      case "idle":
        return watch.idle();
      case "writes": {
        writers = new Writers(node, question.writers);
        await setTimeout(question.forMs);
        await writers.stop();
        const report: WritesReport = { writes: writers.report(), process: watch.report() };
        return report;
      }
      case "send": {
        const startMs = performance.now();
        writers = new Writers(node, question.writers);
        await node.addLearner({ peerId: 2, address: question.address });
        const resumptions = await untilSent(node);
        const forMs = Math.round(performance.now() - startMs);
        const report: SendReport = {
          forMs,
          resumptions,
          writes: writers.report(),
          process: watch.report(),
        };
        return report;
      }
      case "installed": {
        const report: WritesReport = {
          writes: writers!.report(),
          process: watch.report(question.atMs),
        };
        await writers!.stop();
        return report;
      }
      case "digest": {
        const lastApplied = store.lastApplied();
        while ((node.status().progress?.get(2)?.matchIndex ?? 0) < lastApplied) {
          await setTimeout(10);
        }
        const process = watch.report();
        const state: LeaderState = { digest: digest(store), lastApplied, process };
        return state;
      }
    }
  });
  watch.stop();
  await node.stop();
  process.exit(0);
}
