/**
 * The codes of the project's errors, read from the sources: what `super("CODE", …)` passes in the class
 * of an error, and the members of the types of codes (`…Code`). Run as a program, it writes their
 * table into `docs/operations.md`, between its two marks.
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { PROJECT_ROOT, readSource, sourceFiles } from "./project_files.ts";

/** One code. */
export interface ErrorCode {
  readonly code: string;
  /** The class, or the type of codes, that has it. */
  readonly owner: string;
  /** Its room. */
  readonly room: string;
  /** What it means, from its comment. */
  readonly meaning: string;
}

/** The file that holds the table. */
export const PAGE = "docs/operations.md";
const BEGIN = "<!-- error codes: `deno task error-codes` writes this table -->";
const END = "<!-- end of error codes -->";
const CODE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

/** All codes, by room and then by name. */
export function errorCodes(): ErrorCode[] {
  const found = sourceFiles("src").flatMap((path) => {
    const file = ts.createSourceFile(path, readSource(path), ts.ScriptTarget.ES2024, true);
    return codesIn(file).map((one) => ({ ...one, room: path.split("/")[1] }));
  });
  const unique = new Map(found.map((one) => [`${one.room} ${one.code} ${one.owner}`, one]));
  return [...unique.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([, one]) => one);
}

function codesIn(file: ts.SourceFile): Omit<ErrorCode, "room">[] {
  const found: Omit<ErrorCode, "room">[] = [];
  const visit = (node: ts.Node, owner: ts.ClassDeclaration | undefined): void => {
    if (ts.isTypeAliasDeclaration(node) && node.name.text.endsWith("Code")) {
      found.push(...membersOf(node));
    }
    const inside = ts.isClassDeclaration(node) ? node : owner;
    if (
      inside?.name !== undefined && ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.SuperKeyword
    ) {
      const [first] = node.arguments;
      if (first !== undefined && ts.isStringLiteral(first) && CODE.test(first.text)) {
        found.push({ code: first.text, owner: inside.name.text, meaning: commentOf(inside) });
      }
    }
    ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(file, undefined);
  return found;
}

/** The members of a union of codes; one without a comment of its own has that of the line it is on. */
function membersOf(alias: ts.TypeAliasDeclaration): Omit<ErrorCode, "room">[] {
  const types = ts.isUnionTypeNode(alias.type) ? alias.type.types : [alias.type];
  const lines = alias.getFullText().split("\n");
  return types.flatMap((type) => {
    if (!ts.isLiteralTypeNode(type) || !ts.isStringLiteral(type.literal)) return [];
    const code = type.literal.text;
    if (!CODE.test(code)) return [];
    return [{ code, owner: alias.name.text, meaning: lineComment(lines, code) }];
  });
}

/** The comment of a member: `- `CODE`: …` in the comment of the type, or `// …` behind or above it. */
function lineComment(lines: readonly string[], code: string): string {
  const at = lines.findIndex((line) => line.includes(`"${code}"`));
  const behind = /\/\/ (.*)$/.exec(lines[at] ?? "")?.[1];
  if (behind !== undefined) return behind;
  const above = /^\s*(?:\/\/|\/\*\*) (.*?)(?: \*\/)?$/.exec(lines[at - 1] ?? "")?.[1];
  if (above !== undefined) return above;
  const text = lines.map((line) => line.replace(/^\s*\*\s?/, "")).join("\n");
  // `A`, `B`: what they share. `C`: what only it means.
  const others = "(?:, `[A-Z_]+`)*";
  const end = "(?=\\s*\\n- |\\s`[A-Z_]+`[,:]|\\n\\n|\\n/|$)";
  const item = new RegExp("`" + code + "`" + others + ": ([^]*?)" + end).exec(text);
  return (item?.[1] ?? "").replace(/\s+/g, " ").trim();
}

function commentOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node);
  const text = comment === undefined ? "" : ts.getTextOfJSDocComment(comment.comment) ?? "";
  const flat = text.replace(/\{@linkcode (\w+)\}/g, "`$1`").replace(/\s+/g, " ").trim();
  return /^(.*?[.!?])(?: |$)/.exec(flat)?.[1] ?? flat;
}

/** The table, in Markdown. */
export function errorCodeTable(): string {
  const rows = errorCodes().map(({ code, owner, room, meaning }) =>
    `| \`${code}\` | \`${owner}\` | ${room} | ${meaning.replaceAll("|", "\\|")} |`
  );
  return ["| Code | Error | Room | Meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** What the page holds between its marks. */
export function tableInPage(page: string = readSource(PAGE)): string {
  const [, table] = page.split(BEGIN);
  return (table ?? "").split(END)[0].trim();
}

function main(): void {
  const page = readSource(PAGE);
  const [before] = page.split(BEGIN);
  const after = page.split(END)[1] ?? "\n";
  writeFileSync(
    join(PROJECT_ROOT, PAGE),
    `${before}${BEGIN}\n\n${errorCodeTable()}\n\n${END}${after}`,
  );
}

if (import.meta.main) main();
