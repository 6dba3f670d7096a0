/**
 * The process that receives: joins with an empty log, and says at the end what it has. It may join one
 * leader after the other, each time anew.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { digest, type RunningMember, startMember, stderrLogger } from "./member.ts";
import { type ProcessReport, ProcessWatch } from "./memory.ts";
import { serve } from "./partner.ts";

/** What a follower is asked. */
export type FollowerQuestion =
  /** To start in a directory, and where it listens then. */
  | { readonly ask: "start"; readonly directory: string; readonly leader: string }
  /** That it is idle from here on. */
  | { readonly ask: "idle" }
  /** What was seen since. */
  | { readonly ask: "report" }
  /** To have installed a snapshot. */
  | { readonly ask: "installed" }
  /** To have applied this index. */
  | { readonly ask: "applied"; readonly index: number }
  /** To stop. */
  | { readonly ask: "stop" };

/** What it says once it has installed a snapshot. */
export interface InstalledReport {
  readonly atMs: number;
  readonly process: ProcessReport;
}

/** What it says once it has applied an index. */
export interface FollowerReport {
  readonly digest: string;
  /** While it caught up. */
  readonly process: ProcessReport;
  readonly lastApplied: number;
  /** The index of the snapshot its log begins after. */
  readonly snapshotIndex: number;
}

function start(directory: string, leader: string): Promise<RunningMember> {
  return startMember({
    nodeId: 2,
    directory,
    members: [{ peerId: 1, address: leader }],
    join: true,
    logger: stderrLogger("follower"),
  });
}

/** Resolves once it has applied an index. */
async function untilApplied({ node, store }: RunningMember, index: number): Promise<void> {
  while (store.lastApplied() < index) {
    const stopped = await Promise.race([node.stopped, setTimeout(5, "runs" as const)]);
    if (stopped !== "runs") throw new Error("the follower has stopped", { cause: stopped });
  }
}

async function applied(
  member: RunningMember,
  watch: ProcessWatch,
  index: number,
): Promise<FollowerReport> {
  await untilApplied(member, index);
  const { node, store } = member;
  const seen = watch.report();
  return {
    process: seen,
    digest: digest(store),
    lastApplied: store.lastApplied(),
    snapshotIndex: node.status().firstIndex - 1,
  };
}

if (import.meta.main) {
  const watch = new ProcessWatch();
  let member: RunningMember | undefined;
  await serve(async (question: FollowerQuestion) => {
    switch (question.ask) {
      case "start":
        member = await start(question.directory, question.leader);
        return { address: member.transport.address() };
      case "idle":
        return watch.idle();
      case "report":
        return watch.report();
      case "installed": {
        await untilApplied(member!, 1);
        const atMs = Date.now();
        const report: InstalledReport = { atMs, process: watch.report(atMs) };
        return report;
      }
      case "applied":
        return await applied(member!, watch, question.index);
      case "stop":
        await member?.node.stop();
        member = undefined;
        return {};
    }
  });
  watch.stop();
  await member?.node.stop();
  process.exit(0);
}
