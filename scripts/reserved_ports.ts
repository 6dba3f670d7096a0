/**
 * Ports for the processes of tests and benchmarks. A process is told its port before it listens there,
 * and listens there again each time it is started anew; meanwhile nobody else may get the port. The
 * system gives ports of a range of its own to connections and to whoever asks for any port, so these are
 * outside of it; and they come in blocks, each of which belongs to one process that runs tests: to the
 * one that listens on the first port of the block.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { isPortFree } from "../src/cli/addresses.ts";

const HOST = "127.0.0.1";

/** Ports of a block, with the one that is listened on. */
const BLOCK_PORTS = 32;

const FIRST_PORT = 10_240;

/**
 * Where the range of the system begins, unless it says otherwise; and where it begins so low that there
 * is no room below it, in which case others may be given these ports after all.
 */
const SYSTEM_FIRST_PORT = 32_768;

/** What keeps the blocks of this process; they are free when it ends. */
const keepers: Server[] = [];

/**
 * Free ports of 127.0.0.1, one after the other, that stay free for this process until it ends.
 *
 * @throws RangeError for more than 31; Error when there are none.
 */
export async function reservePorts(count: number): Promise<number[]> {
  if (count >= BLOCK_PORTS) throw new RangeError(`at most ${BLOCK_PORTS - 1} ports, not ${count}`);
  const blocks = Math.floor((systemFirstPort() - FIRST_PORT) / BLOCK_PORTS);
  const start = Math.floor(Math.random() * blocks);
  for (let tried = 0; tried < blocks; tried++) {
    const keeperPort = FIRST_PORT + (start + tried) % blocks * BLOCK_PORTS;
    const keeper = await listen(keeperPort);
    if (keeper === undefined) continue;
    const ports = Array.from({ length: count }, (_, at) => keeperPort + 1 + at);
    const free = await Promise.all(ports.map((port) => isPortFree(HOST, port)));
    if (free.every((one) => one)) {
      keepers.push(keeper);
      return ports;
    }
    keeper.close();
  }
  throw new Error(`no ${count} free ports from ${FIRST_PORT} to ${systemFirstPort()}`);
}

/** The first port that the system may give to anybody; what is reserved lies below it. */
export function systemFirstPort(): number {
  try {
    const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
    const first = parseInt(text);
    return first >= FIRST_PORT + 100 * BLOCK_PORTS ? first : SYSTEM_FIRST_PORT;
  } catch {
    return SYSTEM_FIRST_PORT;
  }
}

/** Listens there without keeping the process alive; resolves with nothing when somebody does already. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen({ host: HOST, port, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}
