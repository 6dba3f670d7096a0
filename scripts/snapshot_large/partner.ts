/**
 * The processes of a run: each is asked one question after the other, as lines of JSON on its standard
 * input, and answers on its standard output.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/**
 * Most MiB of each half of V8's young generation. By default it grows to several times as much under any
 * load of writes, and never shrinks while that lasts: what a transfer adds could not be told from it.
 */
const SEMI_SPACE_MIB = 4;

/** What comes before the path of a program. */
function runtimeOptions(): string[] {
  const limit = `--max-semi-space-size=${SEMI_SPACE_MIB}`;
  if (process.versions.deno !== undefined) {
    return ["run", "-A", "--no-check", `--v8-flags=${limit}`];
  }
  return process.versions.bun === undefined ? [limit] : [];
}

/** Another process of this run. */
export class Partner {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #program: string;

  /** @param program a file beside this one. */
  constructor(program: string, ...options: string[]) {
    const path = fileURLToPath(new URL(program, import.meta.url));
    this.#program = program;
    this.#child = spawn(process.execPath, [...runtimeOptions(), path, ...options], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Asks a question. One at a time. */
  async ask<Answer>(question: unknown): Promise<Answer> {
    this.#child.stdin!.write(JSON.stringify(question) + "\n");
    const { done, value } = await this.#lines.next();
    if (done === true) throw new Error(`${this.#program} has ended`);
    return JSON.parse(value) as Answer;
  }

  /** Asks nothing more, and waits until it has ended by itself. */
  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin!.end();
    await ended;
  }

  /** Kills it. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Answers questions until there are no more. */
export async function serve(answer: (question: never) => Promise<unknown>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const answered = await answer(JSON.parse(line) as never);
    process.stdout.write(JSON.stringify(answered) + "\n");
  }
}
