/**
 * The process that receives: joins with an empty log, and says at the end what it has.
 * Arguments: its directory and the leader's address. Standard input: the index to wait for.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { MemoryWatch } from "./memory.ts";
import { digest, startMember } from "./member.ts";

/** What it says at the end. */
export interface FollowerReport {
  readonly digest: string;
  readonly memoryMib: number;
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
    logger: {
      debug() {},
      info: (text) => void process.stderr.write(`follower: ${text}\n`),
      warn: (text) => void process.stderr.write(`follower: ${text}\n`),
      error: (text) => void process.stderr.write(`follower: ${text}\n`),
    },
  });
  const memory = new MemoryWatch();
  process.stdout.write(JSON.stringify({ address: transport.address() }) + "\n");
  void node.stopped.then((error) => {
    if (error !== undefined) process.stderr.write(`follower: stopped: ${error.message}\n`);
  });
  for await (const line of createInterface({ input: process.stdin })) {
    const index = Number(line);
    while (store.lastApplied() < index) await setTimeout(20);
    const snapshotIndex = node.status().firstIndex - 1;
    const memoryMib = memory.growth();
    const report: FollowerReport = {
      digest: digest(store),
      memoryMib,
      lastApplied: store.lastApplied(),
      snapshotIndex,
    };
    process.stdout.write(JSON.stringify(report) + "\n");
    break;
  }
  memory.stop();
  await node.stop();
  process.exit(0);
}
