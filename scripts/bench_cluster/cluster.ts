/**
 * The clusters that are measured: three processes on loopback, each with its data in a folder of its
 * own on the same disk.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { reservePorts } from "../reserved_ports.ts";
import { EtcdClient } from "../../src/etcd/mod.ts";
import { PROJECT_ROOT } from "../project_files.ts";
import { runArguments, type Runtime } from "../package/runtimes.ts";

const HOST = "127.0.0.1";
const MEMBERS = [1, 2, 3] as const;
const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 15_000;
const POLL_MS = 50;
const OUTPUT_KEPT = 4_000;

/** How one member is started. */
interface MemberCommand {
  readonly program: string;
  readonly args: readonly string[];
}

/** Where a member listens, and where its data is. */
interface MemberPlace {
  readonly id: number;
  readonly client: string;
  readonly peer: string;
  readonly data: string;
}

/** A kind of server to measure. */
export interface System {
  /** Its name and version, for people. */
  readonly name: string;
  /** Whether its members tell what they count. */
  readonly counts: boolean;
  /** How to start a member, given the places of all. */
  command(own: MemberPlace, all: readonly MemberPlace[]): MemberCommand;
}

/** FlareDB on a runtime whose program is at `path`. `flags` go to the runtime itself. */
export function flaredbSystem(
  runtime: Runtime,
  path: string,
  version: string,
  flags: readonly string[] = [],
): System {
  const [first, ...rest] = runArguments(runtime.name, join(PROJECT_ROOT, "src/cli/main.ts"));
  const run = runtime.name === "deno" ? [first, ...flags, ...rest] : [...flags, first, ...rest];
  return {
    name: `FlareDB on ${runtime.name[0].toUpperCase()}${runtime.name.slice(1)} ${version}`,
    counts: true,
    command: ({ id, data }, all) => ({
      program: path,
      args: [
        ...run,
        ...["start", "--id", `${id}`, "--cluster-id", "bench", "--data", data],
        ...["--members", all.map((one) => `${one.id}=${one.peer}/${one.client}`).join(",")],
        ...["--log-level", "warn", "--stop-with-stdin"],
      ],
    }),
  };
}

/** etcd, from the program at `path`, as it is without options that change what it promises. */
export function etcdSystem(path: string, version: string): System {
  return {
    name: `etcd ${version}`,
    counts: false,
    command: ({ id, client, peer, data }, all) => ({
      program: path,
      args: [
        ...["--name", `node-${id}`, "--data-dir", data],
        ...["--listen-client-urls", `http://${client}`, "--advertise-client-urls"],
        ...[`http://${client}`, "--listen-peer-urls", `http://${peer}`],
        ...["--initial-advertise-peer-urls", `http://${peer}`, "--initial-cluster-state", "new"],
        ...["--initial-cluster", all.map((one) => `node-${one.id}=http://${one.peer}`).join(",")],
        ...["--logger", "zap", "--log-level", "error"],
      ],
    }),
  };
}

/** Three processes that run. */
export class Cluster {
  /** Where clients reach the members, the leader first. */
  readonly endpoints: readonly string[];
  /** The ids of the members' processes. */
  readonly pids: readonly number[];
  readonly #members: readonly MemberProcess[];
  readonly #folder: string;

  private constructor(
    members: readonly MemberProcess[],
    folder: string,
    endpoints: readonly string[],
  ) {
    this.#members = members;
    this.#folder = folder;
    this.endpoints = endpoints;
    this.pids = members.map((member) => member.pid);
  }

  /** Starts a cluster with its data under `directory`, and waits until every member knows the leader. */
  static async start(system: System, directory: string): Promise<Cluster> {
    const folder = mkdtempSync(join(directory, "flaredb-bench-"));
    const ports = await reservePorts(2 * MEMBERS.length);
    const places = MEMBERS.map((id) => ({
      id,
      client: `${HOST}:${ports[2 * id - 2]}`,
      peer: `${HOST}:${ports[2 * id - 1]}`,
      data: join(folder, `node-${id}`),
    }));
    const members = places.map((place) => new MemberProcess(system.command(place, places)));
    try {
      const endpoints = await leaderFirst(places.map(({ client }) => client), members);
      return new Cluster(members, folder, endpoints);
    } catch (error) {
      await stopAll(members, folder);
      throw error;
    }
  }

  /** @throws Error when a member has ended. */
  checkRunning(): void {
    for (const member of this.#members) member.checkRunning();
  }

  /** Stops the members and removes their data. */
  stop(): Promise<void> {
    return stopAll(this.#members, this.#folder);
  }
}

async function stopAll(members: readonly MemberProcess[], folder: string): Promise<void> {
  await Promise.all(members.map((member) => member.stop()));
  rmSync(folder, { recursive: true, force: true });
}

/** Asks until all members know the same leader. */
async function leaderFirst(
  endpoints: readonly string[],
  members: readonly MemberProcess[],
): Promise<string[]> {
  const client = new EtcdClient({ endpoints, deadlineMs: 2_000 });
  const end = performance.now() + READY_DEADLINE_MS;
  try {
    for (;;) {
      for (const member of members) member.checkRunning();
      const seen = await Promise.all(
        endpoints.map((endpoint) => client.status({ endpoint }).catch(() => undefined)),
      );
      const leader = seen[0]?.leader ?? 0n;
      if (leader !== 0n && seen.every((one) => one?.leader === leader)) {
        const first = seen.findIndex((one) => one?.header.memberId === leader);
        return [...endpoints.slice(first), ...endpoints.slice(0, first)];
      }
      if (performance.now() > end) throw new Error("the members do not agree on a leader");
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    client.close();
  }
}

/** One member, which ends with this process where it can. */
class MemberProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = "";
  #running = true;

  constructor({ program, args }: MemberCommand) {
    this.#child = spawn(program, [...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin?.on("error", () => {});
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => {
        this.#output = (this.#output + text).slice(-OUTPUT_KEPT);
      });
    }
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#running = false;
        this.#output += how;
        resolve();
      };
      this.#child.once("error", (error) => end(`\n${program}: ${error.message}`));
      this.#child.once("close", (code, signal) => end(`\n${program} ended: ${signal ?? code}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  checkRunning(): void {
    if (!this.#running) throw new Error(`a member has ended:\n${this.#output.trim()}`);
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), STOP_DEADLINE_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  #signal(name: "SIGTERM" | "SIGKILL"): void {
    try {
      if (this.#running && this.pid !== 0) process.kill(this.pid, name);
    } catch {
      // It has ended this moment.
    }
  }
}
