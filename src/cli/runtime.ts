/**
 * The runtime this process runs on, what is known about it, and how to start another process of the
 * same command on it.
 *
 * @module
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import { WORKER_FILE } from "../storage/sqlite/mod.ts";

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

/** How people run this `flaredb`: from the package, which holds JavaScript, or from the sources. */
export function commandForPeople(module: string = import.meta.url): string {
  return module.endsWith(".ts") ? "npx --yes deno@2.9.3 task flaredb" : "npx flaredb";
}

/** What a process of `flaredb` may use, where the runtime can limit it (Deno). */
export interface Permissions {
  /** Addresses, `host:port`, it may listen on or connect to. */
  readonly net: readonly string[];
  /** Folders it may read and write. */
  readonly folders: readonly string[];
  /** Files it may read, such as certificates; that of the thread that writes is added. */
  readonly files?: readonly string[];
}

/**
 * The program and arguments that run `flaredb` with `args` on this runtime: with all permissions, or
 * with those given.
 */
export function ownCommand(
  args: readonly string[],
  permissions?: Permissions,
): readonly [string, readonly string[]] {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const main = fileURLToPath(new URL(`./main.${extension}`, import.meta.url));
  if (process.versions.deno === undefined) return [process.execPath, [main, ...args]];
  const worker = fileURLToPath(WORKER_FILE);
  const flags = ["run", ...denoFlags(permissions && withFile(permissions, worker))];
  return [process.execPath, [...flags, main, ...args]];
}

function withFile(permissions: Permissions, file: string): Permissions {
  return { ...permissions, files: [...permissions.files ?? [], file] };
}

/** Deno's options for these permissions, beside which a node needs no others. */
export function denoFlags(permissions: Permissions | undefined): string[] {
  if (permissions === undefined) return ["-A"];
  const { net, folders, files = [] } = permissions;
  // A comma in a path is doubled, as a single one separates paths.
  const list = (paths: readonly string[]): string =>
    paths.map((path) => path.replaceAll(",", ",,")).join(",");
  return [
    "--no-prompt",
    `--allow-net=${net.join(",")}`,
    `--allow-read=${list([...folders, ...files])}`,
    `--allow-write=${list(folders)}`,
    "--allow-env=GRPC_*",
  ];
}
