/**
 * The command line of the benchmark.
 *
 * @module
 */

import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { integer } from "../command_line.ts";
import type { Runtime } from "../package/runtimes.ts";
import type { BenchmarkOptions } from "./benchmark.ts";
import { VALUE_BYTES_MIN } from "./workload.ts";

/** What the benchmark was asked for. */
export interface BenchArguments extends BenchmarkOptions {
  /** The runtimes of FlareDB to measure. */
  readonly runtimes: readonly Runtime["name"][];
  /** Whether etcd is measured: when it is found, always (or it is an error), or never. */
  readonly etcd: "found" | "required" | "never";
  /** More arguments for the runtime of each member, such as those of a profiler. */
  readonly runtimeFlags: readonly string[];
  /** How the figures are written in the end. */
  readonly output: "table" | "json" | "markdown";
}

/** Shown for `--help`, and with what is wrong. */
export const USAGE = `Usage: deno task bench:cluster [options]

Measures a cluster of three processes on loopback: puts, then linearizable gets.

  --runtime=LIST       deno, node, bun; default: all three, those that npx reaches
  --clients=LIST       numbers of clients; default: 1,16,64,256
  --seconds=N          how long each load is measured; default: 5
  --warmup-seconds=N   how long it runs before that; default: 2
  --value-bytes=N      the size of a value; default: 256
  --target=WHOM        all: connections are spread over the members; leader; default: all
  --connections=N      connections to each member, at most one a client; default: 2
  --directory=DIR      where the members keep their data; default: the system's temporary folder
  --etcd, --no-etcd    measure etcd as well, or not; default: when it is in PATH
  --runtime-flags=LIST flags for the members' runtime, separated by spaces
  --json, --markdown   write the figures so, once all are there; the table goes to standard error
`;

const RUNTIME_NAMES: readonly Runtime["name"][] = ["deno", "node", "bun"];

/** Reads the command line; "help" when that was asked for. @throws Error when it does not fit. */
export function parseArguments(args: readonly string[]): BenchArguments | "help" {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      runtime: text,
      clients: text,
      seconds: text,
      "warmup-seconds": text,
      "value-bytes": text,
      target: text,
      connections: text,
      directory: text,
      "runtime-flags": text,
      etcd: flag,
      "no-etcd": flag,
      json: flag,
      markdown: flag,
      help: flag,
    },
  });
  if (values.help) return "help";
  return {
    runtimes: (values.runtime ?? RUNTIME_NAMES.join(",")).split(",").map(runtimeOf),
    clients: (values.clients ?? "1,16,64,256").split(",").map((one) =>
      integer("clients", one, 1, 4096)
    ),
    seconds: integer("seconds", values.seconds ?? "5", 1, 3600),
    warmupSeconds: integer("warmup-seconds", values["warmup-seconds"] ?? "2", 0, 3600),
    valueBytes: integer("value-bytes", values["value-bytes"] ?? "256", VALUE_BYTES_MIN, 1 << 20),
    target: targetOf(values.target ?? "all"),
    connectionsPerMember: integer("connections", values.connections ?? "2", 1, 256),
    directory: values.directory ?? tmpdir(),
    etcd: values["no-etcd"] ? "never" : values.etcd ? "required" : "found",
    runtimeFlags: (values["runtime-flags"] ?? "").split(" ").filter((one) => one !== ""),
    output: values.json ? "json" : values.markdown ? "markdown" : "table",
  };
}

function runtimeOf(name: string): Runtime["name"] {
  const found = RUNTIME_NAMES.find((one) => one === name);
  if (found === undefined) throw new Error(`--runtime must be of deno, node, bun: it is "${name}"`);
  return found;
}

function targetOf(whom: string): "all" | "leader" {
  if (whom === "all" || whom === "leader") return whom;
  throw new Error(`--target must be all or leader: it is "${whom}"`);
}
