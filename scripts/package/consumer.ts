/**
 * A project that uses the built package as a stranger would: the examples of the README and an import
 * of every subpath, compiled against the declarations and run.
 *
 * @module
 */

import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";
import { PROJECT_ROOT } from "../project_files.ts";
import { projectManifest } from "./manifest.ts";

/** The examples that import the package by its name, from the project's root. */
export const EXAMPLES: readonly string[] = ["core.ts", "embed.ts"];

/** The file that imports every subpath, and compiles without the types of any runtime. */
const ALL_SUBPATHS = "all_subpaths.ts";

/** Writes the project's own files, but installs nothing. */
export function writeConsumer(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const manifest = { name: "consumer", private: true, type: "module" };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(folder, "deno.json"), JSON.stringify({ nodeModulesDir: "manual" }));
  for (const name of EXAMPLES) {
    copyFileSync(join(PROJECT_ROOT, "examples", name), join(folder, name));
  }
  writeFileSync(join(folder, ALL_SUBPATHS), allSubpaths());
}

function allSubpaths(): string {
  const { name, exports } = projectManifest();
  const specifiers = Object.keys(exports).map((subpath) => name + subpath.slice(1));
  const lines = specifiers.map((one, index) => `import * as module${index} from "${one}";`);
  const names = specifiers.map((_, index) => `module${index}`).join(", ");
  return `${lines.join("\n")}\nexport const modules: readonly object[] = [${names}];\n`;
}

/**
 * Puts a built package where imports find it. Its own imports find the dependencies of the project, as
 * it must lie somewhere below the project's `node_modules`.
 */
export function linkPackage(folder: string, built: string): void {
  const path = join(folder, "node_modules", projectManifest().name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(built, path, "dir");
}

/** How a consumer's compiler finds modules. */
export type Resolution = "nodenext" | "bundler";

/**
 * Compiles a consumer, its dependencies' declarations checked too, and writes JavaScript beside its
 * sources. Returns the errors.
 */
export function compileConsumer(folder: string, resolution: Resolution): string[] {
  const typesFolder = join(PROJECT_ROOT, "node_modules/@types");
  const examples = { types: ["node"], typeRoots: [typesFolder] };
  // Without the types of Node, so that a declaration that needs them is found; those of the language
  // itself need no check.
  const bare = {
    types: [],
    lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  };
  return [
    ...errorsOf(folder, EXAMPLES, resolution, { ...examples, skipLibCheck: true }),
    ...errorsOf(folder, [ALL_SUBPATHS], resolution, {
      ...bare,
      skipLibCheck: false,
      skipDefaultLibCheck: true,
    }),
  ];
}

function errorsOf(
  folder: string,
  names: readonly string[],
  resolution: Resolution,
  options: ts.CompilerOptions,
): string[] {
  const bundler = resolution === "bundler";
  const program = ts.createProgram(names.map((name) => join(folder, name)), {
    ...options,
    strict: true,
    target: ts.ScriptTarget.ES2024,
    module: bundler ? ts.ModuleKind.ESNext : ts.ModuleKind.NodeNext,
    moduleResolution: bundler ? ts.ModuleResolutionKind.Bundler : ts.ModuleResolutionKind.NodeNext,
  });
  program.emit();
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
    return `${diagnostic.file?.fileName ?? ""}: ${text}`;
  });
}

/** What the example of embedding prints at its end, when three nodes elected and replicated. */
export const EMBED_LINES: readonly string[] = ["node 1 has 6", "node 2 has 6", "node 3 has 6"];

/** The tarball that `npm pack` left in a folder. */
export function tarballIn(folder: string): string {
  const found = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  if (found.length !== 1) throw new Error(`expected one tarball in ${folder}: ${found.join(", ")}`);
  return join(folder, found[0]);
}
