/**
 * Three real processes of `flaredb start`, with real files, each behind the fault proxies of the
 * others. Their logs are read as they are written: for elections, for errors that nobody expects, and
 * into files.
 *
 * @module
 */

import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Address, formatAddress, isPortFree, parseAddress } from "../../src/cli/addresses.ts";
import { ChildNode } from "../../src/cli/child_node.ts";
import { TortureNetwork } from "./network.ts";

const HOST = "127.0.0.1";
const CLUSTER_ID = "torture";
const TICK_MS = 50;
const STOP_DEADLINE_MS = 20_000;

/** The longest time without a leader before one of the others campaigns. */
export const ELECTION_TIMEOUT_MS = 2 * 10 * TICK_MS;

interface Member {
  readonly id: number;
  readonly data: string;
  readonly peer: Address;
  readonly client: Address;
  readonly log: WriteStream;
  child: ChildNode | undefined;
  /** Whether the end of its process is wanted. */
  isEnding: boolean;
  /** Called when its process serves, or has ended. */
  onServing: () => void;
}

/** The cluster. */
export class TortureCluster {
  readonly network: TortureNetwork;
  /** How often a node became leader. */
  elections = 0;
  /** What should not have happened, such as a process that ended by itself. */
  readonly problems: string[] = [];
  readonly #members: readonly Member[];
  #leader = 0;
  #leaderTerm = 0;
  /** A process that stands still would outlive this one. */
  readonly #atExit = (): void => this.ids.forEach((id) => this.signal(id, "SIGKILL"));

  private constructor(members: readonly Member[], network: TortureNetwork) {
    this.#members = members;
    this.network = network;
  }

  /** Starts `count` processes. @param folder holds their data and logs. */
  static async start(folder: string, count: number): Promise<TortureCluster> {
    const ports = await stablePorts(2 * count);
    const members = Array.from({ length: count }, (_, index): Member => ({
      id: index + 1,
      data: join(folder, `node-${index + 1}`),
      peer: { host: HOST, port: ports[2 * index] },
      client: { host: HOST, port: ports[2 * index + 1] },
      log: createWriteStream(join(folder, `node-${index + 1}.log`), { flags: "a" }),
      child: undefined,
      isEnding: false,
      onServing: () => {},
    }));
    const network = await TortureNetwork.start(members.map(({ peer }) => formatAddress(peer)));
    const cluster = new TortureCluster(members, network);
    process.once("exit", cluster.#atExit);
    for (const { id } of members) void cluster.startNode(id);
    return cluster;
  }

  get ids(): number[] {
    return this.#members.map(({ id }) => id);
  }

  /** Where clients reach the nodes, by ascending id. */
  get endpoints(): string[] {
    return this.#members.map(({ client }) => formatAddress(client));
  }

  /** The data folders, by ascending id. */
  get folders(): string[] {
    return this.#members.map(({ data }) => data);
  }

  /** @throws Error when something happened that should not have. */
  check(): void {
    if (this.problems.length > 0) throw new Error(this.problems.join("\n"));
  }

  /** The node that last became leader, in the highest term; 0 before the first. */
  get leader(): number {
    return this.#leader;
  }

  /** Starts a node that does not run. Resolves when it serves, or has ended before. */
  startNode(id: number): Promise<void> {
    const member = this.#member(id);
    const serving = new Promise<void>((resolve) => member.onServing = resolve);
    const child = new ChildNode({
      id,
      clusterId: CLUSTER_ID,
      data: member.data,
      peer: member.peer,
      client: member.client,
      peers: this.#peersOf(id),
      members: this.#membersOf(id),
      extraArguments: ["--tick-ms", String(TICK_MS)],
    }, (line) => this.#read(member, line));
    member.child = child;
    member.isEnding = false;
    void child.ended.then((how) => {
      member.log.write(`--- process ${child.pid} has ended: ${how}\n`);
      if (!member.isEnding) this.problems.push(`node ${id} has ended by itself: ${how}`);
      if (member.child === child) member.onServing();
    });
    return serving;
  }

  /** Ends a node as a power cut would. */
  async kill(id: number): Promise<void> {
    const member = this.#member(id);
    member.isEnding = true;
    this.signal(id, "SIGKILL");
    await member.child?.ended;
  }

  /** Sends a signal to a node that runs. */
  signal(id: number, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    const { child } = this.#member(id);
    if (child === undefined || !child.isRunning || child.pid === 0) return;
    try {
      process.kill(child.pid, signal);
    } catch {
      // It has ended this moment.
    }
  }

  /** Ends all nodes as an operator would, and says how each ended. */
  async stop(): Promise<string[]> {
    return await Promise.all(this.#members.map(async (member) => {
      member.isEnding = true;
      await member.child?.stop(STOP_DEADLINE_MS);
      return await member.child?.ended ?? "never started";
    }));
  }

  /** Ends everything by force, and closes the files. */
  async close(): Promise<void> {
    process.off("exit", this.#atExit);
    await Promise.all(this.ids.map((id) => this.kill(id)));
    await this.network.close();
    await Promise.all(this.#members.map(({ log }) => new Promise((resolve) => log.end(resolve))));
  }

  #member(id: number): Member {
    return this.#members[id - 1];
  }

  #membersOf(id: number): string {
    return this.#members.map((member) => {
      const peer = member.id === id
        ? formatAddress(member.peer)
        : this.network.address(id, member.id);
      return `${member.id}=${peer}/${formatAddress(member.client)}`;
    }).join(",");
  }

  #peersOf(id: number): Address[] {
    return this.#members.map((member) =>
      member.id === id ? member.peer : parseAddress("a proxy", this.network.address(id, member.id))
    );
  }

  #read(member: Member, line: string): void {
    member.log.write(`${line}\n`);
    const [, level, text] = /^\S+ (\w+) +(.*)$/.exec(line) ?? [];
    if (level === "error") this.problems.push(`node ${member.id} logged an error: ${text}`);
    if (text?.startsWith("serving clients on ")) member.onServing();
    const term = Number(/ became leader at term (\d+)/.exec(line)?.[1] ?? 0);
    if (term === 0) return;
    this.elections++;
    if (term < this.#leaderTerm) return;
    this.#leaderTerm = term;
    this.#leader = member.id;
  }
}

/**
 * Free ports that stay free while nobody listens on them: the system gives others to connections that
 * are made in the meantime.
 */
async function stablePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isPortFree(HOST, port)) found.add(port);
  }
  return [...found];
}
