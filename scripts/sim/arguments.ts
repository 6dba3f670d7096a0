/**
 * The command line of `deno task sim`, and the run that belongs to a seed.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { FaultOptions, SimulationOptions } from "../../src/sim/mod.ts";
import { integer } from "../command_line.ts";
import { parseWorld } from "./world_settings.ts";

/** The text of `--help`. */
export const HELP = `deno task sim [options]

A sweep:
  --seeds COUNT       how many seeds (default 1000)
  --from SEED         the first one (default 0)
  --jobs COUNT        worker processes (default: one a core)
  --stop-after COUNT  end after so many failing seeds (default 10)
  --json FILE         write the summary as JSON, too
  --merge FILE,…      print the sum of such summaries as Markdown, and run nothing
  SIGINT and SIGTERM end a sweep early, with its summary. The exit code is 0 when all seeds ran, no
  property was violated, at most one check of linearizability or 0.2 % of them were given up, and, of
  5,000 seeds or more, every rare event was reached; otherwise 1.

One run:
  --seed SEED         run this seed only
  --verbose           print a readable trace
  --shrink            drop faults and steps while it still fails
  --history FILE      write what clients saw as JSON; of a second region to FILE.2

The world (default: decided by the seed):
  --nodes N  --regions N  --steps N  --clients N
  --only A,B,…        only the faults with these numbers
  --loss N  --duplicates N   per mille of packets
  --world NAME=VALUE  any other setting of the world, as JSON; may be repeated
`;

/** A parsed command line. */
export interface SimArguments {
  readonly help: boolean;
  readonly seed: number | undefined;
  readonly from: number;
  readonly seeds: number;
  readonly jobs: number | undefined;
  readonly stopAfter: number;
  readonly json: string | undefined;
  readonly merge: readonly string[] | undefined;
  readonly verbose: boolean;
  readonly shrink: boolean;
  readonly history: string | undefined;
  /** Options that hold for every seed. */
  readonly options: Partial<SimulationOptions>;
}

const OPTIONS = {
  help: { type: "boolean" },
  seed: { type: "string" },
  seeds: { type: "string" },
  from: { type: "string" },
  jobs: { type: "string" },
  "stop-after": { type: "string" },
  json: { type: "string" },
  merge: { type: "string" },
  verbose: { type: "boolean" },
  shrink: { type: "boolean" },
  history: { type: "string" },
  nodes: { type: "string" },
  regions: { type: "string" },
  steps: { type: "string" },
  clients: { type: "string" },
  only: { type: "string" },
  loss: { type: "string" },
  duplicates: { type: "string" },
  world: { type: "string", multiple: true },
} as const;

const SIZES = [
  ["nodes", 1, 7],
  ["regions", 1, 2],
  ["steps", 1, Number.MAX_SAFE_INTEGER],
  ["clients", 0, 64],
] as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];
type Name = keyof typeof OPTIONS;

const OF_SWEEPS: readonly Name[] = ["seeds", "from", "jobs", "stop-after", "json"];
const OF_ONE_RUN: readonly Name[] = ["verbose", "shrink", "history"];

/** Parses the command line. @throws Error naming the option that is wrong. */
export function parseSimArguments(args: readonly string[]): SimArguments {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  checkMode(values);
  return {
    help: values.help ?? false,
    seed: number(values, "seed", 0),
    from: number(values, "from", 0) ?? 0,
    seeds: number(values, "seeds", 1) ?? 1000,
    jobs: number(values, "jobs", 1, 256),
    stopAfter: number(values, "stop-after", 1) ?? 10,
    json: values.json,
    merge: values.merge?.split(","),
    verbose: values.verbose ?? false,
    shrink: values.shrink ?? false,
    history: values.history,
    options: optionsOfRuns(values),
  };
}

/** An option that would be ignored is refused. */
function checkMode(values: Values): void {
  const isGiven = (name: Name): boolean => values[name] !== undefined;
  const ignored = isGiven("merge")
    ? Object.keys(OPTIONS).filter((name) => name !== "merge" && name !== "help")
    : isGiven("seed")
    ? OF_SWEEPS
    : OF_ONE_RUN;
  const found = (ignored as readonly Name[]).find(isGiven);
  if (found === undefined) return;
  const why = isGiven("merge")
    ? "with --merge"
    : isGiven("seed")
    ? "with --seed"
    : "without --seed";
  throw new Error(`--${found} means nothing ${why}`);
}

function number(values: Values, name: Name, least: number, most?: number): number | undefined {
  const text = values[name] as string | undefined;
  return text === undefined ? undefined : integer(name, text, least, most);
}

function optionsOfRuns(values: Values): Partial<SimulationOptions> {
  const faults: { -readonly [Name in keyof FaultOptions]: FaultOptions[Name] } = {};
  const { only } = values;
  if (only !== undefined) {
    faults.only = only === "" ? [] : only.split(",").map((word) => integer("only", word, 0));
  }
  const loss = number(values, "loss", 0, 1000);
  const duplicates = number(values, "duplicates", 0, 1000);
  if (loss !== undefined) faults.lossPerMille = loss;
  if (duplicates !== undefined) faults.duplicatePerMille = duplicates;
  const options: { -readonly [Name in keyof SimulationOptions]?: SimulationOptions[Name] } = {
    faults,
  };
  if (values.world !== undefined) options.environment = parseWorld(values.world);
  for (const [name, least, most] of SIZES) {
    const size = number(values, name, least, most);
    if (size !== undefined) options[name] = size;
  }
  return options;
}

/** The run of a seed: every second one has 5 nodes instead of 3, every fourth two regions. */
export function runOfSeed(seed: number, options: Partial<SimulationOptions>): SimulationOptions {
  const nodes = seed % 2 === 0 ? 5 : 3;
  const regions = seed % 4 === 0 ? 2 : 1;
  return { seed, nodes, regions, ...options };
}

/** The command that repeats a run. */
export function commandOf(options: SimulationOptions): string {
  const words = ["deno task sim", `--seed ${options.seed}`];
  for (const [name] of SIZES) {
    if (options[name] !== undefined) words.push(`--${name} ${options[name]}`);
  }
  const { only, lossPerMille, duplicatePerMille } = options.faults ?? {};
  if (only !== undefined) words.push(`--only "${only.join()}"`);
  if (lossPerMille !== undefined) words.push(`--loss ${lossPerMille}`);
  if (duplicatePerMille !== undefined) words.push(`--duplicates ${duplicatePerMille}`);
  for (const [name, value] of Object.entries(options.environment ?? {})) {
    words.push(`--world '${name}=${JSON.stringify(value)}'`);
  }
  return words.join(" ");
}
