/**
 * The built package for tests: built once for each state of what it is made of, and kept in
 * `node_modules/.cache`, so that the suites of three runtimes do not build it three times.
 *
 * @module
 */

import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { buildPackage, DOCUMENTS } from "../build_npm.ts";
import { PROJECT_ROOT, sourceFiles } from "../project_files.ts";

const CACHE = join(PROJECT_ROOT, "node_modules/.cache/flaredb-npm");
/** How the names of folders begin that some process builds at this moment. */
const UNFINISHED = "unfinished-";

/** The folder of the package as the sources are now; built when it is not there yet. */
export function cachedBuild(): string {
  const folder = join(CACHE, fingerprint());
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const older = readdirSync(CACHE).filter((name) => !name.startsWith(UNFINISHED));
  for (const name of older) rmSync(join(CACHE, name), { recursive: true, force: true });
  const unfinished = mkdtempSync(join(CACHE, UNFINISHED));
  buildPackage(unfinished);
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another process was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** All files of a built package, sorted and from its root. */
export function builtFiles(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .map((path) => path.replaceAll("\\", "/")).sort();
}

function fingerprint(): string {
  const hash = createHash("sha256");
  const paths = ["package.json", "mod.ts", ...DOCUMENTS, "scripts/build_npm.ts"];
  for (const path of [...paths, ...sourceFiles("scripts/package"), ...sourceFiles("src")]) {
    hash.update(`${path}\0`).update(readFileSync(join(PROJECT_ROOT, path))).update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}
