/**
 * One node run as a child process: its command line, its log as lines, and its end.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { formatAddress } from "./addresses.ts";
import type { Address } from "./addresses.ts";
import { ownCommand } from "./runtime.ts";

/** What a node of `flaredb dev` is started with. */
export interface ChildNodeOptions {
  readonly id: number;
  readonly clusterId: string;
  /** The folder of its data. */
  readonly data: string;
  readonly peer: Address;
  readonly client: Address;
  /** Where the peers of all members listen, this one's included. */
  readonly peers: readonly Address[];
  /** All members, as `--members` takes them. */
  readonly members: string;
  /** More arguments of `flaredb start`. */
  readonly extraArguments: readonly string[];
}

/** A node in a process of its own. It ends when this process ends, however that happens. */
export class ChildNode {
  readonly options: ChildNodeOptions;
  /** Resolves once the process has ended and its log is complete, with a text that says how. */
  readonly ended: Promise<string>;
  private readonly child: ChildProcess;
  private running = true;

  /** Starts the process. `log` gets each line it writes. */
  constructor(options: ChildNodeOptions, log: (line: string) => void) {
    this.options = options;
    const [program, args] = ownCommand(startArguments(options), {
      net: [formatAddress(options.client), ...options.peers.map(formatAddress)],
      folders: [options.data],
    });
    this.child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    // Its standard input stays open as long as this process lives; a write is never attempted.
    this.child.stdin?.on("error", () => {});
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", log);
    }
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => {
        this.running = false;
        resolve(`cannot be started: ${error.message}`);
      });
      this.child.once("close", (code, signal) => {
        this.running = false;
        resolve(signal === null ? `exit code ${code}` : `signal ${signal}`);
      });
    });
  }

  /** The id of the serving process; 0 when it could not be started. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Whether the process has not ended yet. */
  get isRunning(): boolean {
    return this.running;
  }

  /** Asks the process to end, and ends it by force when it has not after `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    if (!this.running) return;
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), deadlineMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** Not by the child's own `kill`: after that, Deno does not tell how the process really ended. */
  private signal(name: "SIGTERM" | "SIGKILL"): void {
    if (!this.running || this.pid === 0) return;
    try {
      process.kill(this.pid, name);
    } catch {
      // It has ended this moment.
    }
  }
}

function startArguments(options: ChildNodeOptions): string[] {
  return [
    "start",
    "--id",
    String(options.id),
    "--cluster-id",
    options.clusterId,
    "--data",
    options.data,
    "--peer-listen",
    formatAddress(options.peer),
    "--client-listen",
    formatAddress(options.client),
    "--members",
    options.members,
    "--stop-with-stdin",
    ...options.extraArguments,
  ];
}
