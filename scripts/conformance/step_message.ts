/**
 * Builds the message of a `step` command from its arguments, so that a trace can hand a core any
 * message, also one that no correct peer would send.
 *
 * @module
 */

import { createEntry, createMessage } from "../../src/raft/mod.ts";
import type { Message, MessageType, PeerId, RaftLogEntry } from "../../src/raft/mod.ts";
import { type Arguments, parseInteger } from "./arguments.ts";
import { type ByteString, toBytes } from "./byte_string.ts";
import { TraceFormatError } from "./parser.ts";
import { messageTypeNamed } from "./printing.ts";

/** Reads the message that `step` hands to node `to`. */
export function readMessage(args: Arguments, to: PeerId): Message {
  const type = readMessageType(args);
  if (type === undefined) throw new TraceFormatError("step needs type=: found none");
  const from = args.integerOption("from");
  if (from === undefined) throw new TraceFormatError("step needs from=: found none");
  return createMessage({
    type,
    to,
    from,
    term: args.integerOption("term") ?? 0,
    logTerm: args.integerOption("logterm") ?? 0,
    index: args.integerOption("index") ?? 0,
    commit: args.integerOption("commit") ?? 0,
    reject: args.booleanOption("reject") ?? false,
    rejectHint: args.integerOption("rejecthint") ?? 0,
    entries: (args.list("entries") ?? []).map(readEntry),
    context: readContext(args),
    priority: args.integerOption("priority") ?? 0,
    requestSnapshot: args.integerOption("request-snapshot") ?? 0,
    commitTerm: args.integerOption("commit-term") ?? 0,
  });
}

/** Reads `type=`, the kind of message by its name in traces; undefined when it is absent. */
export function readMessageType(args: Arguments): MessageType | undefined {
  const name = args.option("type");
  if (name === undefined) return undefined;
  const type = messageTypeNamed(name);
  if (type === undefined) throw new TraceFormatError(`there is no kind of message called ${name}`);
  return type;
}

/** Reads `TERM/INDEX:DATA`. */
function readEntry(text: ByteString): RaftLogEntry {
  const match = /^([^/:]*)\/([^:]*):([^]*)$/.exec(text);
  if (match === null) throw new TraceFormatError(`an entry must be TERM/INDEX:DATA: found ${text}`);
  const [, term, index, data] = match;
  return createEntry({
    term: parseInteger("the term of an entry", term),
    index: parseInteger("the index of an entry", index),
    command: toBytes(data),
  });
}

/** Reads `context=`, bytes as written, or `ctxpos=`, a number as 8 bytes little endian. */
function readContext(args: Arguments): Uint8Array | undefined {
  const context = args.option("context");
  const position = args.option("ctxpos");
  if (position === undefined) return context === undefined ? undefined : toBytes(context);
  if (context !== undefined) throw new TraceFormatError("step takes context= or ctxpos=, not both");
  if (!/^[0-9]+$/.test(position) || BigInt(position) >= 2n ** 64n) {
    throw new TraceFormatError(`ctxpos must be an integer from 0 to 2^64-1: found ${position}`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(position), true);
  return bytes;
}
