/**
 * Runs trace files block by block and compares what is printed with what is expected, byte for byte.
 * What kind of trace a file is follows from its commands.
 *
 * @module
 */

import { readFile, writeFile } from "node:fs/promises";
import { Arguments } from "./arguments.ts";
import { type ByteString, fromBytes, fromText, toBytes, toText } from "./byte_string.ts";
import { CHANGER_COMMANDS, ChangerScenario } from "./changer.ts";
import { INTERACTION_COMMANDS } from "./commands.ts";
import { Disks, type StorageKind } from "./disks.ts";
import { Environment } from "./environment.ts";
import { isPrintedError } from "./errors.ts";
import { type Block, parseTrace, type Trace } from "./parser.ts";
import { runCommitted, runVote } from "./quorum.ts";

/** A block that did not print what it was expected to. */
export interface BlockFailure {
  /** The line of the block's command, from 1. */
  readonly line: number;
  /** The command line. */
  readonly commandLine: string;
  /** The first line at which the expectation differs, or the command's when it could not be run. */
  readonly differsAtLine: number;
  /** What the file expects, and what was printed. */
  readonly expected: string;
  readonly actual: string;
}

/** What became of one file. */
export interface FileResult {
  readonly file: string;
  readonly blocks: number;
  /** Empty when the file passed. */
  readonly failures: readonly BlockFailure[];
}

/** What a block printed; `broken` when it could not be run at all, whatever it expects. */
interface BlockOutcome {
  readonly actual: ByteString;
  readonly broken: boolean;
}

/** Runs one file on fresh nodes. @throws when the file cannot be read. */
export async function runFile(file: string, storage: StorageKind): Promise<FileResult> {
  const trace = parseTrace(fromBytes(await readFile(file)));
  return { file, blocks: trace.blocks.length, failures: await runTrace(trace, storage) };
}

/** Runs the blocks of a trace in order; a failing block does not end it. */
export async function runTrace(trace: Trace, storage: StorageKind): Promise<BlockFailure[]> {
  if (trace.blocks.length === 0) {
    return [{
      line: 1,
      commandLine: "",
      differsAtLine: 1,
      expected: "",
      actual: "a trace needs at least one block: found none\n",
    }];
  }
  const failures: BlockFailure[] = [];
  await forEachBlock(trace, storage, (block, { actual, broken }) => {
    const expected = block.expected.map((line) => line + "\n").join("");
    if (!broken && actual === expected) return;
    failures.push({
      line: block.line,
      commandLine: toText(block.commandLine),
      differsAtLine: broken ? block.line : firstDifference(block, actual),
      expected: toText(expected),
      actual: toText(actual),
    });
  });
  return failures;
}

/**
 * Runs one file and replaces its expectations by what was printed. Returns how many blocks changed.
 *
 * @throws when a block cannot be run, or prints what an expectation cannot hold; the file is then
 * left as it is.
 */
export async function rewriteFile(file: string, storage: StorageKind): Promise<number> {
  const trace = parseTrace(fromBytes(await readFile(file)));
  const lines = [...trace.lines];
  const replacements: [Block, string[]][] = [];
  await forEachBlock(trace, storage, (block, { actual, broken }) => {
    const printed = actual.split("\n").slice(0, -1);
    if (broken || printed.some((line) => line.trim() === "")) {
      throw new Error(`${file}:${block.line}: cannot record: ${toText(actual)}`);
    }
    if (printed.join("\n") !== block.expected.join("\n")) replacements.push([block, printed]);
  });
  for (const [block, printed] of replacements.reverse()) {
    lines.splice(block.expectedLine - 1, block.expected.length, ...printed);
  }
  if (replacements.length > 0) await writeFile(file, toBytes(lines.join("\n")));
  return replacements.length;
}

async function forEachBlock(
  trace: Trace,
  storage: StorageKind,
  visit: (block: Block, outcome: BlockOutcome) => void,
): Promise<void> {
  const disks = new Disks(storage);
  try {
    const environment = new Environment(disks);
    const changer = new ChangerScenario();
    for (const block of trace.blocks) {
      visit(block, await runBlock(block, environment, changer));
    }
  } finally {
    await disks.close();
  }
}

async function runBlock(
  block: Block,
  environment: Environment,
  changer: ChangerScenario,
): Promise<BlockOutcome> {
  if (block.problem !== undefined) return { actual: fromText(block.problem) + "\n", broken: true };
  try {
    const printed = await runCommand(block, environment, changer);
    if (printed === undefined) {
      return { actual: `unknown command: ${block.command}\n`, broken: true };
    }
    return { actual: endLine(printed === "" ? "ok" : printed), broken: false };
  } catch (error) {
    environment.output.take();
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    return { actual: fromText(`cannot run the block: ${text}\n`), broken: true };
  }
}

/** What the command prints; undefined when there is no such command. */
async function runCommand(
  block: Block,
  environment: Environment,
  changer: ChangerScenario,
): Promise<ByteString | undefined> {
  const { command } = block;
  if (command === "committed") return runCommitted(new Arguments(block));
  if (command === "vote") return runVote(new Arguments(block));
  if (CHANGER_COMMANDS.includes(command)) return changer.run(new Arguments(block));
  const run = INTERACTION_COMMANDS.get(command);
  if (run === undefined) return undefined;
  let refusal = "";
  try {
    await run(environment, new Arguments(block));
  } catch (error) {
    if (!isPrintedError(error)) throw error;
    refusal = fromText(error.message);
  }
  return environment.output.take() + refusal;
}

function endLine(text: ByteString): ByteString {
  return text.endsWith("\n") ? text : text + "\n";
}

function firstDifference(block: Block, actual: ByteString): number {
  const printed = actual.split("\n").slice(0, -1);
  let same = 0;
  while (same < block.expected.length && block.expected[same] === printed[same]) same++;
  return block.expectedLine + same;
}
