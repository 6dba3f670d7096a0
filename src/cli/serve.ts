/**
 * Wires one node together.
 *
 * @module
 */

import type { Logger } from "../raft/mod.ts";
import type { MemberAddress } from "./addresses.ts";

/** What a node is served with. */
export interface ServerOptions {
  readonly nodeId: number;
  readonly clusterId: string;
  /** The folder of its data; exists. */
  readonly data: string;
  /** All members, this one included, in ascending order. */
  readonly members: readonly MemberAddress[];
  readonly peerListen: string;
  readonly clientListen: string;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly logger: Logger;
}

/** A node that runs. */
export interface RunningServer {
  /** Resolves when the node has stopped: with the error that stopped it, or undefined. */
  readonly stopped: Promise<Error | undefined>;
  /** Stops taking requests, then closes everything. Idempotent. */
  stop(): Promise<void>;
}

/** Opens the node. */
export function serve(_options: ServerOptions): Promise<RunningServer> {
  return Promise.reject(new Error("the rooms below are not built yet"));
}
