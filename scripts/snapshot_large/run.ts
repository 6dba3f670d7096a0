/**
 * Sends a large snapshot over gRPC to a follower with an empty log, cutting the connection several
 * times, while writes go on. Leader and follower are processes of their own; the connection between
 * them passes this one.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LoopbackProxy } from "../../tests/transport/loopback_proxy.ts";
import type { FollowerQuestion, FollowerReport } from "./follower.ts";
import type { LeaderQuestion, LeaderState, SendReport, WritesReport } from "./leader.ts";
import { Partner } from "./partner.ts";

/** What is to be sent. */
export interface LargeSnapshotOptions {
  readonly bytes: number;
  readonly valueBytes: number;
  /** How often the connection is cut. */
  readonly cuts: number;
  /** How long writes are measured before the transfer, in milliseconds. */
  readonly beforeMs: number;
  /** How many clients write, each one pair after the other. */
  readonly writers: number;
  readonly log: (text: string) => void;
}

/** What came of it. */
export interface LargeSnapshotReport {
  /** Whether the follower has exactly what the leader has. */
  readonly equal: boolean;
  readonly before: WritesReport;
  readonly during: SendReport;
  /** Until the follower had applied everything. */
  readonly installedMs: number;
  readonly follower: Omit<FollowerReport, "digest">;
}

/** Runs it. */
export async function runLargeSnapshot(
  options: LargeSnapshotOptions,
): Promise<LargeSnapshotReport> {
  const directory = await mkdtemp(join(tmpdir(), "flaredb-large-"));
  const started: Partner[] = [];
  const start = (program: string, ...args: string[]): Partner => {
    const partner = new Partner(program, ...args);
    started.push(partner);
    return partner;
  };
  let proxy: LoopbackProxy | undefined;
  try {
    await fillStore(start("leader.ts", join(directory, "1")), options);
    const leader = start("leader.ts", join(directory, "1"));
    const address = await addressOf(leader);
    const { writers, beforeMs } = options;
    const before = await askLeader<WritesReport>(leader, {
      ask: "writes",
      forMs: beforeMs,
      writers,
    });
    options.log(`before: ${JSON.stringify(before)}`);

    const follower = start("follower.ts", join(directory, "2"), address);
    proxy = await LoopbackProxy.start(await addressOf(follower));
    cutEvenly(proxy, options);
    const startMs = performance.now();
    const during = await askLeader<SendReport>(leader, {
      ask: "send",
      address: proxy.address,
      writers,
    });
    options.log(`during: ${JSON.stringify(during)}`);
    const state = await askLeader<LeaderState>(leader, { ask: "digest" });
    const applied: FollowerQuestion = { ask: "applied", index: state.lastApplied };
    const { digest, ...report } = await follower.ask<FollowerReport>(applied);
    await Promise.all([leader.end(), follower.end()]);
    return {
      equal: digest === state.digest,
      before,
      during,
      installedMs: Math.round(performance.now() - startMs),
      follower: report,
    };
  } finally {
    for (const partner of started) partner.kill();
    await proxy?.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** In a process of its own, whose memory does not count. */
async function fillStore(filler: Partner, options: LargeSnapshotOptions): Promise<void> {
  const { bytes, valueBytes } = options;
  const size = await askLeader<{ inUseBytes: number }>(filler, { ask: "fill", bytes, valueBytes });
  options.log(`the store holds ${size.inUseBytes} bytes`);
  await filler.end();
}

function askLeader<Answer>(leader: Partner, question: LeaderQuestion): Promise<Answer> {
  return leader.ask(question);
}

async function addressOf(partner: Partner): Promise<string> {
  return (await partner.ask<{ address: string }>({ ask: "address" })).address;
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
