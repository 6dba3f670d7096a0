/**
 * The command behind `deno task torture`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { integer } from "../command_line.ts";
import { torture, TortureFailure, type TortureOptions, type TortureReport } from "./run.ts";

const HELP = `deno task torture [options]

  --seconds N         how long there are faults (default 3600)
  --round-seconds N   how long between two rests in which all is checked (default 60)
  --seed N            decides faults and operations (default: a new one)
  --clients N         clients at a time (default 10)
  --keys N            keys in use at a time (default 6)
  --folder DIR        where the run's folder is made, which is kept when it fails
  --keep              keep it in any case
`;

/** Runs the command; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let options: TortureOptions | undefined;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    return 2;
  }
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  console.log(`seed ${options.seed}`);
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
  try {
    console.log(describe(await torture(options)));
    return 0;
  } catch (error) {
    if (!(error instanceof TortureFailure)) throw error;
    console.error(`failed: ${error.message}`);
    return 1;
  }
}

function parseOptions(args: readonly string[]): TortureOptions | undefined {
  const value = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean" },
      seconds: { ...value, default: "3600" },
      "round-seconds": { ...value, default: "60" },
      seed: value,
      clients: { ...value, default: "10" },
      keys: { ...value, default: "6" },
      folder: value,
      keep: { type: "boolean" },
    },
  });
  if (values.help === true) return undefined;
  const start = performance.now();
  return {
    seconds: integer("seconds", values.seconds, 1),
    roundSeconds: integer("round-seconds", values["round-seconds"], 1),
    seed: integer("seed", values.seed ?? `${Math.floor(Math.random() * 2 ** 32)}`, 0),
    clients: integer("clients", values.clients, 1),
    keys: integer("keys", values.keys, 1),
    folder: values.folder,
    keep: values.keep,
    log: (line) => console.log(`${((performance.now() - start) / 1000).toFixed(0)} s: ${line}`),
  };
}

function describe(report: TortureReport): string {
  const faults = Object.entries(report.faults).map(([kind, count]) => `${count} ${kind}`);
  return [
    `sound: ${report.operations} operations in ${report.rounds} rounds, linearizable`,
    `  ${report.unknown} of unknown outcome, beside ${report.failed} that failed without effect`,
    `  faults for ${(report.faultMs / 1000).toFixed(0)} s: ${faults.join(", ")}`,
    `  ${report.elections} elections, ${report.appliedIndex} entries applied`,
    `  snapshots: ${report.snapshotsToLagging} to members too far behind, ` +
    `${report.snapshotsToNew} to new ones; ${report.snapshotsResumed} gone on with after a kill`,
    `  ${report.membersChanged} members changed`,
    `  longest time without an answer ${report.longestSilenceMs.toFixed(0)} ms, longest recovery ` +
    `after the faults ${report.longestRecoveryMs.toFixed(0)} ms`,
    `  histories checked in ${report.checkMs.toFixed(0)} ms, ${report.checkSteps} steps`,
  ].join("\n");
}
