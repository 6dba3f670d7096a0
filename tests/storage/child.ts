/**
 * Starts `storage_process.ts` on the runtime that runs the tests, and reads what it prints.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("./storage_process.ts", import.meta.url));

/** How long a child may take to print what a test waits for, in milliseconds. */
const DEADLINE_MS = 30_000;

/** A running `storage_process.ts`. */
export class StorageChild {
  /** The whole lines it has printed. */
  readonly lines: string[] = [];
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  #partial = "";
  #wake: () => void = () => {};

  constructor(
    mode: "hold" | "write",
    directory: string,
    writer: "auto" | "direct" | "worker" = "auto",
  ) {
    const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
    this.#process = spawn(process.execPath, [...runtime, SCRIPT, mode, directory, writer], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_NO_WARNINGS: "1" },
    });
    this.#process.stdout?.setEncoding("utf8");
    this.#process.stdout?.on("data", (text: string) => this.#take(text));
    // All output has been read once "close" is emitted.
    this.#exited = new Promise((resolve) => this.#process.once("close", () => resolve()));
    this.#exited.then(() => this.#wake());
  }

  /** Waits for at least `count` lines. */
  async waitForLines(count: number): Promise<void> {
    const deadline = new Promise<never>((_, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`the child printed ${this.lines.length} of ${count} lines`)),
        DEADLINE_MS,
      );
      this.#exited.then(() => clearTimeout(timer));
      timer.unref?.();
    });
    deadline.catch(() => {});
    while (this.lines.length < count) {
      const more = new Promise<void>((resolve) => this.#wake = resolve);
      await Promise.race([more, deadline]);
      if (this.#process.exitCode !== null && this.lines.length < count) {
        throw new Error(`the child ended after ${this.lines.length} of ${count} lines`);
      }
    }
  }

  /** Kills it without any chance to clean up, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  /** Waits until it ends by itself. */
  exit(): Promise<void> {
    return this.#exited;
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    this.lines.push(...lines);
    this.#wake();
  }
}
