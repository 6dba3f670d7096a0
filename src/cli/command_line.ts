/**
 * The `flaredb` command line as a function: finds the command, reads its arguments, runs it, and
 * turns what goes wrong into a sentence and an exit code.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";
import { type Command, commandHelp, parseInvocation, twoColumns } from "./command.ts";
import { certCommand } from "./cert.ts";
import { delCommand } from "./del.ts";
import { devCommand } from "./dev.ts";
import { CommandFailedError, EXIT_CODE, messageOf, UsageError } from "./errors.ts";
import { getCommand } from "./get.ts";
import { loadCommand } from "./load.ts";
import { memberCommand } from "./member.ts";
import { putCommand } from "./put.ts";
import { runtimeName } from "./runtime.ts";
import { snapshotCommand } from "./snapshot.ts";
import { startCommand } from "./start.ts";
import { statusCommand } from "./status.ts";
import { storageCommand } from "./storage.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  devCommand,
  startCommand,
  putCommand,
  getCommand,
  delCommand,
  statusCommand,
  memberCommand,
  loadCommand,
  storageCommand,
  snapshotCommand,
  certCommand,
];

/** The help of `flaredb` itself. */
export function generalHelp(): string {
  return [
    "A replicated, durable key-value store that speaks the etcd v3 API.\n",
    "Usage: flaredb COMMAND [options] [arguments]\n",
    "Commands:",
    ...twoColumns(COMMANDS.map((command) => [command.name, command.summary] as const)),
    "",
    "`flaredb COMMAND --help` shows the options of a command, `flaredb --version` the version.",
    "",
    "Exit codes: 0 done (finding nothing is no failure), 1 failed, 2 wrong command line,",
    "3 no endpoint answered in time, 4 the node was removed from its cluster or has lost its data.",
    "Standard error says what happened and what to check.",
    "",
  ].join("\n");
}

/** Runs a command line (without the program's name). Resolves with the exit code; never rejects. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.error(generalHelp());
    return EXIT_CODE.usage;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    const subject = COMMANDS.find((command) => command.name === rest[0]);
    terminal.out(subject === undefined ? generalHelp() : commandHelp(subject));
    return EXIT_CODE.ok;
  }
  if (name === "--version" || name === "version") {
    terminal.out(`flaredb ${VERSION} (${runtimeName()})\n`);
    return EXIT_CODE.ok;
  }
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    terminal.error(`flaredb: no such command: "${name}". \`flaredb --help\` lists them.\n`);
    return EXIT_CODE.usage;
  }
  return await runCommand(command, rest, terminal);
}

async function runCommand(
  command: Command,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  if (asksForHelp(args)) {
    terminal.out(commandHelp(command));
    return EXIT_CODE.ok;
  }
  try {
    return await command.run(parseInvocation(command, args), terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      const hint = `\`flaredb ${command.name} --help\` shows its use.`;
      terminal.error(`flaredb ${command.name}: ${error.message}. ${hint}\n`);
      return EXIT_CODE.usage;
    }
    terminal.error(`flaredb ${command.name}: ${describe(error)}\n`);
    return error instanceof CommandFailedError ? error.exitCode : EXIT_CODE.failed;
  }
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const options = end < 0 ? args : args.slice(0, end);
  return options.includes("--help") || options.includes("-h");
}

/** Errors of ours are sentences; of another error, a bug, the stack is wanted as well. */
function describe(error: unknown): string {
  if (error instanceof RaftError) return error.message;
  return error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error);
}
