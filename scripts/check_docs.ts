/**
 * Checks the documentation of the sources: every file opens with a paragraph marked `@module`, and
 * every exported declaration has a doc comment.
 *
 * @module
 */

import ts from "typescript";
import { conclude, readSource, sourceFiles } from "./project_files.ts";

/** The violations in one file, given its path and text. */
export function docViolations(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, true);
  const violations: string[] = [];
  if (!opensWithModuleComment(text)) {
    violations.push(`${path}:1: the file does not open with a comment marked @module`);
  }
  // Overloads share the comment of the first.
  const documented = new Set<string>();
  for (const statement of file.statements) {
    if (!isExportedDeclaration(statement)) continue;
    const name = nameOf(statement);
    if (ts.getJSDocCommentsAndTags(statement).length > 0) documented.add(name);
    else if (!documented.has(name)) {
      const { line } = file.getLineAndCharacterOfPosition(statement.getStart(file));
      violations.push(`${path}:${line + 1}: ${name} is exported without a doc comment`);
    }
  }
  return violations;
}

function opensWithModuleComment(text: string): boolean {
  const comment = /^(#![^\n]*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(text);
  return comment !== null && comment[2].includes("@module");
}

function isExportedDeclaration(statement: ts.Statement): boolean {
  if (ts.isExportDeclaration(statement) || ts.isExportAssignment(statement)) return false;
  return ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement) ?? []).some((one) => one.kind === ts.SyntaxKind.ExportKeyword);
}

function nameOf(statement: ts.Statement): string {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((one) => one.name.getText()).join(", ");
  }
  const name = (statement as ts.Statement & { name?: ts.Node }).name;
  return name === undefined ? "a declaration" : name.getText();
}

/** The violations of all sources. */
export function allDocViolations(): string[] {
  return ["mod.ts", ...sourceFiles("src")].flatMap((path) => docViolations(path, readSource(path)));
}

if (import.meta.main) conclude("documentation of the sources", allDocViolations());
