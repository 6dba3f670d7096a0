/**
 * Wires one node together: its storage and its key-value store in one folder, its peers over gRPC,
 * and the etcd API for its clients.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Counters, EtcdServer } from "../etcd/mod.ts";
import { KV_FILE, type KvResult, KvStore } from "../kv/mod.ts";
import { type CompactionOptions, Node, type Observer } from "../node/mod.ts";
import { type Logger, type RaftError, SILENT_LOGGER } from "../raft/mod.ts";
import { SqliteNodeStorage, type WriterOption } from "../storage/sqlite/mod.ts";
import { CertificateFiles } from "../tls/mod.ts";
import { GrpcTransport } from "../transport/grpc/mod.ts";
import { formatAddress, type MemberAddress } from "./addresses.ts";
import { CommandFailedError } from "./errors.ts";
import { checkFirstStart, REGION_ID } from "./first_start.ts";
import { checkFounders } from "./founders.ts";
import { Expulsion, membershipOf, membersOf } from "./membership.ts";
import type { ServerTls, TlsFiles } from "./server_tls.ts";
import { logDamage } from "./storage_store.ts";

/** The longest request of a client that is replicated, as in etcd: 1.5 MiB. */
const REQUEST_BYTES_MAX = 1.5 * 1024 * 1024;

/** What a request may grow by on its way to becoming a command. */
const COMMAND_OVERHEAD_BYTES = 4096;

/** What a node is served with. */
export interface ServerOptions {
  readonly nodeId: number;
  /** From 1 to 128 bytes of UTF-8. */
  readonly clusterId: string;
  /** The folder of its data: `raft.db`, `lock.db`, `kv.db`, and `snapshots` while one arrives. */
  readonly data: string;
  /** The members that are known beforehand, this one included, in ascending order. */
  readonly members: readonly MemberAddress[];
  /** Without data, wait to be added to a cluster that runs, instead of founding one. */
  readonly join: boolean;
  /** Where to listen for peers, `host:port`. */
  readonly peerListen: string;
  /** Where to listen for clients, `host:port`. */
  readonly clientListen: string;
  /** How to speak with peers and clients. */
  readonly tls: ServerTls;
  /** Whether peers may speak plaintext beyond this machine. */
  readonly insecurePeer: boolean;
  /** Where SQLite writes the log. */
  readonly storageWriter: WriterOption;
  /** When the log is compacted, and what is kept. Default: as `Node` does. */
  readonly compaction?: CompactionOptions;
  /** The length of a tick in milliseconds. */
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Default: nowhere. */
  readonly logger?: Logger;
}

/** A node that runs. */
export interface RunningServer {
  /** Resolves when the node has stopped: with the error that stopped it, or undefined. */
  readonly stopped: Promise<RaftError | undefined>;
  /** Stops taking requests, then closes everything. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Opens the node and serves.
 *
 * @throws RaftError of the room that refuses: the data is in use, damaged or another's; an address is
 *   taken; an option does not fit.
 */
export async function serve(options: ServerOptions): Promise<RunningServer> {
  const logger = options.logger ?? SILENT_LOGGER;
  const certificates = openCertificates(options.tls, logger);
  const expulsion = new Expulsion(options);
  let node: Node | undefined;
  try {
    const opened = await openNode(options, certificates.peer, expulsion.observer, logger);
    node = opened.node;
    requireAddresses(node);
    const etcd = await openApi(options, certificates.client, opened);
    logger.info(
      `serving clients on ${options.clientListen} (${describe(certificates.client)}), ` +
        `peers on ${options.peerListen} (${describe(certificates.peer)})`,
    );
    return {
      stopped: Promise.race([opened.node.stopped, opened.store.failed, expulsion.happened]),
      stop: async () => {
        await etcd.close();
        await opened.node.stop();
        certificates.close();
      },
    };
  } catch (error) {
    await node?.stop();
    certificates.close();
    throw error;
  }
}

/** The certificates of a node, read again when their files change. */
interface OpenCertificates {
  readonly peer: CertificateFiles | undefined;
  readonly client: CertificateFiles | undefined;
  close(): void;
}

function openCertificates(tls: ServerTls, logger: Logger): OpenCertificates {
  const open = (files: TlsFiles | undefined) => files && new CertificateFiles({ ...files, logger });
  const peer = open(tls.peer);
  try {
    const client = open(tls.client);
    const close = (): void => {
      peer?.close();
      client?.close();
    };
    return { peer, client, close };
  } catch (error) {
    peer?.close();
    throw error;
  }
}

function describe(certificates: CertificateFiles | undefined): string {
  return certificates === undefined ? "plaintext" : "TLS";
}

/** A node that is open, with the parts it is made of. */
interface OpenParts {
  readonly node: Node;
  readonly store: KvStore;
  readonly storage: SqliteNodeStorage;
  readonly transport: GrpcTransport;
}

async function openNode(
  options: ServerOptions,
  certificates: CertificateFiles | undefined,
  observer: Observer,
  logger: Logger,
): Promise<OpenParts> {
  const { nodeId, clusterId, data } = options;
  const transport = new GrpcTransport({
    clusterId,
    nodeId,
    listen: options.peerListen,
    ...(certificates === undefined ? { insecure: true } : { tls: { certificates } }),
    logger,
  });
  const { storage, store } = await openData(options, transport, logger);
  const members = options.members.map(({ nodeId, peer, client }) => ({
    peerId: nodeId,
    address: formatAddress(peer),
    clientAddress: client && formatAddress(client),
  }));
  const node = await Node.open({
    nodeId,
    clusterId,
    storage,
    directory: data,
    transport,
    regions: [{ stateMachine: store, members, join: options.join }],
    tickMs: options.tickMs,
    electionTick: options.electionTicks,
    heartbeatTick: options.heartbeatTicks,
    compaction: options.compaction,
    limits: { commandBytesMax: REQUEST_BYTES_MAX + COMMAND_OVERHEAD_BYTES },
    observer,
    logger,
  });
  return { node, store, storage, transport };
}

/** Opens the log and the store; a node that has none asks the others first whether it may have. */
async function openData(
  options: ServerOptions,
  transport: GrpcTransport,
  logger: Logger,
): Promise<{ storage: SqliteNodeStorage; store: KvStore }> {
  const { nodeId, clusterId, data } = options;
  const isNew = !existsSync(join(data, "raft.db"));
  let storage: SqliteNodeStorage | undefined;
  try {
    if (isNew) await checkFirstStart(options, transport, logger);
    storage = await SqliteNodeStorage.open({
      directory: data,
      identity: { clusterId, nodeId },
      writer: options.storageWriter,
      logger,
    });
    const region = storage.region(REGION_ID);
    if (region !== undefined) checkFounders(options, region);
    else if (!isNew) await checkFirstStart(options, transport, logger);
    return { storage, store: openStore(data, logger) };
  } catch (error) {
    await storage?.close();
    await transport.close();
    throw error;
  }
}

/**
 * Refuses to go on where neither the data nor the options say where any other member is. One that is
 * known is enough: the log may bring the others, and whoever is known can be asked.
 */
function requireAddresses(node: Node): void {
  const others = node.members().filter(({ peerId }) => peerId !== node.status().peerId);
  if (others.length === 0 || others.some(({ address }) => address !== undefined)) return;
  throw new CommandFailedError(
    `neither the data nor --members says where peer ${others[0].peerId} listens: give --members`,
  );
}

/** Opens the store; what its write-ahead log has lost is told, as the node applies it anew. */
function openStore(data: string, logger: Logger): KvStore {
  const damage = logDamage(join(data, KV_FILE));
  if (damage !== undefined) {
    logger.warn(`store: ${damage}); what follows is dropped, and applied anew from the node's log`);
  }
  return KvStore.open({ directory: data });
}

/** What the parts of a node have counted: each by the part, and what it counts. */
function countersOf({ node, storage, transport }: OpenParts): Counters {
  const { counters, nodeCounters } = node.status();
  const parts = {
    node: nodeCounters,
    peer: counters,
    storage: storage.counters(),
    transport: transport.counters(),
  };
  return Object.fromEntries(
    Object.entries(parts).flatMap(([part, counts]) =>
      Object.entries(counts).map(([name, count]) => [`${part}.${name}`, count])
    ),
  );
}

async function openApi(
  options: ServerOptions,
  certificates: CertificateFiles | undefined,
  parts: OpenParts,
): Promise<EtcdServer> {
  const { node, store } = parts;
  const { clientCertificates } = options.tls;
  const etcd = new EtcdServer({
    // The store is the node's only state machine, so its results are those of the store.
    node: {
      propose: (command, call) => node.propose<KvResult>(command, call),
      read: (call) => node.read(call),
      transferLeader: (nodeId, call) => node.transferLeader(nodeId, call),
      status: () => node.status(),
      openSessionId: (call) => node.openSessionId(call),
      closeSessionId: (id, call) => node.closeSessionId(id, call),
    },
    store,
    counters: () => countersOf(parts),
    clusterId: options.clusterId,
    members: () => membersOf(node, options),
    membership: membershipOf(node, options),
    listen: options.clientListen,
    tls: certificates === undefined
      ? "insecure"
      : { certificates, clientCertificates: clientCertificates ? "required" : "none" },
    requestBytesMax: REQUEST_BYTES_MAX,
    logger: options.logger,
  });
  await etcd.start();
  return etcd;
}
