/**
 * The `package.json` of the built package, derived from the project's own: the one list of exports
 * that `deno.json` shares, pointed at what the build makes of each file.
 *
 * @module
 */

import { readSource } from "../project_files.ts";

/** The fields of a `package.json` that the build reads or writes. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly keywords: readonly string[];
  readonly license: string;
  readonly type: "module";
  readonly exports: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** Built JavaScript needs no type stripping: the first Node with `node:sqlite` and no flag is 22.13. */
const ENGINES = { node: ">=22.16" };

/** The project's own manifest. */
export function projectManifest(): Manifest {
  return JSON.parse(readSource("package.json")) as Manifest;
}

/** The built file of a source file, both from their roots: `./mod.ts` becomes `./mod.js`. */
export function builtFile(source: string, extension: "js" | "d.ts" = "js"): string {
  if (!source.endsWith(".ts")) throw new Error(`not TypeScript: ${source}`);
  return source.slice(0, -"ts".length) + extension;
}

/** The manifest of the built package. */
export function builtManifest(project: Manifest = projectManifest()): Record<string, unknown> {
  const { name, version, description, keywords, license, type, dependencies } = project;
  const entries = Object.entries(project.exports).map(([subpath, source]) => [subpath, {
    types: builtFile(source, "d.ts"),
    default: builtFile(source),
  }]);
  const bin = Object.entries(project.bin).map(([command, source]) => [
    command,
    builtFile(source).replace(/^\.\//, ""),
  ]);
  return {
    name,
    version,
    description,
    keywords,
    license,
    type,
    exports: { ...Object.fromEntries(entries), "./package.json": "./package.json" },
    bin: Object.fromEntries(bin),
    sideEffects: false,
    engines: ENGINES,
    dependencies,
  };
}
