/**
 * `flaredb put`: writes one key.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Command, Invocation } from "./command.ts";
import { CALL_OPTIONS, withClient } from "./endpoints.ts";
import { CommandFailedError, EXIT_CODE, UsageError } from "./errors.ts";
import { jsonBytes } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/** The `put` command. */
export const putCommand: Command = {
  name: "put",
  summary: "Write a key",
  positionals: "KEY [VALUE]",
  positionalCount: [1, 2],
  description:
    "Writes VALUE, or what standard input holds when no VALUE is given, under KEY. When " +
    "it ends with exit code 0 the write is on the disks of a majority of the nodes. A failure says " +
    "whether the write may have taken effect.",
  options: {
    "prev-kv": { help: "also show what the key held before" },
    ...CALL_OPTIONS,
    json: { help: "write one line of JSON instead of text" },
  },
  examples: ["flaredb put greeting hello", "flaredb put photo < photo.jpg"],
  run: runPut,
};

async function runPut(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [key, text] = invocation.positionals;
  if (key === "") throw new UsageError("KEY must not be empty");
  const value = text ?? await readAll(terminal);
  const prevKv = invocation.has("prev-kv");
  const answer = await withClient(
    invocation,
    terminal,
    (client) => client.put(key, value, { prevKv }),
    { writesOnce: true },
  );
  const { revision } = answer.header;
  const previous = answer.prevKv?.value;
  if (invocation.has("json")) {
    const before = previous === undefined ? {} : jsonBytes("previousValue", previous);
    terminal.out(JSON.stringify({ revision, ...before }) + "\n");
    return EXIT_CODE.ok;
  }
  terminal.out(`OK, revision ${revision}\n`);
  if (previous !== undefined) terminal.outBytes(Buffer.concat([previous, Uint8Array.of(0x0a)]));
  return EXIT_CODE.ok;
}

async function readAll(terminal: Terminal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of terminal.input()) chunks.push(chunk);
  // What was read may be a part only.
  if (terminal.signal.aborted) throw new CommandFailedError("interrupted. Nothing was written.");
  return Buffer.concat(chunks);
}
