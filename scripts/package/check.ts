/**
 * Packs the built package and uses the tarball as strangers would: two linters of packages read it,
 * a fresh folder installs it from npm, TypeScript compiles against it, every runtime of the matrix
 * elects and replicates with it, and `npx flaredb dev` serves from it. The core's bundle must not
 * have grown unexplained. Needs npm's registry.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { reservePorts } from "../reserved_ports.ts";
import { measureCore } from "../size.ts";
import { compileConsumer, EMBED_LINES, tarballIn, writeConsumer } from "./consumer.ts";
import { findRuntime, runArguments, type Runtime, RUNTIMES } from "./runtimes.ts";

const PUBLINT = "publint@0.3.25";
const ARE_THE_TYPES_WRONG = "@arethetypeswrong/cli@0.18.5";
const DEADLINE_MS = 180_000;

/** What the package is run on: the oldest Node for it, and the newest of each. */
const RUN_ON: readonly Runtime[] = [
  RUNTIMES.node22Built,
  RUNTIMES.node24,
  RUNTIMES.bun,
  RUNTIMES.deno,
];

/**
 * Checks the package in a folder and prints each step that holds.
 *
 * @throws Error of the first step that does not, with what it printed.
 */
export async function checkPackage(folder: string): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), "flaredb-package-check-"));
  try {
    const node = pathOf(RUNTIMES.node24);
    await run("npm", ["pack", "--pack-destination", temporary], { cwd: folder });
    const tarball = tarballIn(temporary);
    say(`packed ${tarball.slice(temporary.length + 1)}`);
    await lint(tarball, node);
    const consumer = join(temporary, "consumer");
    await install(consumer, tarball);
    for (const resolution of ["bundler", "nodenext"] as const) {
      const errors = compileConsumer(consumer, resolution);
      if (errors.length > 0) throw new Error(`under ${resolution}:\n${errors.join("\n")}`);
      say(`TypeScript compiles under ${resolution}`);
    }
    for (const runtime of RUN_ON) await embed(consumer, runtime);
    await dev(consumer, node);
    const { line, problem } = measureCore();
    if (problem !== undefined) throw new Error(problem);
    say(line);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

async function lint(tarball: string, node: string): Promise<void> {
  await run("npx", ["--yes", PUBLINT, "run", tarball, "--strict"], { node });
  say("publint finds nothing");
  // ESM only, as the package says: what `require` of old Nodes would see is not asked for.
  await run("npx", ["--yes", ARE_THE_TYPES_WRONG, tarball, "--profile", "esm-only"], { node });
  say("are-the-types-wrong finds nothing");
}

async function install(consumer: string, tarball: string): Promise<void> {
  writeConsumer(consumer);
  await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", tarball], {
    cwd: consumer,
  });
  say("npm installs it in a fresh folder");
}

async function embed(consumer: string, runtime: Runtime): Promise<void> {
  const addresses = (await reservePorts(3)).map((port) => `127.0.0.1:${port}`);
  const args = [...runArguments(runtime.name, join(consumer, "embed.js")), ...addresses];
  const output = await run(pathOf(runtime), args, { cwd: consumer });
  const last = output.trim().split("\n").slice(-EMBED_LINES.length);
  if (last.join() !== EMBED_LINES.join()) throw new Error(`unexpected output:\n${output}`);
  say(`three nodes elect and replicate on ${runtime.name} ${runtime.version}`);
}

/** `npx flaredb dev` serves, `npx flaredb put` and `get` talk to it, and Ctrl-C ends it. */
async function dev(consumer: string, node: string): Promise<void> {
  const child = start("npx", ["flaredb", "dev", "--json", "--port", "0", "--tick-ms", "50"], {
    cwd: consumer,
    node,
  });
  try {
    const line = await firstLine(child);
    const { nodes } = JSON.parse(line) as { nodes: { client: string }[] };
    const endpoints = ["--endpoints", nodes.map(({ client }) => client).join(",")];
    await run("npx", ["flaredb", "put", "greeting", "hello", ...endpoints], {
      cwd: consumer,
      node,
    });
    const got = await run("npx", ["flaredb", "get", "greeting", ...endpoints], {
      cwd: consumer,
      node,
    });
    if (got !== "greeting\nhello\n") throw new Error(`flaredb get printed:\n${got}`);
  } finally {
    await interrupt(child);
  }
  say("npx flaredb dev, put and get work from it");
}

interface RunOptions {
  readonly cwd?: string;
  /** The Node that `#!/usr/bin/env node` is to find, instead of the one on the path. */
  readonly node?: string;
}

function start(program: string, args: readonly string[], options: RunOptions): ChildProcess {
  const path = process.env.PATH ?? "";
  return spawn(program, [...args], {
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that an interrupt reaches what npx started, as Ctrl-C does.
    detached: true,
    env: {
      ...process.env,
      PATH: options.node === undefined ? path : `${dirname(options.node)}${delimiter}${path}`,
      NO_COLOR: "1",
      npm_config_update_notifier: "false",
    },
  });
}

/** Runs a program to its end and returns what it wrote to its standard output. */
async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const child = start(program, args, options);
  let output = "";
  let everything = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => (output += text, everything += text));
  child.stderr?.setEncoding("utf8").on("data", (text) => everything += text);
  const code = await ended(child);
  if (code === 0) return output;
  throw new Error(`${program} ${args.join(" ")}: exit code ${code}\n${everything}`);
}

async function ended(child: ChildProcess): Promise<number | null> {
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), DEADLINE_MS);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code));
    });
  } finally {
    clearTimeout(timer);
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text) => errors += text);
  const lines = createInterface({ input: child.stdout! });
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), DEADLINE_MS);
  try {
    for await (const line of lines) return line;
    throw new Error(`no line of JSON:\n${errors}`);
  } finally {
    clearTimeout(timer);
  }
}

async function interrupt(child: ChildProcess): Promise<void> {
  child.stdout?.resume();
  const end = ended(child);
  signalGroup(child, "SIGINT");
  await end;
}

function signalGroup(child: ChildProcess, signal: "SIGINT" | "SIGKILL"): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended this moment.
  }
}

function pathOf(runtime: Runtime): string {
  const found = findRuntime(runtime);
  if ("missing" in found) throw new Error(found.missing);
  return found.path;
}

function say(text: string): void {
  console.log(`ok: ${text}`);
}
