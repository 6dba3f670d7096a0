/**
 * The mutation task: breaks each of the core's rules in turn, on copies of the sources, and runs the
 * tests on them. A rule whose breaking no test notices is a missing test, and fails the task.
 *
 * `deno task mutation [PART OF A NAME OR FILE]…` tries the rules that match, all by default.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { PROJECT_ROOT } from "../project_files.ts";
import { ELECTION_RULES } from "./election_rules.ts";
import { MEMBERSHIP_RULES } from "./membership_rules.ts";
import { REPLICATION_RULES } from "./replication_rules.ts";
import type { Rule } from "./rule.ts";
import { broken, Workspace } from "./workspace.ts";

/** Copies that are tried at the same time. */
const WORKERS = 2;

/** Every rule that is broken. */
export const RULES: readonly Rule[] = [
  ...ELECTION_RULES,
  ...REPLICATION_RULES,
  ...MEMBERSHIP_RULES,
];

/** Fails loudly when a rule's text is not found, or two rules are called the same. */
export function checkRules(rules: readonly Rule[]): void {
  const names = new Set<string>();
  for (const rule of rules) {
    if (names.has(rule.name)) throw new Error(`two rules are called "${rule.name}"`);
    names.add(rule.name);
    broken(rule, readFileSync(join(PROJECT_ROOT, "src/raft", rule.file), "utf8"));
  }
}

async function work(workspace: Workspace, waiting: Rule[], survivors: Rule[]): Promise<void> {
  for (let rule = waiting.shift(); rule !== undefined; rule = waiting.shift()) {
    const { caughtBy, seconds } = await workspace.try(rule);
    if (caughtBy === undefined) survivors.push(rule);
    const verdict = caughtBy === undefined ? "SURVIVED" : `caught by: ${caughtBy}`;
    console.log(`${rule.file}: ${rule.name}\n    ${verdict} (${seconds.toFixed(1)} s)`);
  }
}

async function main(parts: readonly string[]): Promise<void> {
  checkRules(RULES);
  const chosen = RULES.filter(({ name, file }) =>
    parts.length === 0 || parts.some((part) => name.includes(part) || file.includes(part))
  );
  const waiting = [...chosen];
  const survivors: Rule[] = [];
  const workspaces = Array.from({ length: WORKERS }, () => new Workspace());
  try {
    const { caughtBy } = await workspaces[0].test();
    if (caughtBy !== undefined) throw new Error(`the tests fail on the intact core: ${caughtBy}`);
    await Promise.all(workspaces.map((workspace) => work(workspace, waiting, survivors)));
  } finally {
    for (const workspace of workspaces) workspace.close();
  }
  console.log(`${chosen.length - survivors.length} of ${chosen.length} broken rules caught`);
  for (const { file, name } of survivors) console.error(`SURVIVED: ${file}: ${name}`);
  if (survivors.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main(process.argv.slice(2));
