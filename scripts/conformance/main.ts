/**
 * The command line of the conformance runner: finds the files, runs them, and says which passed.
 *
 * @module
 */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { STORAGE_KINDS, type StorageKind } from "./disks.ts";
import { type BlockFailure, type FileResult, rewriteFile, runFile } from "./runner.ts";

const USAGE = "usage: deno task conformance FOLDER|FILE… [--storage=memory|sqlite] [--rewrite]";

/** What lies beside traces in a folder and is none. */
const OTHER_FILES = /(^\.|\.(md|ts)$)/;

/** What the command line asks for. */
interface Request {
  readonly paths: readonly string[];
  readonly storage: StorageKind;
  readonly rewrite: boolean;
}

/** Where the runner prints. */
export type Print = (line: string) => void;

/**
 * Runs the command line and returns the exit status: 0 when every file passed, 1 when one failed,
 * none was found, or the command line makes no sense.
 */
export async function main(parameters: readonly string[], print: Print): Promise<number> {
  try {
    const request = readRequest(parameters);
    const files = await findTraces(request.paths);
    if (files.length === 0) throw new Error(`no trace found in ${request.paths.join(", ")}`);
    return request.rewrite
      ? await rewriteAll(files, request.storage, print)
      : await runAll(files, request.storage, print);
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

function readRequest(parameters: readonly string[]): Request {
  const { values, positionals } = parseArgs({
    args: [...parameters],
    allowPositionals: true,
    options: {
      storage: { type: "string", default: "memory" },
      rewrite: { type: "boolean", default: false },
    },
  });
  const storage = STORAGE_KINDS.find((kind) => kind === values.storage);
  if (storage === undefined) {
    throw new Error(
      `--storage must be one of ${STORAGE_KINDS.join(", ")}: found ${values.storage}`,
    );
  }
  if (positionals.length === 0) throw new Error(USAGE);
  return { paths: positionals, storage, rewrite: values.rewrite };
}

/**
 * The files among `paths`, and those anywhere below the folders among them: all but notes (`.md`),
 * sources (`.ts`) and hidden files. Sorted within each folder; none twice.
 *
 * @throws when a path does not exist.
 */
export async function findTraces(paths: readonly string[]): Promise<string[]> {
  const files = new Set<string>();
  for (const path of paths) {
    if ((await stat(path)).isDirectory()) await collect(path, files);
    else files.add(path);
  }
  return [...files];
}

async function collect(folder: string, files: Set<string>): Promise<void> {
  for (const name of (await readdir(folder)).sort()) {
    if (OTHER_FILES.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path);
    if (found.isDirectory()) await collect(path, files);
    else if (found.isFile()) files.add(path);
  }
}

async function runAll(files: readonly string[], storage: StorageKind, print: Print) {
  let failed = 0;
  for (const file of files) {
    const result = await runFile(file, storage);
    if (result.failures.length > 0) failed++;
    report(result, print);
  }
  print(`${files.length - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

function report({ file, failures }: FileResult, print: Print): void {
  for (const failure of failures) print(describeFailure(file, failure));
}

/** A failing block: where it stands, what it expects, what was printed. */
export function describeFailure(file: string, failure: BlockFailure): string {
  const { line, differsAtLine, commandLine, expected, actual } = failure;
  return `${file}:${line}: ${commandLine}\n` +
    `${file}:${differsAtLine}: the first difference\n` +
    `expected:\n${expected}actual:\n${actual}`;
}

/** Rewrites each file that can be; the others are named and left as they are. */
async function rewriteAll(files: readonly string[], storage: StorageKind, print: Print) {
  let failed = 0;
  for (const file of files) {
    try {
      const changed = await rewriteFile(file, storage);
      if (changed > 0) print(`${file}: ${changed} blocks rewritten`);
    } catch (error) {
      failed++;
      print(error instanceof Error ? error.message : String(error));
    }
  }
  return failed > 0 ? 1 : 0;
}
