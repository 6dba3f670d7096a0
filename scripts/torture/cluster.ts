/**
 * Three real processes of `flaredb start`, with real files, each behind the fault proxies of the
 * others. A member has one of three places, where its clients reach it; when it is lost or removed,
 * another member takes the place. The logs are read as they are written: for elections, for snapshots,
 * for errors that nobody expects, and into files.
 *
 * @module
 */

import { createWriteStream, rmSync, type WriteStream } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Address, formatAddress } from "../../src/cli/addresses.ts";
import { ChildNode } from "../../src/cli/child_node.ts";
import { reservePorts } from "../reserved_ports.ts";
import { TortureNetwork } from "./network.ts";

const HOST = "127.0.0.1";
const CLUSTER_ID = "torture";
const TICK_MS = 50;
const STOP_DEADLINE_MS = 20_000;

/** A log with more entries is compacted. */
const LOG_ENTRIES_MAX = 60;

/**
 * Who lacks more than this share of all entries there ever were gets a snapshot. The store keeps every
 * revision, so a snapshot takes longer and longer; whoever installs one must not need the next by then.
 */
const KEPT_SHARE = 1 / 40;

/** The longest time without a leader before one of the others campaigns. */
export const ELECTION_TIMEOUT_MS = 2 * 10 * TICK_MS;

/** Where one member at a time runs. */
interface Place {
  /** Where its process listens for the others. */
  readonly listen: Address;
  readonly client: Address;
  /**
   * Where the others reach it: proxies before `listen`. A member that replaces another takes the one
   * that the other did not have, as no two members are recorded with one address.
   */
  readonly proxies: readonly [Address, Address];
}

/** A member that runs, or is to run again. */
export interface Member {
  readonly id: number;
  readonly place: Place;
  /** Where the others reach it. */
  readonly peer: Address;
  readonly data: string;
  readonly log: WriteStream;
  /** Whether it was added to the cluster when that ran already. */
  readonly joins: boolean;
  /** What it is started with, always: the members as they were when it came. */
  knownMembers: string;
  /** Whether it has a log. */
  hasBegun: boolean;
  child: ChildNode | undefined;
  /** How its process may end: not at all, in any way, or as of one that was removed. */
  mayEnd: "never" | "anyhow" | "removed";
  /** Called when its process serves, or has ended. */
  onServing: () => void;
}

/** The cluster. */
export class TortureCluster {
  readonly network: TortureNetwork;
  /** How often a node became leader. */
  elections = 0;
  /** How often a new member began with a snapshot of a leader. */
  snapshotsToNew = 0;
  /** How often a member was so far behind that it began its log anew at a snapshot of a leader. */
  snapshotsToLagging = 0;
  /** How often a process was killed while it installed one, and went on after its restart. */
  snapshotsResumed = 0;
  /** What should not have happened, such as a process that ended by itself. */
  readonly problems: string[] = [];
  /** Entries of the log; what is kept for members that are behind depends on it. */
  appliedIndex = 0;
  readonly #folder: string;
  readonly #places: readonly Place[];
  readonly #members = new Map<number, Member>();
  readonly #logs: WriteStream[] = [];
  #leader = 0;
  #leaderTerm = 0;
  /** A process that stands still would outlive this one. */
  readonly #atExit = (): void => this.ids.forEach((id) => this.signal(id, "SIGKILL"));

  private constructor(folder: string, places: readonly Place[], network: TortureNetwork) {
    this.#folder = folder;
    this.#places = places;
    this.network = network;
  }

  /** Starts `count` processes, with ids from 1. @param folder holds their data and logs. */
  static async start(folder: string, count: number): Promise<TortureCluster> {
    const ports = await reservePorts(2 * count);
    const network = new TortureNetwork(CLUSTER_ID);
    const places: Place[] = [];
    for (let at = 0; at < count; at++) {
      const [listen, client] = ports.splice(0, 2).map(addressOf);
      const proxies = [await network.listen(listen), await network.listen(listen)] as const;
      places.push({ listen, client, proxies: [addressOf(proxies[0]), addressOf(proxies[1])] });
    }
    const cluster = new TortureCluster(folder, places, network);
    process.once("exit", cluster.#atExit);
    places.forEach((place, at) => cluster.#enroll(at + 1, place, place.proxies[0], false));
    for (const member of cluster.#members.values()) member.knownMembers = cluster.#list();
    for (const id of cluster.ids) void cluster.startNode(id);
    return cluster;
  }

  /** The members that run or are to run again, in ascending order. */
  get ids(): number[] {
    return [...this.#members.keys()].sort((one, other) => one - other);
  }

  /** Where clients reach the nodes, the same at all times. */
  get endpoints(): string[] {
    return this.#places.map(({ client }) => formatAddress(client));
  }

  /** The data folders of the members. */
  get folders(): string[] {
    return [...this.#members.values()].map(({ data }) => data);
  }

  /** @throws Error when something happened that should not have. */
  check(): void {
    if (this.problems.length > 0) throw new Error(this.problems.join("\n"));
  }

  /** The member that last became leader, in the highest term; 0 before the first, or when it is gone. */
  get leader(): number {
    return this.#members.has(this.#leader) ? this.#leader : 0;
  }

  /** Starts a node that does not run. Resolves when it serves, or has ended before. */
  startNode(id: number): Promise<void> {
    const member = this.#member(id);
    const serving = new Promise<void>((resolve) => member.onServing = resolve);
    const { listen, client } = member.place;
    const child = new ChildNode({
      id,
      clusterId: CLUSTER_ID,
      data: member.data,
      peer: listen,
      client,
      peers: [listen, ...this.#places.flatMap(({ proxies }) => proxies)],
      members: member.knownMembers,
      extraArguments: [
        ...["--tick-ms", String(TICK_MS)],
        ...this.#compaction(),
        ...member.joins ? ["--join"] : [],
      ],
    }, (line) => this.#read(member, line));
    member.child = child;
    member.mayEnd = "never";
    void child.ended.then((how) => {
      member.log.write(`--- process ${child.pid} has ended: ${how}\n`);
      const { mayEnd } = member;
      if (mayEnd === "never" || (mayEnd === "removed" && how !== "exit code 4")) {
        this.problems.push(`node ${id} has ended by itself: ${how}`);
      }
      if (member.child === child) member.onServing();
    });
    return serving;
  }

  #compaction(): string[] {
    const kept = Math.max(LOG_ENTRIES_MAX, Math.ceil(this.appliedIndex * KEPT_SHARE));
    return [
      ...["--compact-entries", String(LOG_ENTRIES_MAX)],
      ...["--compact-keep", String(LOG_ENTRIES_MAX / 3)],
      ...["--compact-keep-lagging", String(kept)],
    ];
  }

  /** Ends a node as a power cut would. */
  async kill(id: number): Promise<void> {
    const member = this.#member(id);
    member.mayEnd = "anyhow";
    this.signal(id, "SIGKILL");
    await member.child?.ended;
  }

  /** Kills a node and takes its disk away; it will not run again. */
  async lose(id: number): Promise<Member> {
    const member = this.#member(id);
    await this.kill(id);
    this.#members.delete(id);
    rmSync(member.data, { recursive: true, force: true });
    return member;
  }

  /** A node is to be removed, and may end as one that was. */
  expectRemoval(id: number): void {
    this.#member(id).mayEnd = "removed";
  }

  /**
   * A node was removed: it ends by itself, or when it does not learn of that before `deadlineMs`, by
   * force. Its disk is taken away.
   */
  async retire(id: number, deadlineMs: number): Promise<Member> {
    const member = this.#member(id);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, deadlineMs));
    await Promise.race([member.child!.ended, late]);
    clearTimeout(timer);
    return await this.lose(id);
  }

  /** Starts a member that was added. @param peer where the others reach it */
  join(id: number, place: Place, peer: Address): Promise<void> {
    this.#enroll(id, place, peer, true);
    this.#member(id).knownMembers = this.#list();
    return this.startNode(id);
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
    return await Promise.all([...this.#members.values()].map(async (member) => {
      member.mayEnd = "anyhow";
      await member.child?.stop(STOP_DEADLINE_MS);
      return await member.child?.ended ?? "never started";
    }));
  }

  /** Ends everything by force, and closes the files. */
  async close(): Promise<void> {
    process.off("exit", this.#atExit);
    await Promise.all(this.ids.map((id) => this.kill(id)));
    await this.network.close();
    await Promise.all(this.#logs.map((log) => new Promise((resolve) => log.end(resolve))));
  }

  #member(id: number): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }

  #enroll(id: number, place: Place, peer: Address, joins: boolean): void {
    const log = createWriteStream(join(this.#folder, `node-${id}.log`), { flags: "a" });
    this.#logs.push(log);
    const data = join(this.#folder, `node-${id}`);
    this.#members.set(id, {
      ...{ id, place, peer, data, log, joins },
      knownMembers: "",
      hasBegun: !joins,
      child: undefined,
      mayEnd: "never",
      onServing: () => {},
    });
  }

  /** The members, as `--members` takes them. */
  #list(): string {
    return [...this.#members.values()].map(({ id, peer, place }) =>
      `${id}=${formatAddress(peer)}/${formatAddress(place.client)}`
    ).join(",");
  }

  #read(member: Member, line: string): void {
    member.log.write(`${line}\n`);
    const [, level, text = ""] = /^\S+ (\w+) +(.*)$/.exec(line) ?? [];
    if (level === "error") this.problems.push(`node ${member.id} logged an error: ${text}`);
    if (text.startsWith("serving clients on ")) member.onServing();
    if (/ restored snapshot \d+\/\d+$/.test(text)) {
      if (member.hasBegun) this.snapshotsToLagging++;
      else this.snapshotsToNew++;
      member.hasBegun = true;
    }
    if (/installs the snapshot of index \d+, as it had begun$/.test(text)) this.snapshotsResumed++;
    const term = Number(/ became leader at term (\d+)/.exec(text)?.[1] ?? 0);
    if (term === 0) return;
    this.elections++;
    if (term < this.#leaderTerm) return;
    this.#leaderTerm = term;
    this.#leader = member.id;
  }
}

function addressOf(port: number): Address {
  return { host: HOST, port };
}
