/**
 * The process that receives: joins with an empty log, and says at the end what it has.
 * Arguments: its directory and the leader's address.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { digest, startMember, stderrLogger } from "./member.ts";
import { type ProcessReport, ProcessWatch } from "./memory.ts";
import { serve } from "./partner.ts";

/** What a follower is asked. */
export type FollowerQuestion =
  /** Where it listens. */
  | { readonly ask: "address" }
  /** To have applied this index. */
  | { readonly ask: "applied"; readonly index: number };

/** What it says once it has applied an index. */
export interface FollowerReport {
  readonly digest: string;
  readonly process: ProcessReport;
  readonly lastApplied: number;
  /** The index of the snapshot its log begins after. */
  readonly snapshotIndex: number;
}

if (import.meta.main) {
  const [directory, leader] = process.argv.slice(2);
  const { node, store, transport } = await startMember({
    nodeId: 2,
    directory,
    members: [{ peerId: 1, address: leader }],
    join: true,
    logger: stderrLogger("follower"),
  });
  const watch = new ProcessWatch();
  await serve(async (question: FollowerQuestion) => {
    if (question.ask === "address") return { address: transport.address() };
    while (store.lastApplied() < question.index) {
      const stopped = await Promise.race([node.stopped, setTimeout(20, "runs" as const)]);
      if (stopped !== "runs") throw new Error("the follower has stopped", { cause: stopped });
    }
    const seen = watch.report();
    const report: FollowerReport = {
      process: seen,
      digest: digest(store),
      lastApplied: store.lastApplied(),
      snapshotIndex: node.status().firstIndex - 1,
    };
    return report;
  });
  watch.stop();
  await node.stop();
  process.exit(0);
}
