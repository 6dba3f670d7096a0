/**
 * Prints what the core alone weighs in a browser: a bundle of `src/raft`, minified and gzipped. A
 * growth of more than 10 % over the figure in `size.json` fails, unless what is unreleased in the
 * changelog speaks of the core's bundle. `--update` writes the figure, at a release. Needs npm's
 * registry once, for esbuild.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { PROJECT_ROOT, readSource } from "./project_files.ts";

const ESBUILD = "esbuild@0.28.2";
const FIGURE_FILE = join(PROJECT_ROOT, "scripts/size.json");
const GROWTH_PERCENT_MAX = 10;

/** The bytes of a bundle. */
export interface BundleSize {
  readonly minifiedBytes: number;
  readonly gzippedBytes: number;
}

/** Bundles an entry of the sources for browsers, with nothing left out but what nobody can reach. */
export function bundleSize(entry: string): BundleSize {
  const options = ["--bundle", "--minify", "--format=esm", "--platform=browser"];
  const bundle = execFileSync("npx", ["--yes", ESBUILD, entry, ...options], {
    cwd: PROJECT_ROOT,
    maxBuffer: 64 * 1024 * 1024,
  });
  return { minifiedBytes: bundle.length, gzippedBytes: gzipSync(bundle, { level: 9 }).length };
}

/** What is wrong with a size, given that of the last release and the changelog; undefined: nothing. */
export function growthProblem(
  gzippedBytes: number,
  figureBytes: number,
  changelog: string,
): string | undefined {
  if (gzippedBytes * 100 <= figureBytes * (100 + GROWTH_PERCENT_MAX)) return undefined;
  const unreleased = /^## Unreleased$([^]*?)(?=^## |(?![^]))/m.exec(changelog)?.[1] ?? "";
  if (/core's bundle/i.test(unreleased)) return undefined;
  const growthPercent = (gzippedBytes / figureBytes - 1) * 100;
  return `the core's bundle grew by ${growthPercent.toFixed(1)} %, from ${figureBytes} to ` +
    `${gzippedBytes} bytes; at most ${GROWTH_PERCENT_MAX} % goes without a line about "the core's bundle" under ` +
    "Unreleased in CHANGELOG.md";
}

/** The core's bundle as it is now, a line that tells its size, and what is wrong with it, if anything. */
export function measureCore(): { size: BundleSize; line: string; problem: string | undefined } {
  const size = bundleSize("src/raft/mod.ts");
  const { gzippedBytes } = JSON.parse(readFileSync(FIGURE_FILE, "utf8")) as BundleSize;
  const line =
    `the core alone: ${size.minifiedBytes} bytes minified, ${size.gzippedBytes} gzipped ` +
    `(${gzippedBytes} at the last release)`;
  const problem = growthProblem(size.gzippedBytes, gzippedBytes, readSource("CHANGELOG.md"));
  return { size, line, problem };
}

function main(args: readonly string[]): void {
  const { size, line, problem } = measureCore();
  console.log(line);
  if (problem !== undefined) {
    console.error(problem);
    process.exitCode = 1;
  } else if (args.includes("--update")) {
    writeFileSync(FIGURE_FILE, JSON.stringify(size, null, 2) + "\n");
  }
}

if (import.meta.main) main(process.argv.slice(2));
