/**
 * `flaredb get`: reads one key, or many.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { RangeResponse } from "../etcd/mod.ts";
import type { KeyValue } from "../kv/mod.ts";
import type { Command, Invocation } from "./command.ts";
import { CALL_OPTIONS, withClient } from "./endpoints.ts";
import { EXIT_CODE, UsageError } from "./errors.ts";
import { jsonBytes } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/** The `get` command. */
export const getCommand: Command = {
  name: "get",
  summary: "Read a key, or all keys with a prefix",
  positionals: "[KEY]",
  positionalCount: [0, 1],
  description:
    "Writes the key on one line and its value on the next, for each key found. Reads are " +
    "linearizable: they see every write that was acknowledged before. Finding nothing is no failure.",
  options: {
    prefix: { help: "all keys that begin with KEY; without a KEY, all keys" },
    limit: { value: "N", help: "at most N keys; default: all" },
    rev: { value: "N", help: "as of revision N; default: the newest" },
    serializable: { help: "ask one member for what it has, which may be stale" },
    "keys-only": { help: "leave the values out" },
    "count-only": { help: "show how many keys there are, and nothing else" },
    "print-value-only": { help: "leave the keys out" },
    ...CALL_OPTIONS,
    json: { help: "write one line of JSON instead of text" },
  },
  examples: [
    "flaredb get greeting",
    "flaredb get user/ --prefix --limit 10",
    "flaredb get --prefix",
  ],
  run: runGet,
};

async function runGet(invocation: Invocation, terminal: Terminal): Promise<number> {
  const prefix = invocation.has("prefix");
  const key = invocation.positionals[0] ?? "";
  if (key === "" && !prefix) throw new UsageError("a KEY is missing; --prefix reads all keys");
  const keysOnly = invocation.has("keys-only");
  const countOnly = invocation.has("count-only");
  const shown = ["keys-only", "count-only", "print-value-only"].filter((name) =>
    invocation.has(name)
  );
  if (shown.length > 1) {
    throw new UsageError(`--${shown[0]} and --${shown[1]} exclude each other`);
  }
  const options = {
    prefix,
    limit: invocation.integer("limit", 0, 0, Number.MAX_SAFE_INTEGER),
    revision: invocation.integer("rev", 0, 0, Number.MAX_SAFE_INTEGER),
    serializable: invocation.has("serializable"),
    keysOnly,
    countOnly,
  };
  const answer = await withClient(invocation, terminal, (client) => client.get(key, options));
  if (invocation.has("json")) terminal.out(JSON.stringify(describe(answer)) + "\n");
  else if (countOnly) terminal.out(`${answer.count}\n`);
  else print(answer.kvs, keysOnly, invocation.has("print-value-only"), terminal);
  return EXIT_CODE.ok;
}

const NEWLINE = Uint8Array.of(0x0a);

function print(
  pairs: readonly KeyValue[],
  keysOnly: boolean,
  valuesOnly: boolean,
  terminal: Terminal,
): void {
  for (const { key, value } of pairs) {
    const parts: Uint8Array[] = [];
    if (!valuesOnly) parts.push(key, NEWLINE);
    if (!keysOnly) parts.push(value, NEWLINE);
    terminal.outBytes(Buffer.concat(parts));
  }
}

function describe(answer: RangeResponse) {
  return {
    revision: answer.header.revision,
    count: answer.count,
    more: answer.more,
    kvs: answer.kvs.map((pair) => ({
      ...jsonBytes("key", pair.key),
      ...jsonBytes("value", pair.value),
      createRevision: pair.createRevision,
      modRevision: pair.modRevision,
      version: pair.version,
      ...(pair.lease === 0n ? {} : { lease: pair.lease.toString() }),
    })),
  };
}
