/**
 * `flaredb load`: writes many keys, with many writes in flight, and says how it goes.
 *
 * @module
 */

import { closeSync, createReadStream, openSync, statSync, writeSync } from "node:fs";
import { EtcdClient, EtcdError, EtcdSession, type SessionWrite } from "../etcd/mod.ts";
import type { Command, Invocation } from "./command.ts";
import {
  type Connection,
  connectionOf,
  ENDPOINTS_OPTION,
  mayPass,
  sentenceOf,
} from "./endpoints.ts";
import { CommandFailedError, EXIT_CODE, messageOf } from "./errors.ts";
import { jsonBytes } from "./format.ts";
import { LoadProgress } from "./load_progress.ts";
import { initialLoadState, type LoadState, pumpRecords } from "./load_pump.ts";
import { type LoadRecord, parseFormat, readRecords } from "./load_records.ts";
import type { Terminal } from "./terminal.ts";

const IN_FLIGHT_DEFAULT = 64;
const IN_FLIGHT_MAX = 4096;
const PATIENCE_MS_DEFAULT = 60_000;
const ATTEMPT_MS = 10_000;
const SESSION_END_MS_MAX = 1_000;
const TERMINAL_INTERVAL_MS = 100;
const LINE_INTERVAL_MS = 2_000;
const FAILURES_SHOWN_MAX = 10;

/** The `load` command. */
export const loadCommand: Command = {
  name: "load",
  summary: "Write many keys from a file",
  positionals: "FILE",
  positionalCount: [1, 1],
  description:
    "Writes every record of FILE, or of standard input when FILE is -. In TSV, a line is " +
    "a key, a tab and a value; without a tab, a key with an empty value. In JSON lines, a line is " +
    '{"key":…,"value":…}, or "keyBase64" and "valueBase64" for bytes. Writes are spread over all ' +
    "endpoints. One that failed in passing, because a leader or a member was lost, is repeated; each " +
    "takes effect once, except on servers of etcd. A key that occurs twice keeps its order. Exit code 1 " +
    "when any write failed.",
  options: {
    format: {
      value: "FORMAT",
      help: "tsv or jsonl; default: jsonl for *.jsonl, *.ndjson and *.json",
    },
    "in-flight": {
      value: "N",
      help: `most writes in flight, up to ${IN_FLIGHT_MAX}; default: ${IN_FLIGHT_DEFAULT}`,
    },
    "patience-ms": {
      value: "MS",
      help: `give up when no write was acknowledged for so long; default: ${PATIENCE_MS_DEFAULT}`,
    },
    acknowledged: {
      value: "FILE",
      help: "add each acknowledged record to FILE, as JSON lines, before it is counted",
    },
    ...ENDPOINTS_OPTION,
    json: { help: "write the outcome as one line of JSON to standard output" },
  },
  examples: [
    "flaredb load words.tsv",
    "flaredb load - --format jsonl < dump.jsonl",
    "flaredb load words.tsv --in-flight 256 --endpoints 127.0.0.1:2379,127.0.0.1:2381",
  ],
  run: runLoad,
};

async function runLoad(invocation: Invocation, terminal: Terminal): Promise<number> {
  const file = invocation.positionals[0];
  const format = parseFormat(invocation.text("format"), file);
  const inFlight = invocation.integer("in-flight", IN_FLIGHT_DEFAULT, 1, IN_FLIGHT_MAX);
  const patienceMs = invocation.integer("patience-ms", PATIENCE_MS_DEFAULT, 1, 86_400_000);
  const deadlineMs = Math.min(ATTEMPT_MS, patienceMs);
  const input = openInput(file, terminal);
  const acknowledgedFile = openAcknowledged(invocation.text("acknowledged"));
  const session = new EtcdSession();
  const clients = openClients(connectionOf(invocation), session);
  const writes = new Map<LoadRecord, SessionWrite>();
  const describe = (error: unknown): string =>
    error instanceof EtcdError ? sentenceOf(error, [error.endpoint]) : messageOf(error);
  const state = initialLoadState();
  const progress = new LoadProgress(input.totalBytes, performance.now());
  const stopShowing = showProgress(progress, state, terminal);
  // grpc-js records the caller's stack for every call: a quarter of the time spent here.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    await pumpRecords(readRecords(input.bytes, format), state, {
      inFlight,
      patienceMs,
      signal: terminal.signal,
      put: async (record, attempt) => {
        const { key, value, line } = record;
        const write = attempt === 0 ? await session.begin() : writes.get(record)!;
        writes.set(record, write);
        const client = clients[(line + attempt) % clients.length];
        await client.put(key, value, { deadlineMs, write });
      },
      ended: (record) => {
        writes.get(record)?.end();
        writes.delete(record);
      },
      mayPass,
      describe,
      acknowledged: acknowledgedFile.add,
      failed: (record, error) => showFailure(record, describe(error), state, terminal),
      now: () => performance.now(),
    });
  } catch (error) {
    if (error instanceof CommandFailedError) throw error;
    throw new CommandFailedError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    stopShowing();
    terminal.error(progress.summary(state, performance.now()) + "\n");
    acknowledgedFile.close();
    await clients[0].endSession({ deadlineMs: SESSION_END_MS_MAX }).catch(() => {});
    for (const client of clients) client.close();
  }
  if (invocation.has("json")) terminal.out(JSON.stringify(state) + "\n");
  if (state.stoppedBecause !== undefined) {
    throw new CommandFailedError(`stopped before the end of the input: ${state.stoppedBecause}`);
  }
  return state.failed === 0 ? EXIT_CODE.ok : EXIT_CODE.failed;
}

/**
 * One client an endpoint, which starts there and goes on to the others: so the writes are spread
 * over all members, and leave one that is lost.
 */
function openClients({ endpoints, ...how }: Connection, session: EtcdSession): EtcdClient[] {
  return endpoints.map((_, first) => {
    const inTurn = [...endpoints.slice(first), ...endpoints.slice(0, first)];
    return new EtcdClient({ ...how, endpoints: inTurn, session });
  });
}

interface Input {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The size, when it is known before it has been read. */
  readonly totalBytes: number | undefined;
}

function openInput(file: string, terminal: Terminal): Input {
  if (file === "-") return { bytes: terminal.input(), totalBytes: undefined };
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) throw new CommandFailedError(`${file} is a folder`);
    // Opened here, so that a file that cannot be read is refused before anything is written.
    const descriptor = openSync(file, "r");
    return {
      bytes: createReadStream(file, { fd: descriptor, highWaterMark: 256 * 1024 }),
      totalBytes: stat.isFile() ? stat.size : undefined,
    };
  } catch (error) {
    if (error instanceof CommandFailedError) throw error;
    throw new CommandFailedError(`cannot open ${file}: ${messageOf(error)}`, { cause: error });
  }
}

interface AcknowledgedFile {
  readonly add: (record: LoadRecord) => void;
  readonly close: () => void;
}

/** A record is in the file before it is counted, so that the file is never behind what was said. */
function openAcknowledged(file: string | undefined): AcknowledgedFile {
  if (file === undefined) return { add: () => {}, close: () => {} };
  let descriptor: number;
  try {
    descriptor = openSync(file, "a");
  } catch (error) {
    throw new CommandFailedError(`cannot open ${file}: ${messageOf(error)}`, { cause: error });
  }
  return {
    add: ({ key, value }) => {
      const line = { ...jsonBytes("key", key), ...jsonBytes("value", value) };
      writeSync(descriptor, JSON.stringify(line) + "\n");
    },
    close: () => closeSync(descriptor),
  };
}

/** Shows the progress until the returned function is called: one line rewritten, or plain lines. */
function showProgress(progress: LoadProgress, state: LoadState, terminal: Terminal): () => void {
  const rewrite = terminal.errorIsTerminal;
  const show = (): void => {
    const line = progress.line(state, performance.now());
    terminal.error(rewrite ? `\r\x1b[K${line}` : `${line}\n`);
  };
  const timer = setInterval(show, rewrite ? TERMINAL_INTERVAL_MS : LINE_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    if (rewrite) terminal.error("\r\x1b[K");
  };
}

function showFailure(
  record: LoadRecord,
  reason: string,
  state: LoadState,
  terminal: Terminal,
): void {
  if (state.failed > FAILURES_SHOWN_MAX) return;
  const start = terminal.errorIsTerminal ? "\r\x1b[K" : "";
  terminal.error(`${start}line ${record.line} failed: ${reason}\n`);
  if (state.failed === FAILURES_SHOWN_MAX) terminal.error("further failures are only counted\n");
}
