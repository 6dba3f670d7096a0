/**
 * The command line of `deno task sim`, and the run that belongs to a seed.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { FaultOptions, SimulationOptions } from "../../src/sim/mod.ts";

/** The text of `--help`. */
export const HELP = `deno task sim [options]

A sweep:
  --seeds COUNT       how many seeds (default 1000)
  --from SEED         the first one (default 0)
  --jobs COUNT        worker processes (default: one a core)
  --stop-after COUNT  end after so many failing seeds (default 10)
  --json FILE         write the summary as JSON, too
  --merge FILE,…      print the sum of such summaries as Markdown, and run nothing
  SIGINT and SIGTERM end a sweep early, with its summary.

One run:
  --seed SEED         run this seed only
  --verbose           print a readable trace
  --shrink            drop faults and steps while it still fails
  --history FILE      write what clients saw as JSON

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

/** Parses the command line. @throws Error naming the option that is wrong. */
export function parseSimArguments(args: readonly string[]): SimArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      seed: { type: "string" },
      seeds: { type: "string", default: "1000" },
      from: { type: "string", default: "0" },
      jobs: { type: "string" },
      "stop-after": { type: "string", default: "10" },
      json: { type: "string" },
      merge: { type: "string" },
      verbose: { type: "boolean", default: false },
      shrink: { type: "boolean", default: false },
      history: { type: "string" },
      nodes: { type: "string" },
      regions: { type: "string" },
      steps: { type: "string" },
      clients: { type: "string" },
      only: { type: "string" },
      loss: { type: "string" },
      duplicates: { type: "string" },
      world: { type: "string", multiple: true, default: [] },
    },
  });
  const number = (name: keyof typeof values): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new Error(`--${name} must be an integer >= 0: found ${JSON.stringify(text)}`);
  };
  const faults: { -readonly [Name in keyof FaultOptions]: FaultOptions[Name] } = {};
  if (values.only !== undefined) {
    faults.only = values.only === "" ? [] : values.only.split(",").map(Number);
  }
  if (number("loss") !== undefined) faults.lossPerMille = number("loss");
  if (number("duplicates") !== undefined) faults.duplicatePerMille = number("duplicates");
  const options: Record<string, unknown> = { faults };
  if (values.world.length > 0) {
    options.environment = Object.fromEntries(values.world.map((setting) => {
      const position = setting.indexOf("=");
      if (position < 1) throw new Error(`--world must be NAME=VALUE: found ${setting}`);
      return [setting.slice(0, position), JSON.parse(setting.slice(position + 1))];
    }));
  }
  for (const name of ["nodes", "regions", "steps", "clients"] as const) {
    if (number(name) !== undefined) options[name] = number(name);
  }
  return {
    help: values.help,
    seed: number("seed"),
    from: number("from")!,
    seeds: number("seeds")!,
    jobs: number("jobs"),
    stopAfter: number("stop-after")!,
    json: values.json,
    merge: values.merge?.split(","),
    verbose: values.verbose,
    shrink: values.shrink,
    history: values.history,
    options: options as Partial<SimulationOptions>,
  };
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
  for (const name of ["nodes", "regions", "steps", "clients"] as const) {
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
