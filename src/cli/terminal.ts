/**
 * What a command sees of the process around it: its standard streams and the wish of the user that
 * it ends. Commands get it passed in, so that tests can run them without a process.
 *
 * @module
 */

import process from "node:process";

/** The surroundings of a command. */
export interface Terminal {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes bytes to standard output. */
  outBytes(bytes: Uint8Array): void;
  /** Writes to standard error. */
  error(text: string): void;
  /** Whether standard error is a terminal, on which a line can be rewritten. */
  readonly errorIsTerminal: boolean;
  /** The bytes of standard input; they end early when `signal` is aborted. */
  input(): AsyncIterable<Uint8Array>;
  /** Aborted when the user asks the command to end: SIGINT (Ctrl-C) or SIGTERM. */
  readonly signal: AbortSignal;
}

/** The surroundings of this process. Installs handlers for SIGINT and SIGTERM. */
export function processTerminal(): Terminal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => controller.abort(name));
  }
  // Whoever read our output has gone away, `head` for one: there is nobody left to write to.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  return {
    out: (text) => void process.stdout.write(text),
    outBytes: (bytes) => void process.stdout.write(bytes),
    error: (text) => void process.stderr.write(text),
    errorIsTerminal: process.stderr.isTTY === true,
    input: () => untilAborted(process.stdin, controller.signal),
    signal: controller.signal,
  };
}

/** What `input` yields until it ends or `signal` is aborted, also while a read waits. */
export async function* untilAborted(
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const aborted = new Promise<{ done: true }>((resolve) => {
    if (signal.aborted) resolve({ done: true });
    else signal.addEventListener("abort", () => resolve({ done: true }), { once: true });
  });
  const chunks = input[Symbol.asyncIterator]();
  for (;;) {
    // A read that waits for a terminal cannot be called back: it is left to the end of the process.
    const next = await Promise.race([chunks.next(), aborted]);
    if (next.done === true) return;
    yield next.value;
  }
}

/** Waits until what was written to the standard streams has left the process. */
export async function flushOutput(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => {
      if (stream.destroyed || stream.writableEnded) resolve();
      else stream.write("", () => resolve());
    });
  }
}
