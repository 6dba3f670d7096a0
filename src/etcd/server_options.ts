/**
 * What an etcd server is made of, and what it asks of the node and of the store: small enough for a
 * test to stand in for either.
 *
 * @module
 */

import type { KvResult, RangeRequest, RangeResult } from "../kv/mod.ts";
import type { SessionPosition } from "../node/mod.ts";
import { ConfigError, type Logger, SILENT_LOGGER } from "../raft/mod.ts";
import type { Certificates, CertificateSource, ClientCertificates } from "../tls/mod.ts";
import type { Counters } from "./counters.ts";

/** What the server reads of a node's state. */
export interface ReplicatedNodeStatus {
  /** The node. */
  readonly nodeId: number;
  /** Its replica. */
  readonly peerId: number;
  /** The node of the leader, or 0 when none is known. */
  readonly leaderNodeId: number;
  /** Its term. */
  readonly term: number;
  /** The highest index it knows to be committed. */
  readonly commitIndex: number;
  /** The last index its store has applied. */
  readonly lastApplied: number;
  /** The peers without a vote. */
  readonly learners: readonly number[];
}

/** How long a call on the node may take. */
export interface ReplicatedNodeCall {
  /** How long it may take, in milliseconds. */
  readonly deadlineMs?: number;
}

/** A node that replicates the store's commands; `Node` is one. */
export interface ReplicatedNode {
  /** Replicates a command and resolves once the local store has applied it. */
  propose(
    command: Uint8Array,
    options?: ReplicatedNodeCall & { readonly session?: SessionPosition },
  ): Promise<{ readonly term: number; readonly result: KvResult }>;
  /** Resolves once the local store holds everything acknowledged before the call. */
  read(options?: ReplicatedNodeCall): Promise<unknown>;
  /**
   * Hands leadership to a node and resolves once this one sees it lead; without it
   * `Maintenance.MoveLeader` is not served.
   */
  transferLeader?(nodeId: number, options?: ReplicatedNodeCall): Promise<void>;
  /** The node's state. */
  status(): ReplicatedNodeStatus;
  /** Opens a client session; without it sessions are not served. */
  openSessionId?(options?: ReplicatedNodeCall & { readonly timeoutMs?: number }): Promise<string>;
  /** Closes a client session. */
  closeSessionId?(id: string, options?: ReplicatedNodeCall): Promise<void>;
}

/** A store to read from; `KvStore` is one. */
export interface ReadableStore {
  /** The newest revision. */
  readonly revision: number;
  /** @throws KvReadError when the revision asked for cannot be read */
  /** Reads keys as of a revision. */
  range(request: RangeRequest): RangeResult;
  /** Bytes of the store on disk, and in use. */
  size(): { readonly bytes: number; readonly inUseBytes: number };
  /** The last applied index; for `Maintenance.Snapshot`. */
  lastApplied?(): number;
  /** The state as of now as a stream; without it `Maintenance.Snapshot` is not served. */
  snapshot?(): AsyncIterable<Uint8Array>;
}

/** A member as the API shows it; its id there is the node's id. */
export interface ClusterMember {
  /** The node. */
  readonly nodeId: number;
  /** Its name for people. */
  readonly name: string;
  /** Where it listens for other members. */
  readonly peerUrls: readonly string[];
  /** Where it listens for clients. */
  readonly clientUrls: readonly string[];
  /** Whether it receives the log without a vote. Default false. */
  readonly isLearner?: boolean;
}

/** A member that shall be added. */
export interface NewMember {
  /** Where it will listen for other members, `host:port`. */
  readonly peerAddress: string;
  /** It stays a learner until it is promoted; otherwise it becomes a voter once it has caught up. */
  readonly isLearner: boolean;
  /** The node whose place it takes once it has caught up; undefined: of none. */
  readonly replaces: number | undefined;
}

/**
 * Changes the members, called on any member. Each resolves once the change is in force, or rejects
 * with the error of the node, whose code decides what the caller is told.
 */
export interface ClusterMembership {
  /** Adds a member, and resolves with the id chosen for it: one that was never used. */
  add(member: NewMember, call: ReplicatedNodeCall): Promise<number>;
  /** Makes a learner a voter. */
  promote(nodeId: number, call: ReplicatedNodeCall): Promise<unknown>;
  /** Removes a member. */
  remove(nodeId: number, call: ReplicatedNodeCall): Promise<unknown>;
  /** Says where a member listens for others from now on, `host:port`. */
  update(nodeId: number, peerAddress: string, call: ReplicatedNodeCall): Promise<unknown>;
  /** Why a member must not listen there; undefined when it may. */
  refusePeer(scheme: "http" | "https", peerAddress: string): string | undefined;
}

/** How a server serves over TLS. */
export interface EtcdServerTls {
  /**
   * The certificate it shows; from a source, such as `CertificateFiles`, new connections use what is
   * current.
   */
  readonly certificates: Certificates | CertificateSource;
  /**
   * Whether clients must show a certificate of the authority in `certificates`, which is required
   * then. Default `"none"`: whoever reaches the server is served.
   */
  readonly clientCertificates?: ClientCertificates;
}

/** What an `EtcdServer` is made of. */
export interface EtcdServerOptions {
  /** What commands and reads go through. */
  readonly node: ReplicatedNode;
  /** What reads are answered from. */
  readonly store: ReadableStore;
  /** The cluster's id; the number in response headers is derived from it. */
  readonly clusterId: string;
  /** The members, as they are now. */
  readonly members: () => readonly ClusterMember[];
  /** Changes the members; without it such calls answer `UNIMPLEMENTED`. */
  readonly membership?: ClusterMembership;
  /** `host:port` to listen on; port 0 for any free one. */
  readonly listen: string;
  /** Certificates, or plaintext, which must be asked for. */
  readonly tls: EtcdServerTls | "insecure";
  /** The longest request that is replicated, in bytes. Default 1.5 MiB, as etcd. */
  readonly requestBytesMax?: number;
  /** How long a request may take when its client sets no earlier deadline. Default 7,000. */
  readonly requestTimeoutMs?: number;
  /** How many operations a transaction may have. Default 128, as etcd. */
  readonly txnOperationsMax?: number;
  /** Most connections of clients; beyond it new ones are closed at once. Default 4,096. */
  readonly connectionsMax?: number;
  /**
   * Most calls and streams under way on one connection, as the server announces it; clients keep
   * further ones waiting. Default 4,096.
   */
  readonly streamsPerConnectionMax?: number;
  /**
   * How long a client of `Maintenance.Snapshot` may take nothing before its call is ended with
   * `ABORTED`, in milliseconds: until the end of it neither the store nor the log gets smaller. What
   * counts is a whole piece of 64 KiB. At most 2^31 - 1. Default 30,000.
   */
  readonly snapshotStallMs?: number;
  /** How long calls under way may go on when the server closes. Default 500. */
  readonly closeGraceMs?: number;
  /** What `Diagnostics.Counters` answers with. Default: nothing. */
  readonly counters?: () => Counters;
  /** Where to log. Default: nowhere. */
  readonly logger?: Logger;
  /** What `Status` reports. Default {@linkcode SERVER_VERSION}. */
  readonly version?: string;
}

/** The version of the etcd API that is served, with our own behind it. */
export const SERVER_VERSION = "3.5.0+flaredb.0.1.0";

/** Frames may be this much longer than the longest request, as in etcd. */
export const FRAME_OVERHEAD_BYTES = 512 * 1024;

/** The longest that a timer waits, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The options with their defaults. */
export type CheckedServerOptions =
  & Required<Omit<EtcdServerOptions, "membership">>
  & Pick<EtcdServerOptions, "membership">;

/** Fills in defaults. @throws ConfigError when a limit is not a positive integer */
export function checkServerOptions(options: EtcdServerOptions): CheckedServerOptions {
  const checked: CheckedServerOptions = {
    ...options,
    requestBytesMax: options.requestBytesMax ?? 1.5 * 1024 * 1024,
    requestTimeoutMs: options.requestTimeoutMs ?? 7_000,
    txnOperationsMax: options.txnOperationsMax ?? 128,
    connectionsMax: options.connectionsMax ?? 4096,
    streamsPerConnectionMax: options.streamsPerConnectionMax ?? 4096,
    snapshotStallMs: options.snapshotStallMs ?? 30_000,
    closeGraceMs: options.closeGraceMs ?? 500,
    counters: options.counters ?? (() => ({})),
    logger: options.logger ?? SILENT_LOGGER,
    version: options.version ?? SERVER_VERSION,
  };
  const limits = [
    "requestBytesMax",
    "requestTimeoutMs",
    "txnOperationsMax",
    "connectionsMax",
    "streamsPerConnectionMax",
    "snapshotStallMs",
    "closeGraceMs",
  ] as const;
  for (const name of limits) {
    if (Number.isSafeInteger(checked[name]) && checked[name] > 0) continue;
    throw new ConfigError(
      `Cannot create server as ${name} must be a positive integer: found ${checked[name]}`,
    );
  }
  if (checked.snapshotStallMs > TIMER_MS_MAX) {
    throw new ConfigError(
      `Cannot create server as snapshotStallMs must be at most ${TIMER_MS_MAX}: found ` +
        checked.snapshotStallMs,
    );
  }
  if (!/:\d+$/.test(options.listen)) {
    throw new ConfigError(
      `Cannot create server as listen must be host:port: found ${JSON.stringify(options.listen)}`,
    );
  }
  return checked;
}
