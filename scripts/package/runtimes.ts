/**
 * The runtimes of the project's matrix, each from its npm package, so that a machine with nothing but
 * npm can run them all.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import process from "node:process";

/** A runtime in one version. */
export interface Runtime {
  /** The npm package and the program in it. */
  readonly name: "node" | "deno" | "bun";
  /** Exact, or a major version. */
  readonly version: string;
}

/** What the sources run on; the first Node is the oldest for the built package alone. */
export const RUNTIMES = {
  node22Built: { name: "node", version: "22.16.0" },
  node22: { name: "node", version: "22.18.0" },
  node24: { name: "node", version: "24" },
  bun: { name: "bun", version: "1.4.5" },
  deno: { name: "deno", version: "2.9.3" },
} as const satisfies Record<string, Runtime>;

/** How long npm may take to fetch a runtime it does not have yet. */
const FETCH_DEADLINE_MS = 120_000;

const PRINT_PATH: Readonly<Record<Runtime["name"], readonly string[]>> = {
  node: ["-p", "process.execPath"],
  bun: ["-p", "process.execPath"],
  deno: ["eval", "-p", "Deno.execPath()"],
};

/**
 * The absolute path of a runtime's program: this process's own where it fits, else what npm has in
 * its cache or fetches. A text that says why, when there is none.
 */
export function findRuntime(runtime: Runtime): { path: string } | { missing: string } {
  const { name, version } = runtime;
  if (isCurrent(runtime)) return { path: process.execPath };
  const args = ["--yes", `--package=${name}@${version}`, "--", name, ...PRINT_PATH[name]];
  const { status, stdout, stderr, error } = spawnSync("npx", args, {
    encoding: "utf8",
    timeout: FETCH_DEADLINE_MS,
    env: { ...process.env, NO_COLOR: "1", npm_config_update_notifier: "false" },
  });
  const path = (stdout ?? "").trim();
  if (status === 0 && path !== "") return { path };
  return {
    missing: `${name}@${version}: ${error?.message ?? (stderr.trim() || `exit ${status}`)}`,
  };
}

/** The runtime of this process. */
export function currentRuntime(): Runtime {
  const { deno, bun, node } = process.versions as Record<string, string | undefined>;
  if (deno !== undefined) return { name: "deno", version: deno };
  if (bun !== undefined) return { name: "bun", version: bun };
  return { name: "node", version: node ?? "" };
}

function isCurrent({ name, version }: Runtime): boolean {
  const current = currentRuntime();
  return current.name === name && `${current.version}.`.startsWith(`${version}.`);
}

/** The arguments with which a runtime runs a program with all permissions. */
export function runArguments(name: Runtime["name"], program: string): string[] {
  return name === "deno" ? ["run", "-A", program] : [program];
}
