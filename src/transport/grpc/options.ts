/**
 * The options of the gRPC transport: what they mean, their limits and defaults.
 *
 * @module
 */

import { ConfigError, type Logger, SILENT_LOGGER } from "../../raft/mod.ts";
import {
  CertificateError,
  certificateHasName,
  certificateNames,
  type Certificates,
  type CertificateSource,
  certificateSource,
  checkCertificates,
  nodeCertificateName,
} from "../../tls/mod.ts";

/** Mutual TLS between nodes: each shows a certificate, and checks that of the other. */
export interface TlsOptions {
  /**
   * This node's certificate, used to listen and to connect, and the authority that all nodes'
   * certificates come from, which is required. From a source, such as `CertificateFiles`, new
   * connections use what is current; open ones stay.
   */
  readonly certificates: Certificates | CertificateSource;
  /**
   * The name that a node's certificate must carry, exactly, as a subject alternative name of type DNS:
   * both when this node connects to it and when it connects to this one. Default
   * `node-<nodeId>.<clusterId>.flaredb` in lower case.
   */
  readonly peerName?: (nodeId: number) => string;
}

/** TLS with its defaults. */
export interface CheckedTls {
  readonly source: CertificateSource;
  readonly peerName: (nodeId: number) => string;
}

/** The options of a `GrpcTransport`. */
export interface GrpcTransportOptions {
  /** The cluster: from 1 to 128 bytes of UTF-8, the same on all its nodes; others are refused. */
  readonly clusterId: string;
  /** This node: an integer from 1. */
  readonly nodeId: number;
  /** Where to listen, `host:port`; port 0 takes a free one, see `address()`. */
  readonly listen: string;
  /** Mutual TLS between all nodes. Required unless `insecure`. */
  readonly tls?: TlsOptions;
  /** Talk without encryption and without knowing who calls. Must be asked for. Default false. */
  readonly insecure?: boolean;
  /**
   * Most bytes of one message, sent or received, as an `eraftpb.Message`: from 1 KiB to 1 GiB. Must
   * hold the largest entry, and a snapshot that travels in a message; streamed ones may have any
   * size. A receiver needs about three times as much memory while one arrives. Default 64 MiB.
   */
  readonly messageBytesMax?: number;
  /**
   * Messages that leave together share a frame up to this many bytes; a larger message travels
   * alone. Larger frames cost less and keep messages behind them waiting longer. From 1 KiB to
   * 64 MiB. Default 1 MiB.
   */
  readonly frameBytesMax?: number;
  /**
   * Most bytes of messages that wait for one node; beyond it the newest are dropped. An empty queue
   * takes any one message. From 1. Default twice `messageBytesMax`, so that the largest message finds
   * room behind others.
   */
  readonly queueBytesMax?: number;
  /** Most messages that wait for one node; beyond it the newest are dropped. From 1. Default 16,384. */
  readonly queueMessagesMax?: number;
  /**
   * Bytes that a node may have under way to this one before this one is done with some of them; its
   * messages collect in its queue meanwhile. Bounds what a slow receiver holds, beside one frame. At
   * least the delay to other nodes times the rate wanted: the default is 80 MB/s at 50 ms. For each
   * snapshot that is streamed the same holds again, on both sides. From 1 KiB. Default 4 MiB.
   */
  readonly windowBytes?: number;
  /** Most bytes in one piece of a streamed snapshot, from 1 KiB to 1 MiB. Default 256 KiB. */
  readonly snapshotChunkBytes?: number;
  /**
   * Most bytes a second of each snapshot that is streamed to another node. It goes slower where that
   * would take more than a fifth of this process's event loop, and while others keep that busy. From
   * 64 KiB. Default 32 MiB.
   */
  readonly snapshotBytesPerSecondMax?: number;
  /**
   * How long the transfer of a snapshot may get no further before both sides give it up, broken
   * connections included, in milliseconds. Must exceed what a sync of the receiver's disk takes.
   * Default 60,000.
   */
  readonly snapshotStallMs?: number;
  /**
   * Most connections of other nodes; beyond it new ones are closed at once. A node has one for its
   * messages, one for each snapshot it sends, and those that broke and are not noticed yet. From 2.
   * Default 256.
   */
  readonly connectionsMax?: number;
  /** The first delay before connecting again, in milliseconds; doubled at each failure. Default 50. */
  readonly backoffMs?: number;
  /**
   * The longest delay before connecting again, in milliseconds. A connection that lasted as long
   * resets the delay. Default 2,000.
   */
  readonly backoffMsMax?: number;
  /** How long a connection may take to be accepted, handshake included, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** A silent connection is probed this often, in milliseconds. From 1,000. Default 10,000. */
  readonly keepaliveMs?: number;
  /** How long the answer to a probe may take, in milliseconds. Default 5,000. */
  readonly keepaliveTimeoutMs?: number;
  /** How long `close` waits for what was sent to leave, in milliseconds. Default 250. */
  readonly drainMs?: number;
  /** Spreads the delays of many nodes: a number from 0 up to, not including, 1. Default `Math.random`. */
  readonly random?: () => number;
  /** A clock in milliseconds that never goes back. Default `performance.now`. */
  readonly nowMs?: () => number;
  /** Where to log. Default: nowhere. */
  readonly logger?: Logger;
}

/** The options with every default filled in. */
export type CheckedOptions = Required<Omit<GrpcTransportOptions, "tls" | "insecure">> & {
  readonly tls: CheckedTls | undefined;
};

/** The version of the protocol in `proto/raft_service.proto`. */
export const PROTOCOL_VERSION = 1;

/** Most bytes that a frame of one message adds to it: 64. */
export const FRAME_OVERHEAD_BYTES = 64;

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws ConfigError naming the option, what it must be and what it is. CertificateError when the
 *   certificates cannot be used.
 */
export function checkOptions(options: GrpcTransportOptions): CheckedOptions {
  const checked: CheckedOptions = {
    clusterId: options.clusterId,
    nodeId: options.nodeId,
    listen: options.listen,
    tls: undefined,
    messageBytesMax: options.messageBytesMax ?? 64 * MIB,
    frameBytesMax: options.frameBytesMax ?? MIB,
    queueBytesMax: options.queueBytesMax ?? 2 * (options.messageBytesMax ?? 64 * MIB),
    queueMessagesMax: options.queueMessagesMax ?? 16_384,
    windowBytes: options.windowBytes ?? 4 * MIB,
    snapshotChunkBytes: options.snapshotChunkBytes ?? 256 * KIB,
    snapshotBytesPerSecondMax: options.snapshotBytesPerSecondMax ?? 32 * MIB,
    snapshotStallMs: options.snapshotStallMs ?? 60_000,
    connectionsMax: options.connectionsMax ?? 256,
    backoffMs: options.backoffMs ?? 50,
    backoffMsMax: options.backoffMsMax ?? 2000,
    connectTimeoutMs: options.connectTimeoutMs ?? 5000,
    keepaliveMs: options.keepaliveMs ?? 10_000,
    keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? 5000,
    drainMs: options.drainMs ?? 250,
    random: options.random ?? Math.random,
    nowMs: options.nowMs ?? (() => performance.now()),
    logger: options.logger ?? SILENT_LOGGER,
  };
  checkName(checked.clusterId);
  checkInteger("nodeId", checked.nodeId, 1, Number.MAX_SAFE_INTEGER);
  checkAddress("listen", checked.listen, 0);
  checkInteger("messageBytesMax", checked.messageBytesMax, KIB, GIB);
  checkInteger("frameBytesMax", checked.frameBytesMax, KIB, 64 * MIB);
  checkInteger("queueBytesMax", checked.queueBytesMax, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("queueMessagesMax", checked.queueMessagesMax, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("windowBytes", checked.windowBytes, KIB, Number.MAX_SAFE_INTEGER);
  checkInteger("snapshotChunkBytes", checked.snapshotChunkBytes, KIB, MIB);
  checkInteger(
    "snapshotBytesPerSecondMax",
    checked.snapshotBytesPerSecondMax,
    64 * KIB,
    Number.MAX_SAFE_INTEGER,
  );
  checkInteger("snapshotStallMs", checked.snapshotStallMs, 1, TIMER_MS_MAX);
  checkInteger("connectionsMax", checked.connectionsMax, 2, TIMER_MS_MAX);
  checkInteger("backoffMs", checked.backoffMs, 1, TIMER_MS_MAX);
  checkInteger("backoffMsMax", checked.backoffMsMax, checked.backoffMs, TIMER_MS_MAX);
  checkInteger("connectTimeoutMs", checked.connectTimeoutMs, 1, TIMER_MS_MAX);
  checkInteger("keepaliveMs", checked.keepaliveMs, 1000, TIMER_MS_MAX);
  checkInteger("keepaliveTimeoutMs", checked.keepaliveTimeoutMs, 1, TIMER_MS_MAX);
  checkInteger("drainMs", checked.drainMs, 0, TIMER_MS_MAX);
  checkSecurity(options);
  return { ...checked, tls: options.tls && checkTls(options.tls, checked) };
}

/**
 * Checks that `address` is `host:port`, the port at least `portMin`.
 *
 * @throws ConfigError
 */
export function checkAddress(name: string, address: string, portMin: number): void {
  const match = /^(.+):(\d{1,5})$/.exec(String(address));
  const port = Number(match?.[2]);
  if (match === null || port < portMin || port > 65_535) {
    throw new ConfigError(
      `${name} must be host:port with a port from ${portMin} to 65535: ` +
        `current value is ${String(address)}`,
    );
  }
}

/**
 * Checks a node's id.
 *
 * @throws ConfigError
 */
export function checkNodeId(name: string, value: number): void {
  checkInteger(name, value, 1, Number.MAX_SAFE_INTEGER);
}

function checkSecurity({ tls, insecure }: GrpcTransportOptions): void {
  if (tls === undefined && insecure !== true) {
    throw new ConfigError("tls must be given, or insecure must be true: neither is");
  }
  if (tls !== undefined && insecure === true) {
    throw new ConfigError("insecure must not be true when tls is given: both are");
  }
}

function checkTls(tls: TlsOptions, { clusterId, nodeId }: CheckedOptions): CheckedTls {
  const source = certificateSource(tls.certificates);
  const certificates = source.current();
  if (certificates.ca === undefined) {
    throw new CertificateError(
      "An authority must be given, to check the certificates of other nodes",
    );
  }
  checkCertificates(certificates);
  const peerName = tls.peerName ?? ((peer: number) => nodeCertificateName(clusterId, peer));
  const own = certificateNames(certificates.certificate);
  if (!certificateHasName(certificates.certificate, peerName(nodeId))) {
    throw new CertificateError(
      `The certificate of node ${nodeId} must carry the name ${peerName(nodeId)}: it has ${own}`,
    );
  }
  return { source, peerName };
}

function checkName(clusterId: string): void {
  const bytes = typeof clusterId === "string" ? new TextEncoder().encode(clusterId).length : 0;
  if (bytes < 1 || bytes > 128) {
    throw new ConfigError(
      `clusterId must be text of 1 to 128 bytes: current value is ${String(clusterId)}`,
    );
  }
}

function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new ConfigError(
      `${name} must be an integer from ${min} to ${max}: current value is ${String(value)}`,
    );
  }
}
