/**
 * Measures the wire codec on the messages that a busy cluster sends, beside protobufjs generated
 * from the same schema, and two ideas that were not taken: keeping entries encoded in a `WeakMap`,
 * and copying every decoded command. `deno task bench:wire`, or with `node` or `bun`.
 *
 * @module
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { createEntry, createMessage, type Message, type RaftLogEntry } from "../src/raft/mod.ts";
import { decodeMessage, encodeEntry, encodeMessage, messageWireSize } from "../src/wire/mod.ts";
import { writeMessage } from "../src/wire/message.ts";

const MEASURE_MS = Number(process.env["BENCH_MS"] ?? 300);
const COMMAND_BYTES = 256;
/** Results are stored here, so that no engine leaves out work whose result nobody sees. */
const sink: unknown[] = new Array(1024);

const root = new protobuf.Root();
root.resolvePath = (_origin, target) =>
  fileURLToPath(new URL(`../proto/${target}`, import.meta.url));
const schema = root.loadSync("eraftpb.proto").lookupType("eraftpb.Message");

const cases: [string, Message, number][] = [
  ["append, 1 entry", createMessage({ ...header("append"), entries: entries(1) }), 3],
  ["append, 64 entries", createMessage({ ...header("append"), entries: entries(64) }), 3],
  ["propose, 64 entries", createMessage({ ...header("propose"), entries: entries(64) }), 2],
  ["append-response", createMessage(header("append-response")), 4],
  [
    "heartbeat",
    createMessage({ ...header("heartbeat"), context: new Uint8Array(8).fill(1) }),
    8,
  ],
];

console.log("nanoseconds a message, lower is better\n");
for (const [name, message, number] of cases) {
  const bytes = encodeMessage(message);
  const target = new Uint8Array(bytes.length);
  const fields = schema.create(schemaFields(message, number));
  const known = new WeakMap<RaftLogEntry, Uint8Array>();
  report(name, [
    ["encode", () => encodeMessage(message)],
    ["  measure and write into a frame", () => {
      messageWireSize(message);
      return writeMessage(target, 0, message);
    }],
    ["  protobufjs", () => schema.encode(fields).finish()],
    ["  entries into a WeakMap, new ones", () => {
      for (const entry of message.entries) known.set({ ...entry }, encodeEntry(entry));
      return known;
    }],
    ["decode", () => decodeMessage(bytes)],
    ["  protobufjs", () => schema.decode(bytes)],
    ["  with a copy of every command", () => copyCommands(decodeMessage(bytes))],
  ]);
}

function header(type: Message["type"]): Pick<Message, "type"> & Partial<Message> {
  return { type, to: 2, from: 1, term: 7, logTerm: 7, index: 1_234_567, commit: 1_234_500 };
}

function entries(count: number): RaftLogEntry[] {
  return Array.from(
    { length: count },
    (_, i) =>
      createEntry({
        index: 1_234_568 + i,
        term: 7,
        command: new Uint8Array(COMMAND_BYTES).fill(i),
      }),
  );
}

function schemaFields(message: Message, number: number): Record<string, unknown> {
  const fields: Record<string, unknown> = {
    msgType: number,
    to: message.to,
    from: message.from,
    term: message.term,
    logTerm: message.logTerm,
    index: message.index,
    commit: message.commit,
    entries: message.entries.map(({ term, index, command }) => ({ term, index, data: command })),
  };
  if (message.context !== undefined) fields["context"] = message.context;
  return fields;
}

function copyCommands(message: Message): Uint8Array[] {
  return message.entries.map((entry) => entry.command.slice());
}

function report(name: string, runs: [string, () => unknown][]): void {
  console.log(name);
  for (const [title, run] of runs) {
    console.log(`  ${title.padEnd(36)}${nanoseconds(run).toFixed(0).padStart(9)}`);
  }
}

/** The time of one call: the best of fifteen measurements, which other work on the machine blurs least. */
function nanoseconds(run: () => unknown): number {
  measure(run, MEASURE_MS / 2);
  return Math.min(...Array.from({ length: 15 }, () => measure(run, MEASURE_MS / 15)));
}

function measure(run: () => unknown, forMs: number): number {
  const start = performance.now();
  let calls = 0;
  let elapsedMs = 0;
  while (elapsedMs < forMs) {
    for (let i = 0; i < 100; i++) sink[i] = run();
    calls += 100;
    elapsedMs = performance.now() - start;
  }
  return elapsedMs * 1e6 / calls;
}
