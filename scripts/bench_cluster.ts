/**
 * Measures whole clusters under load: three processes on loopback, every write synced, FlareDB on
 * each runtime and etcd beside it, all driven by the same load generator. Prints rates, latencies,
 * processor time of the members, and the counters that show how well work is batched; every answer
 * is checked. What the figures mean is in `docs/performance.md`. On an idle machine:
 *
 *     deno task bench:cluster
 *     deno task bench:cluster --markdown > figures.md
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { availableParallelism, cpus, totalmem } from "node:os";
import process from "node:process";
import { parseArguments, USAGE } from "./bench_cluster/arguments.ts";
import { benchmark, type SystemResult } from "./bench_cluster/benchmark.ts";
import { etcdSystem, flaredbSystem, type System } from "./bench_cluster/cluster.ts";
import { syncMs } from "./bench_cluster/measures.ts";
import { headingLine, markdown, measurementLine } from "./bench_cluster/report.ts";
import { findRuntime, RUNTIMES } from "./package/runtimes.ts";

const RUNTIME_VERSIONS = { deno: RUNTIMES.deno, node: RUNTIMES.node24, bun: RUNTIMES.bun };

/** The systems to measure that are there; says which are not. */
function findSystems(
  { runtimes, runtimeFlags, etcd }: Exclude<ReturnType<typeof parseArguments>, "help">,
): System[] {
  const systems: System[] = [];
  for (const name of runtimes) {
    const found = findRuntime(RUNTIME_VERSIONS[name]);
    if ("missing" in found) {
      console.error(`not measured: ${found.missing}`);
      continue;
    }
    const version = firstVersion(found.path, "--version");
    systems.push(flaredbSystem(RUNTIME_VERSIONS[name], found.path, version, runtimeFlags));
  }
  if (etcd === "never") return systems;
  const version = firstVersion("etcd", "--version");
  if (version !== "") systems.push(etcdSystem("etcd", version));
  else if (etcd === "required") throw new Error("etcd is not in PATH");
  else console.error("not measured: etcd, which is not in PATH");
  return systems;
}

/** The first version that a program names, or nothing when it cannot be run. */
function firstVersion(program: string, ...args: string[]): string {
  const { stdout } = spawnSync(program, args, { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0] ?? "";
}

function describeMachine(directory: string, valueBytes: number): string {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? process.arch}), ` +
    `${gibibytes} GiB, ${process.platform}; a sync takes ${syncMs(directory).toFixed(2)} ms; ` +
    `values of ${valueBytes} bytes`;
}

async function main(): Promise<void> {
  const options = parseArguments(process.argv.slice(2));
  if (options === "help") return console.log(USAGE);
  const say = options.output === "table" ? console.log : console.error;
  const machine = describeMachine(options.directory, options.valueBytes);
  say(machine);
  const results: SystemResult[] = [];
  for (const system of findSystems(options)) {
    say(`\n${system.name}\n${headingLine()}`);
    const result = await benchmark(system, options, (one) => say(measurementLine(one)));
    say(`${result.pairsVerified} pairs were read back from the members and were right`);
    results.push(result);
  }
  if (options.output === "json") console.log(JSON.stringify({ machine, results }, null, 2));
  if (options.output === "markdown") console.log(markdown(machine, results));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
