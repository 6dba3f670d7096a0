/**
 * `flaredb storage dump`: the records of a node's data, as lines of text or JSON.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type DumpRecord, dumpStorage, type VerifyOptions } from "../storage/sqlite/mod.ts";
import type { Invocation } from "./command.ts";
import { EXIT_CODE } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/** Lines are written together up to about this many characters. */
const CHUNK_LENGTH = 64 * 1024;

/** Bytes of a command or context that a line of text shows. */
const SHOWN_BYTES = 48;

/**
 * Writes every record that the options ask for. Whatever `verify` would object to is written to the
 * standard error as well, and makes the exit code 1.
 */
export function runDump(
  data: VerifyOptions,
  invocation: Invocation,
  terminal: Terminal,
): number {
  const integer = (name: string, min: number): number | undefined =>
    invocation.has(name) ? invocation.integer(name, 0, min, Number.MAX_SAFE_INTEGER) : undefined;
  const write = invocation.has("json") ? jsonLine : textLine;
  let chunk = "";
  let sound = true;
  const flush = (): void => {
    terminal.out(chunk);
    chunk = "";
  };
  const options = {
    ...data,
    regionId: integer("region", 1),
    from: integer("from", 0),
    to: integer("to", 0),
    limit: integer("limit", 0),
  };
  try {
    dumpStorage(options, (record) => {
      if (record.kind === "problem") {
        if (sound) terminal.error(WARNING);
        sound = false;
        terminal.error(problemLine(record) + "\n");
      }
      const line = write(record);
      if (line !== undefined) chunk += line + "\n";
      if (chunk.length >= CHUNK_LENGTH) flush();
    });
  } finally {
    flush();
  }
  return sound ? EXIT_CODE.ok : EXIT_CODE.failed;
}

const WARNING = "warning: this data is not sound, and what is written of it may lack parts or be " +
  "of an earlier time:\n";

function problemLine({ problem, omitted }: Extract<DumpRecord, { kind: "problem" }>): string {
  return `! ${problem}` + (omitted === 0 ? "" : `\n! … and ${omitted} more`);
}

/** Bytes become base64, in fields whose names say so. */
function jsonLine(record: DumpRecord): string {
  if (record.kind === "entry") {
    const { command, context, ...entry } = record;
    return JSON.stringify({
      ...entry,
      commandBase64: base64(command),
      contextBase64: context === undefined ? undefined : base64(context),
    });
  }
  return JSON.stringify(
    record,
    (_name, value) => value instanceof Uint8Array ? { base64: base64(value) } : value,
  );
}

/** Problems are told on the standard error alone. */
function textLine(record: DumpRecord): string | undefined {
  switch (record.kind) {
    case "problem":
      return undefined;
    case "node":
      return `node ${record.nodeId} of cluster ${
        JSON.stringify(record.clusterId)
      }, format ${record.formatVersion}`;
    case "region": {
      const { hardState, confState, truncatedIndex, lastIndex, snapshot } = record.state;
      return `region ${record.regionId}: peer ${record.peerId}, term ${hardState.currentTerm}, ` +
        `vote ${hardState.votedFor}, commit ${hardState.commitIndex}, ` +
        `log ${truncatedIndex + 1}..${lastIndex}, snapshot ${snapshot?.index ?? "none"}, ` +
        `configuration of index ${record.state.confStateIndex}: ${JSON.stringify(confState)}`;
    }
    case "entry": {
      const context = record.context === undefined ? "" : `, context ${shown(record.context)}`;
      const type = record.type === "normal" ? "" : ` ${record.type}`;
      return `  ${record.index} term ${record.term}${type} ${shown(record.command)}${context}`;
    }
    case "damaged":
      return `  DAMAGED row in ${record.table}: ${record.row.map(shown).join(" ")}`;
  }
}

function shown(value: string | number | Uint8Array | null): string {
  if (!(value instanceof Uint8Array)) return String(value);
  // Printable ASCII is shown as it is, every other byte as \xNN.
  let text = "";
  for (const byte of value.subarray(0, SHOWN_BYTES)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c && byte !== 0x22;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `"${text}"${value.length > SHOWN_BYTES ? "…" : ""} (${value.length} B)`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}
