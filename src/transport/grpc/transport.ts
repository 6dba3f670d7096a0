/**
 * The transport over gRPC.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import type {
  OutgoingSnapshot,
  RegionMessage,
  SnapshotTransfer,
  Transport,
  TransportHandler,
} from "../contract.ts";
import type { TransportCounters } from "../counters.ts";
import { AskError, TransportError } from "../errors.ts";
import { limitConnections } from "../../tls/mod.ts";
import {
  type ListenCredentials,
  listenCredentials,
  RAFT_SERVICE,
  serverOptions,
} from "./channel.ts";
import { Context } from "./context.ts";
import { IncomingStreams } from "./incoming.ts";
import { bind } from "./listening.ts";
import { checkAddress, checkNodeId, checkOptions, type GrpcTransportOptions } from "./options.ts";
import { OutgoingLink } from "./outgoing.ts";
import { Answerer, Asker } from "./questions.ts";
import { failedTransfer } from "../failed_transfer.ts";
import { SnapshotReceiver } from "./snapshot_receiving.ts";
import { SnapshotSender } from "./snapshot_sending.ts";

/**
 * Exchanges messages over gRPC, as `proto/raft_service.proto` describes: one long-lived stream from
 * each node to each node it sends to. What is sent in two turns of the event loop leaves as one frame;
 * while the network is slower than that, messages collect into larger ones.
 *
 * While a node cannot be reached, messages for it are dropped and it is tried again after a delay
 * that doubles up to `backoffMsMax`, or as soon as it connects to this node itself.
 */
export class GrpcTransport implements Transport {
  private readonly context: Context;
  private readonly incoming: IncomingStreams;
  private readonly links = new Map<number, { address: string; link: OutgoingLink }>();
  private readonly snapshots: SnapshotReceiver;
  private readonly answerer: Answerer;
  private readonly asker: Asker;
  private readonly senders = new Set<SnapshotSender>();
  private server: grpc.Server | undefined;
  private credentials: ListenCredentials | undefined;
  private boundAddress: string | undefined;
  private closing: Promise<void> | undefined;

  /**
   * Creates a transport that does nothing yet.
   *
   * @throws ConfigError naming the option that is wrong. CertificateError when the certificates cannot
   *   be used.
   */
  constructor(options: GrpcTransportOptions) {
    this.context = new Context(checkOptions(options));
    this.incoming = new IncomingStreams(
      this.context,
      (nodeId) => this.links.get(nodeId)?.link.wake(),
    );
    this.snapshots = new SnapshotReceiver(this.context);
    this.answerer = new Answerer(this.context);
    this.asker = new Asker(this.context);
  }

  /**
   * Starts listening.
   *
   * @throws TransportError `LISTEN_FAILED` (by rejection), or `TRANSPORT_STATE`.
   */
  async start(handler: TransportHandler): Promise<void> {
    if (this.server !== undefined || this.closing !== undefined) {
      throw new TransportError("TRANSPORT_STATE", "A transport must be started once");
    }
    const { options } = this.context;
    const server = new grpc.Server({
      ...serverOptions(options),
      interceptors: [(_method, call) => observeStatus(call, this.incoming)],
    });
    server.addService(RAFT_SERVICE, {
      Deliver: (call: Parameters<IncomingStreams["serve"]>[0]) => this.incoming.serve(call),
      SendSnapshot: (call: Parameters<SnapshotReceiver["serve"]>[0]) => this.snapshots.serve(call),
      Ask: (...call: Parameters<Answerer["serve"]>) => this.answerer.serve(...call),
    });
    this.server = server;
    this.context.handler = handler;
    this.credentials = listenCredentials(options.tls);
    const port = await bind(server, options.listen, this.credentials.credentials);
    limitConnections(server, options.connectionsMax);
    this.boundAddress = options.listen.replace(/:\d+$/, `:${port}`);
  }

  /**
   * Where it listens, `host:port` with the port in use.
   *
   * @throws TransportError `TRANSPORT_STATE` before it was started.
   */
  address(): string {
    if (this.boundAddress === undefined) {
      throw new TransportError("TRANSPORT_STATE", "A transport has no address before it listens");
    }
    return this.boundAddress;
  }

  /**
   * Makes a node known, or changes its address. Connects when there is something to send.
   *
   * @throws ConfigError when the id is no integer from 1, or the address is not `host:port`.
   */
  addNode(nodeId: number, address: string): void {
    checkNodeId("nodeId", nodeId);
    checkAddress("address", address, 1);
    const known = this.links.get(nodeId);
    if (this.closing !== undefined || known?.address === address) return;
    known?.link.close();
    this.links.set(nodeId, { address, link: new OutgoingLink(this.context, nodeId, address) });
  }

  /** Forgets a node: closes its connection and drops what waits for it. */
  removeNode(nodeId: number): void {
    this.links.get(nodeId)?.link.close();
    this.links.delete(nodeId);
  }

  /** Queues messages for a node, to leave after the next turn of the event loop. */
  send(nodeId: number, batch: readonly RegionMessage[]): void {
    if (batch.length === 0) return;
    const known = this.links.get(nodeId);
    if (known !== undefined) {
      known.link.send(batch);
      return;
    }
    this.context.counters.droppedUnknownNode += batch.length;
    this.context.reportSnapshots(nodeId, batch, false);
    if (this.closing !== undefined) return;
    this.context.log.warn(
      `unknown:${nodeId}`,
      `Messages for node ${nodeId} are dropped as its address is not known`,
    );
  }

  /** Streams a snapshot to a node, over a connection of its own. */
  sendSnapshot(nodeId: number, snapshot: OutgoingSnapshot): SnapshotTransfer {
    const known = this.links.get(nodeId);
    if (known === undefined) {
      this.context.counters.snapshotsFailed++;
      return failedTransfer(snapshot, `the address of node ${nodeId} is not known`);
    }
    const sender = new SnapshotSender(this.context, nodeId, known.address, snapshot);
    this.senders.add(sender);
    void sender.released.then(() => this.senders.delete(sender));
    return sender;
  }

  /** Asks a node something, over a connection of its own. @throws AskError by rejection */
  ask(nodeId: number, question: Uint8Array, deadlineMs: number): Promise<Uint8Array> {
    const address = this.links.get(nodeId)?.address;
    if (address !== undefined) {
      return this.asker.ask(nodeId, address, question, deadlineMs);
    }
    return Promise.reject(new AskError(nodeId, "its address is not known", false));
  }

  /** What it has done so far: a copy. */
  counters(): TransportCounters {
    return { ...this.context.counters };
  }

  /** Sends what waits, for at most `drainMs`, then closes everything. The handler is not called afterwards. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  /** Closes the links first, so that what they hold can leave, then the server. */
  private async shutDown(): Promise<void> {
    const links = [...this.links.values()];
    this.links.clear();
    for (const sender of this.senders) sender.close();
    this.snapshots.close();
    this.asker.close();
    await Promise.all(links.map(({ link }) => link.drain(this.context.options.drainMs)));
    this.server?.forceShutdown();
    this.credentials?.close();
    this.context.handler = undefined;
  }
}

/** What gRPC ends a call with when it cannot accept what came; the service uses none of these. */
const REFUSED_BY_GRPC: ReadonlySet<grpc.status> = new Set([
  grpc.status.RESOURCE_EXHAUSTED,
  grpc.status.INTERNAL,
  grpc.status.UNIMPLEMENTED,
]);

/**
 * Tells of calls that gRPC ends by itself because of what came: a frame beyond the limit, for one.
 * gRPC gives the service no reason for that, but sends the status through the call, where it is seen.
 */
function observeStatus(
  call: grpc.ServerInterceptingCallInterface,
  incoming: IncomingStreams,
): grpc.ServerInterceptingCall {
  const sendStatus = call.sendStatus.bind(call);
  let ended = false;
  call.sendStatus = (status) => {
    if (!ended && REFUSED_BY_GRPC.has(status.code)) {
      incoming.refusedByGrpc(call.getPeer(), { code: status.code, details: status.details ?? "" });
    }
    ended = true;
    sendStatus(status);
  };
  return new grpc.ServerInterceptingCall(call);
}
