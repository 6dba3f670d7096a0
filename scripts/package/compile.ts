/**
 * Compiles TypeScript of the project to JavaScript, type declarations and source maps, with the
 * layout of the sources kept: what lies beside a file before lies beside it after, so that a worker
 * or a program found by its URL is found again.
 *
 * @module
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import ts from "typescript";
import { PROJECT_ROOT } from "../project_files.ts";

const OPTIONS: ts.CompilerOptions = {
  rootDir: PROJECT_ROOT,
  strict: true,
  noImplicitOverride: true,
  erasableSyntaxOnly: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  rewriteRelativeImportExtensions: true,
  // Node 22.16 runs ES2024; newer syntax is written out.
  target: ts.ScriptTarget.ES2024,
  lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  types: ["node"],
  typeRoots: [join(PROJECT_ROOT, "node_modules/@types")],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  skipLibCheck: true,
};

/** What to compile, and where to. */
export interface CompileOptions {
  /** Files to begin with, from the project's root; what they import is compiled with them. */
  readonly entries: readonly string[];
  /** The folder that gets the output, as an absolute path. */
  readonly folder: string;
  /** Also write type declarations. Default: true. */
  readonly declarations?: boolean;
}

/**
 * Compiles and returns the sorted paths of the written files, from the folder.
 *
 * @throws Error that lists all type errors, when there are any; then nothing has been written.
 */
export function compile(options: CompileOptions): string[] {
  const { entries, folder, declarations = true } = options;
  const program = ts.createProgram(entries.map((entry) => join(PROJECT_ROOT, entry)), {
    ...OPTIONS,
    outDir: folder,
    declaration: declarations,
    sourceMap: true,
    inlineSources: true,
  });
  const errors = ts.getPreEmitDiagnostics(program);
  if (errors.length > 0) throw new Error(`cannot compile:\n${describe(errors)}`);
  const written: string[] = [];
  const { diagnostics } = program.emit(undefined, (path, text) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, tidy(path, text));
    written.push(relative(folder, path).replaceAll("\\", "/"));
  });
  if (diagnostics.length > 0) throw new Error(`cannot write:\n${describe(diagnostics)}`);
  return written.sort();
}

function tidy(path: string, text: string): string {
  if (path.endsWith(".map")) return tidyMap(text);
  return path.endsWith(".d.ts") ? rewriteSpecifiers(text) : text;
}

/** A map names its source as if it lay beside it: its text is in the map. */
function tidyMap(text: string): string {
  const map = JSON.parse(text) as { sourceRoot?: string; sources: string[] };
  const { sourceRoot: _, ...rest } = map;
  return JSON.stringify({ ...rest, sources: map.sources.map((source) => basename(source)) });
}

/** Declarations keep the specifiers of the sources; beside a declaration there is only JavaScript. */
function rewriteSpecifiers(text: string): string {
  let result = "";
  let from = 0;
  for (const { fileName, pos, end } of ts.preProcessFile(text, true, true).importedFiles) {
    if (!fileName.startsWith(".") || !fileName.endsWith(".ts")) continue;
    const at = text.indexOf(fileName, pos);
    if (at < 0 || at > end) throw new Error(`cannot find the specifier ${fileName}`);
    result += text.slice(from, at) + fileName.slice(0, -".ts".length) + ".js";
    from = at + fileName.length;
  }
  return result + text.slice(from);
}

function describe(diagnostics: readonly ts.Diagnostic[]): string {
  return ts.formatDiagnostics(diagnostics, {
    getCurrentDirectory: () => PROJECT_ROOT,
    getCanonicalFileName: (name) => name,
    getNewLine: () => "\n",
  });
}
