/**
 * Checks that the consensus core is pure: `src/raft` type-checks alone with the ES library only (no
 * types of browsers, Node or Deno) and imports nothing outside itself.
 *
 * @module
 */

import { join, posix, relative } from "node:path";
import ts from "typescript";
import { conclude, importsOf, PROJECT_ROOT, readSource, sourceFiles } from "./project_files.ts";

const CORE = "src/raft";

const OPTIONS: ts.CompilerOptions = {
  noEmit: true,
  strict: true,
  lib: ["lib.es2024.d.ts"],
  types: [],
  target: ts.ScriptTarget.ES2024,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  noImplicitOverride: true,
  isolatedModules: true,
};

/** What a core file imports from outside the core. */
export function importViolations(path: string, text: string): string[] {
  return importsOf(text)
    .filter(({ specifier }) =>
      !specifier.startsWith(".") ||
      !posix.join(posix.dirname(path), specifier).startsWith(CORE + "/")
    )
    .map(({ specifier, line }) => `${path}:${line}: the core imports ${specifier}`);
}

/** The type errors of these files (absolute paths) when only the ES library is known. */
export function typeErrors(absolutePaths: readonly string[]): string[] {
  const program = ts.createProgram(absolutePaths, OPTIONS);
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
    if (diagnostic.file === undefined) return text;
    const path = relative(PROJECT_ROOT, diagnostic.file.fileName);
    const { line } = diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
    return `${path}:${line + 1}: ${text}`;
  });
}

/** All violations of the core's purity. */
export function purityViolations(): string[] {
  const files = sourceFiles(CORE);
  return [
    ...files.flatMap((path) => importViolations(path, readSource(path))),
    ...typeErrors(files.map((path) => join(PROJECT_ROOT, path))),
  ];
}

if (import.meta.main) conclude("purity of the core", purityViolations());
