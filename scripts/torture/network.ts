/**
 * The network between the processes. In front of each address stands a loopback proxy, which reads in
 * the greeting of a connection who speaks to whom. Node A sends to B on the connections it opens to B,
 * and answers B on those that B opened; both are the path from A to B, which is delayed and held back
 * as one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Direction, Pipe } from "../../tests/transport/loopback_proxy.ts";

const HOST = "127.0.0.1";

/** What is done to one path, for as long as it is in force. */
export interface PathFault {
  readonly from: number;
  readonly to: number;
  /** Nothing passes. */
  readonly held: boolean;
  readonly delayMs: number;
  readonly jitterMs: number;
}

/** Who opened a connection, and to whom. */
interface Ends {
  readonly from: number;
  readonly to: number;
}

/** A connection through a proxy. */
interface Connection {
  readonly sockets: readonly [opener: Socket, target: Socket];
  /** Undefined until the greeting has come. */
  ends: Ends | undefined;
}

/** The paths between nodes. */
export class TortureNetwork {
  readonly #clusterId: string;
  readonly #servers: Server[] = [];
  readonly #paths = new Map<string, Direction>();
  readonly #faults = new Set<PathFault>();
  readonly #connections = new Set<Connection>();

  /** @param clusterId as the nodes greet each other with. */
  constructor(clusterId: string) {
    this.#clusterId = clusterId;
  }

  /** Starts a proxy. @param target where a node listens. Resolves with where others reach it. */
  async listen(target: { readonly port: number }): Promise<number> {
    const server = createServer((socket) => this.#accept(socket, target.port));
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    return (server.address() as { port: number }).port;
  }

  /** Puts faults in force, beside those that are. Returns what ends them. */
  apply(faults: readonly PathFault[]): () => void {
    for (const fault of faults) this.#faults.add(fault);
    this.#update(faults);
    return () => {
      for (const fault of faults) this.#faults.delete(fault);
      this.#update(faults);
    };
  }

  /** Resets the connections between two nodes. */
  cut(one: number, other: number): void {
    for (const { sockets, ends } of this.#connections) {
      const isBetween = ends !== undefined && one !== other &&
        [ends.from, ends.to].every((id) => id === one || id === other);
      if (isBetween) { for (const socket of sockets) socket.resetAndDestroy(); }
    }
  }

  async close(): Promise<void> {
    for (const { sockets } of this.#connections) sockets.forEach((socket) => socket.destroy());
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }

  /** Until the greeting has come nobody knows whose connection it is, and everything passes. */
  #accept(opener: Socket, port: number): void {
    const target = connect(port, HOST);
    const connection: Connection = { sockets: [opener, target], ends: undefined };
    this.#connections.add(connection);
    const forget = (): void => {
      if (opener.destroyed && target.destroyed) this.#connections.delete(connection);
    };
    const endBoth = (): void => connection.sockets.forEach((socket) => socket.destroy());
    for (const socket of connection.sockets) {
      socket.on("error", () => {}).on("close", forget).on("close", endBoth);
    }
    let greeting: Buffer = Buffer.alloc(0);
    const passBack = (chunk: Buffer): void => void opener.write(chunk);
    const pass = (chunk: Buffer): void => {
      greeting = Buffer.concat([greeting, chunk]);
      const ends = readGreeting(greeting, this.#clusterId);
      if (ends === undefined) return void target.write(chunk);
      connection.ends = ends;
      opener.off("data", pass).off("close", endBoth);
      target.off("data", passBack).off("close", endBoth);
      new Pipe(this.#path(ends.from, ends.to), opener, target).take(chunk);
      new Pipe(this.#path(ends.to, ends.from), target, opener);
    };
    opener.on("data", pass);
    target.on("data", passBack);
  }

  #path(from: number, to: number): Direction {
    let path = this.#paths.get(`${from}-${to}`);
    if (path === undefined) {
      path = new Direction();
      this.#paths.set(`${from}-${to}`, path);
    }
    return path;
  }

  #update(changed: readonly PathFault[]): void {
    for (const { from, to } of changed) {
      const faults = [...this.#faults].filter((fault) => fault.from === from && fault.to === to);
      const path = this.#path(from, to);
      path.delayMs = Math.max(0, ...faults.map((fault) => fault.delayMs));
      path.jitterMs = Math.max(0, ...faults.map((fault) => fault.jitterMs));
      if (faults.some((fault) => fault.held)) path.hold();
      else if (path.isHeld) path.release();
    }
  }
}

const VARINT = "([\\x80-\\xff]*[\\x00-\\x7f])";

/** Reads cluster id, `from_node` and `to_node` of a `Hello`; undefined while it has not come. */
function readGreeting(bytes: Buffer, clusterId: string): Ends | undefined {
  const hello = new RegExp(`${clusterId}\\x18${VARINT}\\x20${VARINT}`);
  const found = hello.exec(bytes.toString("latin1"));
  return found === null ? undefined : { from: readVarint(found[1]), to: readVarint(found[2]) };
}

function readVarint(text: string): number {
  const groups = Buffer.from(text, "latin1");
  return groups.reduceRight((value, group) => value * 128 + (group & 0x7f), 0);
}
