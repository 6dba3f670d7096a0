/**
 * What the sources write to the log: the level and the fixed words of every call of a logger, so that
 * the page for operators can be held to explain them.
 *
 * @module
 */

import ts from "typescript";
import { readSource, sourceFiles } from "./project_files.ts";

/** One call of a logger. */
export interface LogLine {
  readonly level: string;
  /** Its fixed parts that hold a word, in order; empty when the whole line is made elsewhere. */
  readonly parts: readonly string[];
  /** Where it stands, `path:line`. */
  readonly place: string;
}

const LEVELS: readonly string[] = ["info", "warn", "error"];

/** Every call of a logger in the sources, but those for debugging. */
export function logLines(): LogLine[] {
  return sourceFiles("src").flatMap((path) => {
    const file = ts.createSourceFile(path, readSource(path), ts.ScriptTarget.ES2024, true);
    return linesIn(file, path);
  });
}

function linesIn(file: ts.SourceFile, path: string): LogLine[] {
  const found: LogLine[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isLogCall(node.expression)) {
      const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
      found.push({
        level: (node.expression as ts.PropertyAccessExpression).name.text,
        // An episode's call names its key first.
        parts: partsOf(node.arguments[node.arguments.length - 1]),
        place: `${path}:${line + 1}`,
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function isLogCall(callee: ts.Expression): boolean {
  if (!ts.isPropertyAccessExpression(callee)) return false;
  const level = callee.name.text;
  const target = callee.expression.getText();
  return /log(ger)?$/i.test(target) && (LEVELS.includes(level) || level === "healed");
}

/** The fixed parts of a text: of a literal, a template, a sum of these, or a choice between them. */
function partsOf(node: ts.Node | undefined): string[] {
  const parts: string[] = [];
  const visit = (one: ts.Node): void => {
    if (ts.isStringLiteralLike(one) || one.kind === ts.SyntaxKind.TemplateHead || isSpanText(one)) {
      const text = (one as ts.LiteralLikeNode).text.trim();
      if (/[a-z]{3}/.test(text)) parts.push(text);
    } else if (ts.isCallExpression(one)) {
      return;
    }
    ts.forEachChild(one, visit);
  };
  if (node !== undefined) visit(node);
  return parts;
}

function isSpanText(node: ts.Node): boolean {
  return node.kind === ts.SyntaxKind.TemplateMiddle || node.kind === ts.SyntaxKind.TemplateTail;
}
