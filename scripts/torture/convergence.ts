/**
 * What must be true once the faults have stopped: every member serves, and all have applied the same
 * and hold the same; and once they have stopped cleanly, that their files are sound.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { ownCommand } from "../../src/cli/runtime.ts";
import { EtcdClient, EtcdError } from "../../src/etcd/mod.ts";

const CALL_DEADLINE_MS = 2_000;
const PAUSE_MS = 50;
const PAGE_KEYS = 1_000;

/** Whom to wait for, and how. */
export interface Wait {
  readonly endpoints: readonly string[];
  readonly deadlineMs: number;
  /** Throws when waiting is in vain. */
  readonly check: () => void;
}

/** What one member has. */
export interface MemberState {
  readonly endpoint: string;
  readonly leader: number;
  readonly term: number;
  readonly appliedIndex: number;
  readonly revision: number;
  readonly keys: number;
  /** SHA-256 of all keys, values, versions and revisions. */
  readonly hash: string;
}

/** Waits until every member answers a linearizable read. Returns how long that took. */
export async function untilAllServe(wait: Wait): Promise<number> {
  const start = performance.now();
  await Promise.all(wait.endpoints.map((endpoint) =>
    withClient(endpoint, (client) => {
      const what = () => `${endpoint} does not serve linearizable reads`;
      return untilDone(wait, what, async () => {
        await client.get("any");
        return true;
      });
    })
  ));
  return performance.now() - start;
}

/** Waits until all members are in the same state, and returns it. */
export async function untilEqual(wait: Wait): Promise<readonly MemberState[]> {
  let seen: readonly MemberState[] = [];
  return await untilDone(
    wait,
    () => `the members do not come to the same state: ${JSON.stringify(seen)}`,
    async () => {
      seen = await Promise.all(
        wait.endpoints.map((one) => withClient(one, (client) => stateOf(client, one))),
      );
      return seen.every((state) => isEqual(state, seen[0])) ? seen : undefined;
    },
  );
}

/** What `flaredb storage verify` finds wrong with the data of stopped nodes. */
export async function storageProblems(folders: readonly string[]): Promise<string[]> {
  const reports = await Promise.all(folders.map(async (folder) => {
    const [program, args] = ownCommand(["storage", "verify", folder]);
    try {
      await promisify(execFile)(program, [...args]);
      return [];
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      return [`${error instanceof Error ? error.message : error}\n${stdout}${stderr}`];
    }
  }));
  return reports.flat();
}

function isEqual(one: MemberState, other: MemberState): boolean {
  return JSON.stringify({ ...one, endpoint: "" }) === JSON.stringify({ ...other, endpoint: "" });
}

async function stateOf(client: EtcdClient, endpoint: string): Promise<MemberState> {
  const hash = createHash("sha256");
  let keys = 0;
  let from: Uint8Array = Uint8Array.of(0);
  for (;;) {
    const { kvs, more } = await client.get(from, { rangeEnd: Uint8Array.of(0), limit: PAGE_KEYS });
    for (const { key, value, version, createRevision, modRevision } of kvs) {
      hash.update(JSON.stringify([text(key), text(value), version, createRevision, modRevision]));
    }
    keys += kvs.length;
    if (!more) break;
    from = Buffer.concat([kvs[kvs.length - 1].key, Uint8Array.of(0)]);
  }
  const { leader, raftTerm: term, raftAppliedIndex: appliedIndex, header } = await client.status();
  const { revision } = header;
  const digest = hash.digest("hex");
  return { endpoint, leader: Number(leader), term, appliedIndex, revision, keys, hash: digest };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

async function withClient<T>(
  endpoint: string,
  body: (client: EtcdClient) => Promise<T>,
): Promise<T> {
  const client = new EtcdClient({ endpoints: [endpoint], deadlineMs: CALL_DEADLINE_MS });
  try {
    return await body(client);
  } finally {
    client.close();
  }
}

/** Waits until a condition gives something; what it throws of the etcd API means that it does not yet. */
export async function untilDone<T>(
  { deadlineMs, check }: Wait,
  what: () => string,
  condition: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    let last = "";
    try {
      const value = await condition();
      if (value !== undefined) return value;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      last = `: ${error.message}`;
    }
    check();
    if (performance.now() > end) throw new Error(`after ${deadlineMs} ms ${what()}${last}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
