/**
 * `flaredb dev`: three nodes as three processes on this machine, for development and for trying
 * things out. It starts them once, shows their logs, and never starts one again.
 *
 * @module
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Address, formatAddress, freePorts, isPortFree } from "./addresses.ts";
import { ChildNode, type ChildNodeOptions } from "./child_node.ts";
import type { Command, Invocation } from "./command.ts";
import { ENDPOINT_DEFAULT, findLeader } from "./endpoints.ts";
import { CommandFailedError, EXIT_CODE, messageOf } from "./errors.ts";
import { parseLogLevel } from "./log.ts";
import { commandForPeople, runtimeName, runtimeWarning } from "./runtime.ts";
import type { Terminal } from "./terminal.ts";

const HOST = "127.0.0.1";
const NODE_COUNT = 3;
const PORT_DEFAULT = 2379;
const STOP_DEADLINE_MS = 10_000;
const LEADER_POLL_MS = 50;

/** The `dev` command. */
export const devCommand: Command = {
  name: "dev",
  summary: "Start three nodes on this machine",
  positionals: "",
  positionalCount: [0, 0],
  description: "Starts three nodes as three processes that listen on 127.0.0.1 only, and shows " +
    "their logs. Ctrl-C stops all three. A node that ends is not started again; when all have " +
    "ended, so does this command, with exit code 1.",
  options: {
    data: {
      value: "DIR",
      help:
        "keep the data in DIR, and go on from what it holds; default: a new temporary folder, " +
        "removed at the end",
    },
    port: {
      value: "PORT",
      help: "node i serves clients on PORT+2(i-1) and peers on the port after it; 0: free ports; " +
        `default: ${PORT_DEFAULT}, or free ports when one of these is taken`,
    },
    "cluster-id": { value: "NAME", help: 'the cluster; default: "dev"' },
    "tick-ms": { value: "MS", help: "passed on to `flaredb start`" },
    "log-level": { value: "LEVEL", help: "debug, info, warn or error; default: info" },
    json: {
      help: "write one line of JSON to standard output once a leader is elected, " +
        '{"nodes":[{"id","pid","client","peer","data"},…],"leader"}, and the logs to standard error',
    },
  },
  examples: ["flaredb dev", "flaredb dev --data ./data", "flaredb dev --port 0 --json"],
  run: runDev,
};

async function runDev(invocation: Invocation, terminal: Terminal): Promise<number> {
  const json = invocation.has("json");
  const say = (text: string) => json ? terminal.error(text) : terminal.out(text);
  const clusterId = invocation.text("cluster-id") ?? "dev";
  const extraArguments = passedOn(invocation);
  const ports = await choosePorts(invocation, say);
  const kept = invocation.text("data");
  const data = kept === undefined ? mkdtempSync(join(tmpdir(), "flaredb-dev-")) : resolve(kept);
  try {
    const nodes = nodeOptions(clusterId, data, ports, extraArguments);
    for (const node of nodes) makeFolder(node.data);
    say(`flaredb on ${runtimeName()}: ${NODE_COUNT} nodes, cluster "${clusterId}"\n`);
    const warning = runtimeWarning();
    if (warning !== undefined) say(`warning: ${warning}\n`);
    say(`data: ${data}${kept === undefined ? " (removed at the end; --data DIR keeps it)" : ""}\n`);
    return await supervise(nodes, json, say, terminal);
  } finally {
    if (kept === undefined) rmSync(data, { recursive: true, force: true });
  }
}

function passedOn(invocation: Invocation): string[] {
  const level = invocation.text("log-level");
  if (level !== undefined) parseLogLevel(level);
  invocation.integer("tick-ms", 1, 1, 60_000);
  return ["tick-ms", "log-level"].flatMap((name) => {
    const value = invocation.text(name);
    return value === undefined ? [] : [`--${name}`, value];
  });
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

/** The client and peer port of each node in turn. */
async function choosePorts(
  invocation: Invocation,
  say: (text: string) => void,
): Promise<number[]> {
  const count = NODE_COUNT * 2;
  const base = invocation.integer("port", PORT_DEFAULT, 0, 65535 - count);
  if (base === 0) return freePorts(HOST, count);
  const ports = Array.from({ length: count }, (_, index) => base + index);
  const free = await Promise.all(ports.map((port) => isPortFree(HOST, port)));
  const taken = ports.filter((_, index) => !free[index]);
  if (taken.length === 0) return ports;
  if (invocation.text("port") !== undefined) {
    throw new CommandFailedError(
      `something listens on ${HOST}:${taken.join(` and ${HOST}:`)} already: ` +
        "choose another --port, or 0 for free ones",
    );
  }
  say(`taken on ${HOST}: port ${taken.join(", ")}; free ports are used instead\n`);
  return freePorts(HOST, count);
}

function nodeOptions(
  clusterId: string,
  data: string,
  ports: readonly number[],
  extraArguments: readonly string[],
): ChildNodeOptions[] {
  const at = (index: number): Address => ({ host: HOST, port: ports[index] });
  const ids = Array.from({ length: NODE_COUNT }, (_, index) => index + 1);
  const members = ids.map((id) =>
    `${id}=${formatAddress(at(2 * id - 1))}/${formatAddress(at(2 * id - 2))}`
  ).join(",");
  return ids.map((id) => ({
    id,
    clusterId,
    data: join(data, `node-${id}`),
    client: at(2 * id - 2),
    peer: at(2 * id - 1),
    peers: ids.map((one) => at(2 * one - 1)),
    members,
    extraArguments,
  }));
}

async function supervise(
  options: readonly ChildNodeOptions[],
  json: boolean,
  say: (text: string) => void,
  terminal: Terminal,
): Promise<number> {
  const nodes = options.map((one) =>
    new ChildNode(one, (line) => say(`node ${one.id} | ${line}\n`))
  );
  const finished = new AbortController();
  let stopping = false;
  const stop = (): void => {
    stopping = true;
    finished.abort();
    say("stopping\n");
    for (const node of nodes) void node.stop(STOP_DEADLINE_MS);
  };
  if (terminal.signal.aborted) stop();
  else terminal.signal.addEventListener("abort", stop, { once: true });
  const announced = announceLeader(nodes, json, say, terminal, finished.signal);
  await Promise.all(nodes.map(async (node) => {
    const how = await node.ended;
    if (!stopping) say(`node ${node.options.id} | has ended: ${how}\n`);
  }));
  finished.abort();
  await announced;
  terminal.signal.removeEventListener("abort", stop);
  say(stopping ? "all nodes have stopped\n" : "all nodes have ended\n");
  return stopping ? EXIT_CODE.ok : EXIT_CODE.failed;
}

/** Waits for the first leader and says how to use the cluster. */
async function announceLeader(
  nodes: readonly ChildNode[],
  json: boolean,
  say: (text: string) => void,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const endpoints = nodes.map((node) => formatAddress(node.options.client));
  const leader = await findLeader(endpoints, LEADER_POLL_MS, signal);
  if (leader === undefined) return;
  if (json) {
    terminal.out(JSON.stringify({ nodes: nodes.map(describe), leader }) + "\n");
    return;
  }
  say(`\n${NODE_COUNT} nodes are running; node ${leader} leads.\n`);
  for (const node of nodes) {
    const { id, client, peer } = node.options;
    say(
      `  node ${id}: clients ${formatAddress(client)}, peers ${formatAddress(peer)}, ` +
        `process ${node.pid}\n`,
    );
  }
  // The first node of the default ports is what the client commands ask unless told otherwise.
  const option = endpoints[0] === ENDPOINT_DEFAULT ? "" : ` --endpoints ${endpoints[0]}`;
  const flaredb = commandForPeople();
  say(
    `Write and read, from another terminal:\n` +
      `  ${flaredb} put greeting hello${option}\n` +
      `  ${flaredb} get greeting${option}\n` +
      `  etcdctl --endpoints=${endpoints.join(",")} get greeting\n` +
      `Ctrl-C stops all three.\n\n`,
  );
}

function describe(node: ChildNode) {
  const { id, client, peer, data } = node.options;
  return { id, pid: node.pid, client: formatAddress(client), peer: formatAddress(peer), data };
}
