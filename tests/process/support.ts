/**
 * What the tests of real processes share: running `flaredb` on the runtime the test itself runs on,
 * waiting for conditions with a deadline, and leaving no process and no file behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { ownCommand } from "../../src/cli/runtime.ts";

/** Ports of `flaredb dev`: one for clients and one for the other nodes, of three nodes. */
const DEV_PORTS = 6;

/** How long anything may take before a test gives up on it. */
export const DEADLINE_MS = 60_000;

/** Waits until `condition` gives something other than undefined or false. */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs: number = DEADLINE_MS,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Fails when `promise` takes longer than the deadline. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  deadlineMs: number = DEADLINE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${deadlineMs} ms in vain: ${what}`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A process under test, with what it has written so far. */
export class TestProcess {
  readonly name: string;
  readonly lines: string[] = [];
  standardOutput = "";
  standardError = "";
  /** Resolves with the exit code once the process has ended; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  isRunning = true;
  private readonly child: ChildProcess;

  constructor(program: string, args: readonly string[], input: string | undefined) {
    this.name = [program, ...args].join(" ");
    this.child = spawn(program, [...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdin?.on("error", () => {});
    if (input !== undefined) this.child.stdin?.end(input);
    this.child.stdout?.setEncoding("utf8").on("data", (text) => this.standardOutput += text);
    this.child.stderr?.setEncoding("utf8").on("data", (text) => this.standardError += text);
    if (this.child.stdout) {
      createInterface({ input: this.child.stdout }).on("line", (line) => this.lines.push(line));
    }
    this.ended = new Promise((resolve) => {
      const end = (code: number | null): void => {
        this.isRunning = false;
        resolve(code);
      };
      this.child.once("error", (error) => {
        this.standardError += `\n${error.message}`;
        end(-1);
      });
      this.child.once("close", end);
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  kill(signal: "SIGINT" | "SIGTERM" | "SIGKILL"): void {
    // Not by the child's own kill: after that, Deno does not tell how the process really ended.
    if (this.isRunning && this.pid !== 0) killPid(this.pid, signal);
  }

  /** Waits for its end and returns the exit code. */
  async exitCode(): Promise<number | null> {
    return await within(`the end of ${this.name}\n${this.standardError}`, this.ended);
  }

  /** What it wrote, for the message of a failed test. */
  transcript(): string {
    return `${this.name}\n--- stdout\n${this.standardOutput}\n--- stderr\n${this.standardError}`;
  }
}

/** How a process ended. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One node, as `flaredb dev --json` names it. */
export interface DevNode {
  readonly id: number;
  readonly pid: number;
  readonly client: string;
  readonly peer: string;
  readonly data: string;
}

/** A running `flaredb dev`. */
export interface DevCluster {
  readonly process: TestProcess;
  readonly nodes: readonly DevNode[];
  readonly leader: number;
}

/** The processes and the folder of one test; everything is gone after `withSandbox`. */
export class Sandbox {
  readonly folder: string = mkdtempSync(join(tmpdir(), "flaredb-test-"));
  private readonly processes: TestProcess[] = [];
  private readonly pids = new Set<number>();

  /** Starts a program. Without an `input` its standard input stays open as long as this process. */
  spawn(program: string, args: readonly string[], input?: string): TestProcess {
    const started = new TestProcess(program, args, input);
    this.processes.push(started);
    return started;
  }

  /** Starts `flaredb` with these arguments. */
  flaredb(args: readonly string[], input?: string): TestProcess {
    const [program, programArguments] = ownCommand(args);
    return this.spawn(program, programArguments, input);
  }

  /** Runs `flaredb` to its end. */
  async run(args: readonly string[], input = ""): Promise<Outcome> {
    return await outcomeOf(this.flaredb(args, input));
  }

  /** Runs another program to its end. */
  async runProgram(program: string, args: readonly string[]): Promise<Outcome> {
    return await outcomeOf(this.spawn(program, args, ""));
  }

  /** Starts three nodes on free ports and waits for a leader. @param port the first; 0 for any. */
  async dev(args: readonly string[] = [], port?: number): Promise<DevCluster> {
    port ??= (await reservePorts(DEV_PORTS))[0];
    const own = ["--json", "--port", String(port), "--tick-ms", "50"];
    const started = this.flaredb(["dev", ...own, ...args]);
    const line = await until("a line of JSON from flaredb dev", () => {
      if (!started.isRunning) throw new Error(`flaredb dev has ended: ${started.transcript()}`);
      return started.lines[0];
    }).catch((error) => {
      throw new Error(`${error.message}\n${started.transcript()}`);
    });
    const { nodes, leader } = JSON.parse(line) as { nodes: DevNode[]; leader: number };
    for (const node of nodes) this.pids.add(node.pid);
    return { process: started, nodes, leader };
  }

  /** Ends everything that was started, by force, and removes the folder. */
  async close(): Promise<void> {
    for (const one of this.processes) one.kill("SIGKILL");
    for (const pid of this.pids) if (isAlive(pid)) killPid(pid);
    await Promise.all(this.processes.map((one) => within(`the end of ${one.name}`, one.ended)));
    await until("the end of all nodes", () => [...this.pids].every((pid) => !isAlive(pid)));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function outcomeOf(started: TestProcess): Promise<Outcome> {
  const code = await started.exitCode();
  return { code, stdout: started.standardOutput, stderr: started.standardError };
}

/** Runs a test in a sandbox and cleans up whatever happens. */
export async function withSandbox(body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  const sandbox = new Sandbox();
  try {
    await body(sandbox);
  } finally {
    await sandbox.close();
  }
}

/** Whether a process exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Sends a signal to a process, by default the one that ends it at once, as a power cut would. */
export function killPid(pid: number, signal: "SIGINT" | "SIGTERM" | "SIGKILL" = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Whether a program can be found on the PATH. */
export function hasProgram(name: string): boolean {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.some((folder) => folder !== "" && existsSync(join(folder, name)));
}
