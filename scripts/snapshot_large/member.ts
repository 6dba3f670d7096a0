/**
 * One member on the real parts: SQLite for the log and the store, gRPC between nodes.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { createHash } from "node:crypto";
import process from "node:process";
import {
  encodePutCommand,
  type KvResult,
  KvStore,
  putRequest,
  rangeRequest,
} from "../../src/kv/mod.ts";
import { type Member, Node } from "../../src/node/mod.ts";
import type { Logger } from "../../src/raft/mod.ts";
import { SqliteNodeStorage } from "../../src/storage/sqlite/mod.ts";
import { GrpcTransport } from "../../src/transport/grpc/mod.ts";

const encoder = new TextEncoder();
const CLUSTER_ID = "snapshot-large";

/** A member that runs. */
export interface RunningMember {
  readonly node: Node;
  readonly store: KvStore;
  readonly transport: GrpcTransport;
}

/** What a member is started with. */
export interface MemberOptions {
  readonly nodeId: number;
  readonly directory: string;
  readonly members: readonly Member[];
  readonly join: boolean;
  /** Where it listens for other nodes. Default: any free port of the loopback. */
  readonly listen?: string;
  readonly logger?: Logger;
}

/** Starts a member. */
export async function startMember(options: MemberOptions): Promise<RunningMember> {
  const { nodeId, directory, members, join, logger } = options;
  mkdirSync(directory, { recursive: true });
  const identity = { clusterId: CLUSTER_ID, nodeId };
  const storage = await SqliteNodeStorage.open({ directory, identity });
  const store = KvStore.open({ directory, cacheBytes: 4 * 1024 * 1024 });
  const listen = options.listen ?? "127.0.0.1:0";
  const transport = new GrpcTransport({ ...identity, listen, insecure: true });
  const node = await Node.open({
    nodeId,
    storage,
    directory,
    transport,
    regions: [{ stateMachine: store, members, peerId: nodeId, join }],
    tickMs: 50,
    requestTimeoutMs: 60_000,
    logger,
  });
  return { node, store, transport };
}

/** Logs what is worth to be told on standard error. */
export function stderrLogger(who: string): Logger {
  const log = (text: string) => void process.stderr.write(`${who}: ${text}\n`);
  return { debug() {}, info: log, warn: log, error: log };
}

/** Puts one pair. */
export function put(node: Node, key: string, value: Uint8Array): Promise<unknown> {
  const command = encodePutCommand(putRequest({ key: encoder.encode(key), value }));
  return node.propose<KvResult>(command);
}

/** Puts `bytes` of values of `valueBytes` each, which no compression would shrink. */
export async function fill(node: Node, bytes: number, valueBytes: number): Promise<void> {
  let next = 0;
  const count = Math.ceil(bytes / valueBytes);
  const writer = async (): Promise<void> => {
    while (next < count) {
      const at = next++;
      const value = new Uint8Array(valueBytes);
      let state = at + 1;
      for (let i = 0; i < valueBytes; i++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
        value[i] = state >>> 16;
      }
      await put(node, `large/${String(at).padStart(9, "0")}`, value);
    }
  };
  await Promise.all(Array.from({ length: 32 }, writer));
}

/** The digest of all pairs whose key begins with `large/`. */
export function digest(store: KvStore): string {
  const hash = createHash("sha256");
  let key = encoder.encode("large/");
  for (;;) {
    const request = rangeRequest({ key, rangeEnd: encoder.encode("large0"), limit: 64 });
    const { pairs, more } = store.range(request);
    for (const pair of pairs) hash.update(pair.key).update(pair.value);
    if (!more) return hash.digest("hex");
    const last = pairs[pairs.length - 1].key;
    key = new Uint8Array(last.length + 1);
    key.set(last);
  }
}
