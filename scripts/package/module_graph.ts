/**
 * What a built module pulls in: the files and packages that are loaded when it is imported, found by
 * following its static imports as a runtime does.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { importsOf } from "../project_files.ts";

/** The transitive imports of a module. */
export interface ModuleGraph {
  /** The files of the package, the module itself included, sorted and from the package's root. */
  readonly files: readonly string[];
  /** What comes from elsewhere: packages and built-in modules as they are written, sorted. */
  readonly external: readonly string[];
}

/**
 * Follows the imports of a built file, given from the package's root.
 *
 * @throws Error when an import names a file that does not exist.
 */
export function moduleGraph(folder: string, entry: string): ModuleGraph {
  const files = new Set<string>();
  const external = new Set<string>();
  const open = [resolve(folder, entry)];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (files.has(path)) continue;
    if (!existsSync(path)) throw new Error(`no such file: ${path}`);
    files.add(path);
    for (const { specifier } of importsOf(readFileSync(path, "utf8"))) {
      if (specifier.startsWith(".")) open.push(join(dirname(path), specifier));
      else external.add(specifier);
    }
  }
  const relatives = [...files].map((path) => relative(folder, path).replaceAll("\\", "/"));
  return { files: relatives.sort(), external: [...external].sort() };
}
