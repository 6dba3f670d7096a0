/**
 * `flaredb start`: runs one node in this process until it is asked to end.
 *
 * @module
 */

import { existsSync, mkdirSync } from "node:fs";
import { join as joinPath, resolve } from "node:path";
import process from "node:process";
import type { CompactionOptions } from "../node/mod.ts";
import { RaftError } from "../raft/mod.ts";
import {
  type Address,
  formatAddress,
  type MemberAddress,
  parseAddress,
  parseMembers,
} from "./addresses.ts";
import type { Command, Invocation } from "./command.ts";
import { CommandFailedError, EXIT_CODE, messageOf, UsageError } from "./errors.ts";
import { lineLogger, parseLogLevel } from "./log.ts";
import { runtimeName, runtimeWarning } from "./runtime.ts";
import { type RunningServer, serve, type ServerOptions } from "./serve.ts";
import { SERVER_TLS_OPTIONS, serverTlsOf } from "./server_tls.ts";
import type { WriterOption } from "../storage/sqlite/mod.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const TICK_MS_DEFAULT = 100;
const ELECTION_TICKS_DEFAULT = 10;
const HEARTBEAT_TICKS_DEFAULT = 1;
const STOP_DEADLINE_MS = 8_000;

/** The `start` command. */
export const startCommand: Command = {
  name: "start",
  summary: "Run one node",
  positionals: "",
  positionalCount: [0, 0],
  description:
    "Runs one node of a cluster in this process. The first start creates the data: of a new " +
    "cluster, and then it must name the same members on all of them, or with --join of a node that " +
    "`flaredb member add` has added to a cluster that runs. Later starts go on from the data, know " +
    "who is a member by now, and refuse the data of another node or cluster. SIGINT (Ctrl-C) and " +
    "SIGTERM end it cleanly, with exit code 0; exit code 4 says that the node was removed or has " +
    "lost its data. The log goes to standard error.",
  options: {
    id: { value: "N", help: "the id of this node; required" },
    "cluster-id": {
      value: "NAME",
      help: "the cluster, the same on all its nodes, up to 128 characters; required",
    },
    data: { value: "DIR", help: "the folder of its data, made when it does not exist; required" },
    members: {
      value: "LIST",
      help:
        "all members with the addresses of their peers, and of their clients when these are to " +
        "be listed to clients: ID=HOST:PORT[/CLIENT-HOST:PORT],…; required at the first start. " +
        "Later it is only an address book, and may be left out once the members were changed",
    },
    join: {
      help:
        "join a cluster that runs, as a member that was added to it; --members names some of the " +
        "others. Means nothing once there is data",
    },
    "peer-listen": {
      value: "HOST:PORT",
      help: "where to listen for peers; default: its own address in --members; required where " +
        "--members does not name it",
    },
    "client-listen": {
      value: "HOST:PORT",
      help: "where to listen for clients; default: its own client address in --members, else " +
        "127.0.0.1:2379",
    },
    ...SERVER_TLS_OPTIONS,
    "tick-ms": {
      value: "MS",
      help: `the length of a tick, the unit of the next two; default: ${TICK_MS_DEFAULT}`,
    },
    "election-ticks": {
      value: "N",
      help: "a follower campaigns after N to 2N ticks without a leader; default: " +
        ELECTION_TICKS_DEFAULT,
    },
    "heartbeat-ticks": {
      value: "N",
      help: `a leader sends heartbeats every N ticks; default: ${HEARTBEAT_TICKS_DEFAULT}`,
    },
    "storage-writer": {
      value: "WHERE",
      help:
        "where the log is written: direct, in the event loop; worker, in a thread of its own, " +
        "for slow disks; or auto, as the disk's measured speed suggests; default: auto",
    },
    "compact-entries": {
      value: "N",
      help: "the log is compacted when it holds more than N applied entries; default: 50000",
    },
    "compact-keep": {
      value: "N",
      help: "applied entries kept for members that are a little behind; default: 10000, and at " +
        "most half of --compact-entries",
    },
    "compact-keep-lagging": {
      value: "N",
      help:
        "applied entries that a leader keeps for members that are further behind: who lacks more " +
        "gets a snapshot; default: 1000000",
    },
    "log-level": { value: "LEVEL", help: "debug, info, warn or error; default: info" },
    "stop-with-stdin": {
      help: "also end when standard input ends, that is with the parent process",
    },
  },
  examples: [
    "flaredb start --id 1 --cluster-id shop --data /var/lib/flaredb \\",
    "    --members 1=10.0.0.1:2380/10.0.0.1:2379,2=10.0.0.2:2380/10.0.0.2:2379,3=10.0.0.3:2380/10.0.0.3:2379 \\",
    "    --peer-trusted-ca-file ca.pem --peer-cert-file node-1.pem --peer-key-file node-1.key \\",
    "    --cert-file node-1.pem --key-file node-1.key",
  ],
  run: runStart,
};

async function runStart(invocation: Invocation, terminal: Terminal): Promise<number> {
  const level = parseLogLevel(invocation.text("log-level") ?? "info");
  const logger = lineLogger(level, (line) => terminal.error(line));
  const options: ServerOptions = { ...serverOptions(invocation), logger };
  logger.info(`flaredb ${VERSION} on ${runtimeName()}, process ${process.pid}`);
  const warning = runtimeWarning();
  if (warning !== undefined) logger.warn(warning);
  makeFolder(options.data);
  const server = await open(options);
  const asked = wishToEnd(terminal.signal, invocation.has("stop-with-stdin"));
  const failure = await Promise.race([asked.then((why) => logger.info(why)), server.stopped]);
  await stopWithin(server, STOP_DEADLINE_MS);
  if (failure instanceof CommandFailedError) throw failure;
  if (failure instanceof Error) {
    throw new CommandFailedError(`the node has stopped: ${failure.message}`, { cause: failure });
  }
  logger.info("stopped");
  return EXIT_CODE.ok;
}

async function open(options: ServerOptions): Promise<RunningServer> {
  try {
    return await serve(options);
  } catch (error) {
    if (error instanceof RaftError) {
      const exitCode = error instanceof CommandFailedError ? error.exitCode : EXIT_CODE.failed;
      throw new CommandFailedError(`cannot start: ${error.message}`, { cause: error, exitCode });
    }
    throw error;
  }
}

/** Reads the options. @throws UsageError when one is missing or does not fit. */
function serverOptions(invocation: Invocation): Omit<ServerOptions, "logger"> {
  const nodeId = invocation.integer(
    "id",
    Number(invocation.requiredText("id")),
    1,
    Number.MAX_SAFE_INTEGER,
  );
  const data = resolve(invocation.requiredText("data"));
  const join = invocation.has("join");
  const { members, self } = membersOf(invocation, nodeId, data, join);
  const clientListen = listenAddress(invocation, "client-listen") ?? self.client ??
    { host: "127.0.0.1", port: 2379 };
  const peerListen = listenAddress(invocation, "peer-listen") ?? self.peer;
  return {
    nodeId,
    clusterId: invocation.requiredText("cluster-id"),
    data,
    members: members.map((member) => withClient(member, nodeId, clientListen)),
    // Without --members there is data, which must not become that of a new cluster.
    join: join || invocation.text("members") === undefined,
    peerListen: formatAddress(peerListen),
    clientListen: formatAddress(clientListen),
    tls: serverTlsOf(invocation, { members, peerListen, clientListen }),
    insecurePeer: invocation.has("insecure-peer"),
    storageWriter: storageWriterOf(invocation),
    compaction: compactionOf(invocation),
    tickMs: invocation.integer("tick-ms", TICK_MS_DEFAULT, 1, 60_000),
    electionTicks: invocation.integer("election-ticks", ELECTION_TICKS_DEFAULT, 2, 10_000),
    heartbeatTicks: invocation.integer("heartbeat-ticks", HEARTBEAT_TICKS_DEFAULT, 1, 10_000),
  };
}

/** The members that are known beforehand, this node among them. */
function membersOf(
  invocation: Invocation,
  nodeId: number,
  data: string,
  join: boolean,
): { members: MemberAddress[]; self: MemberAddress } {
  const text = invocation.text("members");
  const hasData = existsSync(joinPath(data, "raft.db"));
  if (text === undefined && !hasData) {
    throw new UsageError(
      join
        ? "--members is required: it says where the others are"
        : "--members is required at the first start",
    );
  }
  const named = text === undefined ? [] : parseMembers(text);
  const known = named.find((member) => member.nodeId === nodeId);
  if (known !== undefined) return { members: named, self: known };
  const peer = listenAddress(invocation, "peer-listen");
  if (!join && !hasData) {
    const ids = named.map((member) => member.nodeId).join(", ");
    throw new UsageError(
      `--id ${nodeId} is none of the ids in --members (${ids}). To join a cluster that runs, give ` +
        "--join and --peer-listen",
    );
  }
  if (peer === undefined) {
    throw new UsageError(`--peer-listen is required where --members does not name node ${nodeId}`);
  }
  const self = { nodeId, peer, client: undefined };
  return { members: [...named, self].sort((one, other) => one.nodeId - other.nodeId), self };
}

function storageWriterOf(invocation: Invocation): WriterOption {
  const where = invocation.text("storage-writer") ?? "auto";
  if (where === "auto" || where === "direct" || where === "worker") return where;
  throw new UsageError(`--storage-writer must be auto, direct or worker: it is "${where}"`);
}

/** Options that are not given are left to the node's defaults. */
function compactionOf(invocation: Invocation): CompactionOptions {
  const count = (name: string, least: number): number | undefined =>
    invocation.text(name) === undefined
      ? undefined
      : invocation.integer(name, least, least, Number.MAX_SAFE_INTEGER);
  return {
    entriesMax: count("compact-entries", 1),
    keepEntries: count("compact-keep", 0),
    laggingEntriesMax: count("compact-keep-lagging", 1),
  };
}

function listenAddress(invocation: Invocation, name: string): Address | undefined {
  const text = invocation.text(name);
  return text === undefined ? undefined : parseAddress(`--${name}`, text);
}

function withClient(member: MemberAddress, nodeId: number, clientListen: Address): MemberAddress {
  if (member.nodeId !== nodeId || member.client !== undefined) return member;
  return { ...member, client: clientListen };
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new CommandFailedError(`cannot make the folder ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Resolves when the user or, if asked for, the parent process wants this one to end. */
function wishToEnd(signal: AbortSignal, withStandardInput: boolean): Promise<string> {
  return new Promise((resolve) => {
    const onSignal = (): void => resolve(`stopping: ${String(signal.reason)}`);
    if (signal.aborted) onSignal();
    else signal.addEventListener("abort", onSignal, { once: true });
    if (!withStandardInput) return;
    const onEnd = (): void => resolve("stopping: standard input has ended");
    process.stdin.on("end", onEnd).on("close", onEnd).on("error", onEnd).resume();
  });
}

/** Stops the server; a disk that hangs must not keep the process from ending. */
async function stopWithin(server: RunningServer, deadlineMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new CommandFailedError(`could not stop within ${deadlineMs} ms`)),
      deadlineMs,
    );
  });
  try {
    await Promise.race([server.stop(), late]);
  } finally {
    clearTimeout(timer);
  }
}
