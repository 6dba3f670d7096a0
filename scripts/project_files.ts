/**
 * What the project's checks share: where the project lies, which source files it has, and what each
 * of them imports.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The project's folder, as an absolute path. */
export const PROJECT_ROOT: string = fileURLToPath(new URL("..", import.meta.url)).replace(
  /[\\/]$/,
  "",
);

/** The TypeScript files under a folder of the project, as sorted paths relative to its root. */
export function sourceFiles(folder: string): string[] {
  const names = readdirSync(join(PROJECT_ROOT, folder), { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) =>
      relative(PROJECT_ROOT, join(entry.parentPath, entry.name)).replaceAll("\\", "/")
    )
    .sort();
}

/** The text of a file of the project. */
export function readSource(path: string): string {
  return readFileSync(join(PROJECT_ROOT, path), "utf8");
}

/** One import of a file: static, dynamic, of types, or a re-export. */
export interface ImportStatement {
  /** The specifier as it is written. */
  readonly specifier: string;
  /** The line it stands on, from 1. */
  readonly line: number;
}

/** What the text of a source file imports, in the order of its lines. */
export function importsOf(text: string): ImportStatement[] {
  const found = ts.preProcessFile(text, true, true);
  return found.importedFiles.map((file) => ({
    specifier: file.fileName,
    line: text.slice(0, file.pos).split("\n").length,
  }));
}

/** Prints what a check found and ends the process: with 1 when there is anything, with 0 otherwise. */
export function conclude(subject: string, violations: readonly string[]): never {
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) {
    console.error(`${subject}: ${violations.length} violations`);
    process.exit(1);
  }
  console.log(`${subject}: ok`);
  process.exit(0);
}
