/**
 * A network in memory, for tests: every transport made by one `MemoryNetwork` reaches the others.
 * Messages pass the wire codec, so that what arrives is what gRPC would have delivered. Faults are
 * decided by a function; time is counted in rounds. Driven by hand it is deterministic: the same
 * calls deliver the same messages in the same order.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { ConfigError } from "../raft/mod.ts";
import { decodeFrame, encodeFrame, WireError } from "../wire/mod.ts";
import type {
  IncomingSnapshot,
  OutgoingSnapshot,
  RegionMessage,
  SnapshotSink,
  SnapshotTransfer,
  Transport,
  TransportHandler,
} from "./contract.ts";
import { createCounters, type TransportCounters } from "./counters.ts";
import { AskError, TransportError } from "./errors.ts";
import { failedTransfer } from "./failed_transfer.ts";
import { checkBody, withinDeadline } from "./memory_questions.ts";
import { MemorySnapshotTransfer } from "./memory_snapshot.ts";

/** A message on its way. */
export interface Envelope {
  /** The node that sent it. */
  readonly fromNodeId: number;
  /** The node it is for. */
  readonly toNodeId: number;
  /** The message and its region. */
  readonly item: RegionMessage;
}

/** The options of a `MemoryNetwork`. */
export interface MemoryNetworkOptions {
  /**
   * `auto`: a round runs by itself in a later turn of the event loop. `manual`: only `deliver` runs
   * one. Default `auto`.
   */
  readonly mode?: "auto" | "manual";
  /**
   * What becomes of a message: the delays, in rounds from the next, of the copies that arrive.
   * `[0]` delivers it in the next round, `[]` loses it, `[0, 3]` repeats it three rounds later.
   * Default: `[0]` for all.
   */
  readonly fate?: (envelope: Envelope) => readonly number[];
  /** Most messages on their way from one node to another; the newest beyond it are dropped. Default 16,384. */
  readonly queueMessagesMax?: number;
}

/** A transport of a `MemoryNetwork`. */
export interface MemoryTransport extends Transport {
  /** The node it belongs to. */
  readonly nodeId: number;
}

/** A report to a node, or a message that arrives at one. */
interface Event {
  readonly round: number;
  readonly report: (() => void) | undefined;
  readonly delivery: Delivery | undefined;
}

interface Delivery {
  readonly from: MemoryNode;
  readonly neighbour: Neighbour;
  readonly toNodeId: number;
  readonly bytes: Uint8Array;
}

const QUEUE_MESSAGES_MAX = 16_384;

/** Connects the transports of many nodes in one process. */
export class MemoryNetwork {
  private readonly mode: "auto" | "manual";
  private readonly queueMessagesMax: number;
  private readonly nodes = new Map<number, MemoryNode>();
  private readonly cuts = new Set<string>();
  private fateOf: (envelope: Envelope) => readonly number[];
  private events: Event[] = [];
  private round = 0;
  private scheduled = false;

  /**
   * Creates a network without nodes.
   *
   * @throws ConfigError when the queue limit is no integer from 1.
   */
  constructor(options: MemoryNetworkOptions = {}) {
    this.mode = options.mode ?? "auto";
    this.fateOf = options.fate ?? deliverAtOnce;
    this.queueMessagesMax = options.queueMessagesMax ?? QUEUE_MESSAGES_MAX;
    if (!Number.isSafeInteger(this.queueMessagesMax) || this.queueMessagesMax < 1) {
      throw new ConfigError(
        `queueMessagesMax must be an integer from 1: current value is ${this.queueMessagesMax}`,
      );
    }
  }

  /** Creates the transport of a node. A node that has closed its transport may get a new one. */
  transport(nodeId: number): MemoryTransport {
    return new MemoryNode(nodeId, this, this.queueMessagesMax);
  }

  /** Replaces the function that decides what becomes of messages. */
  setFate(fate: (envelope: Envelope) => readonly number[]): void {
    this.fateOf = fate;
  }

  /** Loses all messages from one node to another from now on, without telling anyone. */
  cut(fromNodeId: number, toNodeId: number): void {
    this.cuts.add(pair(fromNodeId, toNodeId));
  }

  /** Splits the nodes into groups that lose all messages to each other, in both directions. */
  partition(...groups: readonly (readonly number[])[]): void {
    for (const group of groups) {
      for (const other of groups) {
        if (other === group) continue;
        for (const from of group) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** Undoes every cut and partition. Messages lost before stay lost. */
  heal(): void {
    this.cuts.clear();
  }

  /** How many deliveries and reports are under way. */
  get pending(): number {
    return this.events.length;
  }

  /**
   * Runs one round: everything due in it, in the order in which it was sent. What is sent during the
   * round belongs to later ones. Yields how many deliveries and reports it made.
   */
  deliver(): number {
    this.round++;
    const due = this.events.filter((event) => event.round <= this.round);
    this.events = this.events.filter((event) => event.round > this.round);
    for (let i = 0; i < due.length; i++) {
      const { report, delivery } = due[i]!;
      report?.();
      if (delivery === undefined) continue;
      const together = [delivery];
      while (isSamePath(due[i + 1]?.delivery, delivery)) together.push(due[++i]!.delivery!);
      this.arrive(together);
    }
    this.schedule();
    return due.length;
  }

  /**
   * Runs rounds until nothing is under way, at most `roundsMax`.
   *
   * @returns whether it became quiet.
   */
  deliverAll(roundsMax = 10_000): boolean {
    for (let i = 0; i < roundsMax && this.events.length > 0; i++) this.deliver();
    return this.events.length === 0;
  }

  /** @internal Makes a node reachable. */
  attach(node: MemoryNode): void {
    if (this.nodes.has(node.nodeId)) {
      throw new TransportError("LISTEN_FAILED", `Node ${node.nodeId} is on the network already`);
    }
    this.nodes.set(node.nodeId, node);
  }

  /** @internal Makes a node unreachable. */
  detach(node: MemoryNode): void {
    if (this.nodes.get(node.nodeId) === node) this.nodes.delete(node.nodeId);
  }

  /** @internal The node, when it is on the network. */
  find(nodeId: number): MemoryNode | undefined {
    return this.nodes.get(nodeId);
  }

  /** @internal What becomes of a message, cuts included. */
  fate(envelope: Envelope): readonly number[] {
    return this.cuts.has(pair(envelope.fromNodeId, envelope.toNodeId)) ? [] : this.fateOf(envelope);
  }

  /** @internal Whether one node's messages to another get lost. */
  isCut(fromNodeId: number, toNodeId: number): boolean {
    return this.cuts.has(pair(fromNodeId, toNodeId));
  }

  /** @internal Makes a report in the next round. */
  report(report: () => void): void {
    this.events.push({ round: this.round + 1, report, delivery: undefined });
    this.schedule();
  }

  /** @internal Delivers after `delay` more rounds than the next. */
  carry(delay: number, delivery: Delivery): void {
    this.events.push({ round: this.round + 1 + delay, report: undefined, delivery });
    this.schedule();
  }

  /** Hands over what arrives together on one path. */
  private arrive(together: readonly Delivery[]): void {
    const { from, toNodeId } = together[0]!;
    for (const { neighbour } of together) neighbour.inFlight--;
    this.nodes.get(toNodeId)?.arrive(from.nodeId, together.map(({ bytes }) => bytes));
  }

  /** Sees to it that another round comes, unless rounds are run by hand. */
  private schedule(): void {
    if (this.mode === "manual" || this.scheduled || this.events.length === 0) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.deliver();
    });
  }
}

/** What one node knows of another. */
interface Neighbour {
  /** Messages on their way to it. */
  inFlight: number;
  /** Whether its trouble has been reported already. */
  reported: boolean;
}

class MemoryNode implements MemoryTransport {
  readonly nodeId: number;
  private readonly network: MemoryNetwork;
  private readonly queueMessagesMax: number;
  private readonly counts: TransportCounters = createCounters();
  private readonly neighbours = new Map<number, Neighbour>();
  private handler: TransportHandler | undefined;
  private closed = false;

  constructor(nodeId: number, network: MemoryNetwork, queueMessagesMax: number) {
    this.nodeId = nodeId;
    this.network = network;
    this.queueMessagesMax = queueMessagesMax;
  }

  // deno-lint-ignore require-await -- a failure rejects, as it does for every other transport
  async start(handler: TransportHandler): Promise<void> {
    if (this.closed || this.handler !== undefined) {
      throw new TransportError("TRANSPORT_STATE", "A transport must be started once");
    }
    this.network.attach(this);
    this.handler = handler;
  }

  addNode(nodeId: number, _address: string): void {
    this.neighbours.set(nodeId, { inFlight: 0, reported: false });
  }

  removeNode(nodeId: number): void {
    this.neighbours.delete(nodeId);
  }

  send(nodeId: number, batch: readonly RegionMessage[]): void {
    const neighbour = this.neighbours.get(nodeId);
    for (const item of batch) {
      if (this.closed || neighbour === undefined) this.drop(nodeId, item, "droppedUnknownNode");
      else this.sendOne(nodeId, neighbour, item);
    }
  }

  sendSnapshot(nodeId: number, snapshot: OutgoingSnapshot): SnapshotTransfer {
    const trouble = (): string | undefined => this.trouble(nodeId);
    let item: RegionMessage;
    try {
      item = decodeFrame(encodeFrame([snapshot])).messages[0]!;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counts.snapshotsFailed++;
      return failedTransfer(snapshot, error.message);
    }
    const transfer = new MemorySnapshotTransfer({
      later: (step) => this.network.report(step),
      trouble,
      offer: () => this.network.find(nodeId)!.offered(this.nodeId, item),
      carried: (bytes) => {
        this.counts.snapshotBytesSent += bytes;
        const receiver = this.network.find(nodeId);
        if (receiver !== undefined) receiver.counts.snapshotBytesReceived += bytes;
      },
    }, snapshot);
    void transfer.done.then(({ ok }) => {
      this.counts[ok ? "snapshotsSent" : "snapshotsFailed"]++;
      const receiver = this.network.find(nodeId);
      if (ok && receiver !== undefined) receiver.counts.snapshotsReceived++;
    });
    return transfer;
  }

  /** Takes the offer of a snapshot: where it goes, or why it is refused. */
  offered(fromNodeId: number, snapshot: IncomingSnapshot): SnapshotSink | string {
    const answer = this.offerToHandler(fromNodeId, snapshot);
    if (typeof answer === "string") this.counts.snapshotsRefused++;
    return answer;
  }

  private offerToHandler(fromNodeId: number, snapshot: IncomingSnapshot): SnapshotSink | string {
    try {
      return this.handler?.receiveSnapshot?.(fromNodeId, snapshot) ?? "it takes no snapshots";
    } catch {
      this.counts.handlerErrors++;
      return "its handler failed";
    }
  }

  /** A cut loses the question, and one in the other direction the answer. */
  async ask(nodeId: number, question: Uint8Array, deadlineMs: number): Promise<Uint8Array> {
    checkBody("question", nodeId, question);
    await new Promise<void>((resolve) => this.network.report(resolve));
    const trouble = this.trouble(nodeId);
    if (trouble !== undefined) throw new AskError(nodeId, trouble, false);
    const answering = this.network.find(nodeId)!.asked(this.nodeId, question.slice());
    const body = await withinDeadline(nodeId, answering, deadlineMs);
    await new Promise<void>((resolve) => this.network.report(resolve));
    if (this.closed || this.network.isCut(nodeId, this.nodeId)) {
      throw new AskError(nodeId, "its answer was lost", true);
    }
    return body.slice();
  }

  /** Takes a question. */
  private async asked(fromNodeId: number, question: Uint8Array): Promise<Uint8Array> {
    const { handler, nodeId } = this;
    if (handler?.answer === undefined) throw new AskError(nodeId, "it answers nothing", false);
    try {
      const body = await handler.answer(fromNodeId, question);
      checkBody("answer", nodeId, body);
      return body;
    } catch (cause) {
      this.counts.handlerErrors++;
      throw new AskError(nodeId, cause instanceof Error ? cause.message : `${cause}`, true, {
        cause,
      });
    }
  }

  private trouble(nodeId: number): string | undefined {
    if (this.closed) return "the node stops";
    if (!this.neighbours.has(nodeId)) return `the address of node ${nodeId} is not known`;
    if (this.network.find(nodeId) === undefined) return `node ${nodeId} is not on the network`;
    if (this.network.isCut(this.nodeId, nodeId)) return `the path to node ${nodeId} is cut`;
    return undefined;
  }

  counters(): TransportCounters {
    return { ...this.counts };
  }

  // deno-lint-ignore require-await
  async close(): Promise<void> {
    this.closed = true;
    this.network.detach(this);
    this.neighbours.clear();
  }

  private sendOne(nodeId: number, neighbour: Neighbour, item: RegionMessage): void {
    let bytes: Uint8Array;
    try {
      bytes = encodeFrame([item]);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.drop(nodeId, item, "droppedUnencodable");
      return;
    }
    if (this.network.find(nodeId) === undefined) {
      this.drop(nodeId, item, "droppedUnreachable");
      this.reportUnreachable(nodeId, neighbour);
      return;
    }
    if (neighbour.inFlight >= this.queueMessagesMax) {
      this.drop(nodeId, item, "droppedQueueFull");
      this.reportUnreachable(nodeId, neighbour);
      return;
    }
    if (neighbour.inFlight * 2 <= this.queueMessagesMax) neighbour.reported = false;
    this.counts.framesSent++;
    this.counts.messagesSent++;
    this.counts.bytesSent += bytes.length;
    this.reportSnapshot(nodeId, item, true);
    for (const delay of this.network.fate({ fromNodeId: this.nodeId, toNodeId: nodeId, item })) {
      neighbour.inFlight++;
      this.network.carry(delay, { from: this, neighbour, toNodeId: nodeId, bytes });
    }
  }

  /** Takes frames that arrived together; each is copied, as it may arrive more than once. */
  arrive(fromNodeId: number, frames: readonly Uint8Array[]): void {
    const messages: RegionMessage[] = [];
    for (const frame of frames) {
      messages.push(...decodeFrame(frame.slice()).messages);
      this.counts.framesReceived++;
      this.counts.bytesReceived += frame.length;
    }
    this.counts.messagesReceived += messages.length;
    this.tell((handler) => handler.receive(fromNodeId, messages));
  }

  private drop(nodeId: number, item: RegionMessage, counter: keyof TransportCounters): void {
    this.counts[counter]++;
    this.reportSnapshot(nodeId, item, false);
  }

  private reportUnreachable(nodeId: number, neighbour: Neighbour): void {
    if (neighbour.reported) return;
    neighbour.reported = true;
    this.network.report(() => {
      this.counts.unreachableReports++;
      this.tell((handler) => handler.unreachable(nodeId));
    });
  }

  private reportSnapshot(nodeId: number, { regionId, message }: RegionMessage, ok: boolean): void {
    if (message.type !== "snapshot") return;
    this.network.report(() => {
      this.tell((handler) => handler.snapshotSent(nodeId, regionId, message.to, ok));
    });
  }

  private tell(what: (handler: TransportHandler) => void): void {
    if (this.handler === undefined || this.closed) return;
    try {
      what(this.handler);
    } catch {
      this.counts.handlerErrors++;
    }
  }
}

function isSamePath(delivery: Delivery | undefined, other: Delivery): boolean {
  return delivery !== undefined && delivery.from === other.from &&
    delivery.toNodeId === other.toNodeId;
}

function deliverAtOnce(): readonly number[] {
  return AT_ONCE;
}

const AT_ONCE: readonly number[] = Object.freeze([0]);

function pair(fromNodeId: number, toNodeId: number): string {
  return `${fromNodeId}>${toNodeId}`;
}
