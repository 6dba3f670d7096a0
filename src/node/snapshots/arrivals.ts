/**
 * The snapshots that other nodes stream to this one, until their state has arrived whole. One at a
 * time a region: a newer one takes the place of an older one, and whatever is not wanted is refused.
 *
 * @module
 */

import type { Logger, Message } from "../../raft/mod.ts";
import type { IncomingSnapshot, SnapshotSink } from "../../transport/contract.ts";
import { SnapshotSpoolError } from "../errors.ts";
import type { ArrivingSnapshotStatus } from "../status.ts";
import type { SnapshotSpool, SpooledSnapshot, SpoolWriter } from "./spool.ts";

/** What arrivals ask of a region. */
export interface ArrivalRegion {
  readonly regionId: number;
  /** What is committed here. */
  readonly commitIndex: number;
  /** Whether a snapshot is being installed. */
  readonly installing: boolean;
  /** Handles the message of a snapshot that holds nothing new: it is answered. */
  answer(message: Message): void;
  /** Handles the message of a snapshot whose state has arrived. */
  install(message: Message, spooled: SpooledSnapshot): void;
}

/** How many bytes arrive between two looks at whether they are still wanted. */
const LOOK_BYTES = 1024 * 1024;

/** The snapshots on their way to a node. */
export class SnapshotArrivals {
  readonly #spool: SnapshotSpool;
  readonly #logger: Logger;
  readonly #arriving = new Map<number, Arrival>();

  constructor(spool: SnapshotSpool, logger: Logger) {
    this.#spool = spool;
    this.#logger = logger;
  }

  /** Where a snapshot goes, or why it is refused. */
  receive(
    region: ArrivalRegion,
    fromNodeId: number,
    { message }: IncomingSnapshot,
  ): SnapshotSink | string {
    const metadata = message.snapshot?.metadata;
    if (metadata === undefined || metadata.index === 0) return "it stands for nothing";
    if (metadata.index <= region.commitIndex) {
      region.answer(message);
      return `everything up to ${region.commitIndex} is here already`;
    }
    if (region.installing) return "another snapshot is being installed";
    const before = this.#arriving.get(region.regionId);
    if (before !== undefined && !isNewer(message, before.message)) {
      return `another snapshot is on its way from node ${before.fromNodeId}`;
    }
    before?.supersede("a newer one is on its way");
    const arrival = new Arrival(this.#spool, region, fromNodeId, message, (ended) => {
      if (this.#arriving.get(region.regionId) === ended) this.#arriving.delete(region.regionId);
      if (ended.outcome !== undefined) this.#logger.info(`${ended.name}: ${ended.outcome}`);
    });
    this.#arriving.set(region.regionId, arrival);
    this.#logger.info(`${arrival.name} begins to arrive from node ${fromNodeId}`);
    return arrival;
  }

  /** What is on its way to a region. */
  status(regionId: number): ArrivingSnapshotStatus | undefined {
    return this.#arriving.get(regionId)?.status();
  }

  /** Gives all of them up. */
  stop(): void {
    for (const arrival of this.#arriving.values()) arrival.supersede("the node stops");
    this.#arriving.clear();
  }
}

/** Whether it comes from a later leader, or the same one and stands for more. */
function isNewer(message: Message, before: Message): boolean {
  if (message.term !== before.term) return message.term > before.term;
  return message.snapshot!.metadata.index > before.snapshot!.metadata.index;
}

class Arrival implements SnapshotSink {
  readonly fromNodeId: number;
  readonly message: Message;
  /** How it ended. */
  outcome: string | undefined;
  readonly #region: ArrivalRegion;
  readonly #ended: (arrival: Arrival) => void;
  readonly #writer: Promise<SpoolWriter>;
  #superseded: string | undefined;
  #bytes = 0;
  #lookAt = LOOK_BYTES;

  constructor(
    spool: SnapshotSpool,
    region: ArrivalRegion,
    fromNodeId: number,
    message: Message,
    ended: (arrival: Arrival) => void,
  ) {
    this.fromNodeId = fromNodeId;
    this.message = message;
    this.#region = region;
    this.#ended = ended;
    this.#writer = spool.create(region.regionId, message.snapshot!.metadata);
    // Whoever writes is told.
    this.#writer.catch(() => {});
  }

  get name(): string {
    return `region ${this.#region.regionId}: the snapshot of index ${this.#index}`;
  }

  get #index(): number {
    return this.message.snapshot!.metadata.index;
  }

  status(): ArrivingSnapshotStatus {
    return { fromNodeId: this.fromNodeId, index: this.#index, receivedBytes: this.#bytes };
  }

  /** It is not wanted any more: the next piece of it is refused. */
  supersede(reason: string): void {
    this.#superseded ??= reason;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#expectWanted();
    await (await this.#writer).write(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes < this.#lookAt) return;
    this.#lookAt = this.#bytes + LOOK_BYTES;
    if (this.#region.commitIndex >= this.#index) this.supersede("it is not needed any more");
  }

  async finish(): Promise<void> {
    this.#expectWanted();
    const spooled = await (await this.#writer).seal();
    if (this.#superseded !== undefined) {
      await spooled.remove();
      this.#expectWanted();
    }
    this.outcome = `all ${this.#bytes} bytes have arrived`;
    this.#ended(this);
    this.#region.install(this.message, spooled);
  }

  abort(reason: string): void {
    this.outcome ??= `given up after ${this.#bytes} bytes: ${this.#superseded ?? reason}`;
    this.#ended(this);
    this.#writer.then((writer) => writer.discard(), () => {});
  }

  #expectWanted(): void {
    if (this.#superseded !== undefined) throw new SnapshotSpoolError(this.#superseded);
  }
}
