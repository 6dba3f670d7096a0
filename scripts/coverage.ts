/**
 * The coverage task: runs the core's own tests with Deno's coverage, prints the share of lines of
 * each file of `src/raft` that they reach, and fails when the whole is below `LINES_PERCENT_MIN`.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { PROJECT_ROOT } from "./project_files.ts";

const CORE = join(PROJECT_ROOT, "src", "raft");
const LINES_PERCENT_MIN = 95;

/** The lines of one file: how many can be reached, and which were not. */
interface FileCoverage {
  readonly path: string;
  readonly total: number;
  readonly missed: readonly number[];
}

/** Reads a report in the lcov format. */
export function parseLcov(report: string): FileCoverage[] {
  const files: FileCoverage[] = [];
  let path = "";
  let total = 0;
  let missed: number[] = [];
  for (const line of report.split("\n")) {
    if (line.startsWith("SF:")) {
      path = line.slice("SF:".length);
      total = 0;
      missed = [];
    } else if (line.startsWith("DA:")) {
      const [number, hits] = line.slice("DA:".length).split(",").map(Number);
      total++;
      if (hits === 0) missed.push(number);
    } else if (line === "end_of_record") {
      files.push({ path, total, missed });
    }
  }
  return files;
}

function deno(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: PROJECT_ROOT,
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`deno ${args.join(" ")} failed:\n${stdout}\n${stderr}`);
  return stdout;
}

function percent(total: number, missed: number): string {
  return `${(100 * (total - missed) / total).toFixed(1)} %`;
}

function main(): void {
  if (process.versions.deno === undefined) throw new Error("the coverage task needs Deno");
  const folder = mkdtempSync(join(tmpdir(), "flaredb-coverage-"));
  try {
    deno(["test", "-A", "--no-check", `--coverage=${folder}`, "tests/raft"]);
    const files = parseLcov(deno(["coverage", "--lcov", folder]))
      .filter(({ path }) => path.startsWith(CORE))
      .sort((a, b) => a.path < b.path ? -1 : 1);
    for (const { path, total, missed } of files) {
      const name = relative(CORE, path).padEnd(36);
      console.log(`${name}${percent(total, missed.length).padStart(8)}  ${missed.join(" ")}`);
    }
    const total = files.reduce((sum, file) => sum + file.total, 0);
    const missed = files.reduce((sum, file) => sum + file.missed.length, 0);
    console.log(
      `lines of src/raft reached: ${percent(total, missed)} (${total - missed}/${total})`,
    );
    if (100 * (total - missed) < LINES_PERCENT_MIN * total) {
      console.error(`must be at least ${LINES_PERCENT_MIN} %`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) main();
