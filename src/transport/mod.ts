/**
 * How the messages of a node's regions travel to other nodes: the contract, and a network in memory
 * for tests and simulations. The transport over gRPC is in `src/transport/grpc`.
 *
 * @module
 */

export type {
  IncomingSnapshot,
  OutgoingSnapshot,
  RegionMessage,
  SnapshotOutcome,
  SnapshotProgress,
  SnapshotSink,
  SnapshotTransfer,
  Transport,
  TransportHandler,
} from "./contract.ts";
export type { TransportCounters } from "./counters.ts";
export { AskError } from "./contract.ts";
export { TransportError, type TransportErrorCode } from "./errors.ts";
export {
  type Envelope,
  MemoryNetwork,
  type MemoryNetworkOptions,
  type MemoryTransport,
} from "./memory.ts";
