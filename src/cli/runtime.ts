/**
 * The runtime this process runs on, what is known about it, and how to start another process of the
 * same command on it.
 *
 * @module
 */

import process from "node:process";
import { fileURLToPath } from "node:url";

/** The runtime's name and version, such as `"Deno 2.9.3"`. */
export function runtimeName(): string {
  const { deno, bun } = process.versions as Record<string, string | undefined>;
  if (deno !== undefined) return `Deno ${deno}`;
  if (bun !== undefined) return `Bun ${bun}`;
  return `Node ${process.versions.node}`;
}

/**
 * A warning about the runtime, or undefined. Deno 2.9.4 to 2.9.6 abort natively when a gRPC client
 * that made many unary calls closes (denoland/deno#36788).
 */
export function runtimeWarning(name: string = runtimeName()): string | undefined {
  if (!/^Deno 2\.9\.[456]$/.test(name)) return undefined;
  return `${name} can abort without a message while it serves gRPC (denoland/deno#36788): ` +
    "use Deno 2.9.3, Node or Bun";
}

/** The program and arguments that run `flaredb` with `args` on this runtime. */
export function ownCommand(args: readonly string[]): readonly [string, readonly string[]] {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const main = fileURLToPath(new URL(`./main.${extension}`, import.meta.url));
  const flags = process.versions.deno === undefined ? [] : ["run", "-A"];
  return [process.execPath, [...flags, main, ...args]];
}
