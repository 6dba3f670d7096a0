/**
 * The snapshots that this node streams to others: a few at a time, each opened when its turn comes,
 * so that it holds what is applied then and not what was when it was asked for.
 *
 * @module
 */

import { createMessage, type Logger, type Message, type PeerId } from "../../raft/mod.ts";
import type { SnapshotMetadata } from "../../raft/mod.ts";
import type { SnapshotChunks, SnapshotTransfer, Transport } from "../../transport/contract.ts";
import type { DepartingSnapshotStatus } from "../status.ts";

/** What departures ask of a region. */
export interface DepartureRegion {
  readonly regionId: number;
  /** Whether it leads in this term. */
  leadsIn(term: number): boolean;
  /** Whether the peer is in its configuration. */
  hasPeer(peerId: PeerId): boolean;
  /** Whether the peer was heard from lately. */
  hears(peerId: PeerId): boolean;
  /**
   * A snapshot as of now, and what it stands for; undefined while none can be made.
   *
   * @throws whatever the state machine throws.
   */
  openSnapshot():
    | { readonly metadata: SnapshotMetadata; readonly chunks: SnapshotChunks }
    | undefined;
  /** Tells the peer how it ended. */
  sent(peerId: PeerId, ok: boolean): void;
}

/** One snapshot for one peer. */
interface Departure {
  readonly region: DepartureRegion;
  readonly message: Message;
  readonly nodeId: number;
  /** Once it is under way. */
  transfer: SnapshotTransfer | undefined;
  index: number;
  loggedTicks: number;
}

/** How a transfer ended, told later. */
interface LateReport {
  readonly region: DepartureRegion;
  readonly peerId: PeerId;
  readonly ok: boolean;
  ticks: number;
  /** For how many ticks the peer has been silent. */
  silentTicks: number;
}

/** After how many ticks the progress of a transfer is logged again. */
const LOG_TICKS = 50;

/** Most ticks before a failed snapshot is tried again. */
const RETRY_TICKS_MAX = 64;

/**
 * Bytes that a peer installs in a tick, if it is very slow. It says itself when it is done. Told before
 * that all has arrived, the core would probe it with entries at each of its heartbeats, which it can only
 * keep until then: megabytes, again and again.
 */
const INSTALLED_BYTES_PER_TICK = 128 * 1024;

/** Most ticks that it may take: a peer that was started anew meanwhile does not say that it is done. */
const INSTALL_TICKS_MAX = 600;

/** A peer that is silent for so many ticks has perhaps stopped, and will not say that it is done. */
const SILENT_TICKS = 5;

/** The snapshots on their way from a node. */
export class SnapshotDepartures {
  readonly #transport: Transport;
  readonly #nodeOf: (regionId: number, peerId: PeerId) => number;
  readonly #sendsMax: number;
  readonly #logger: Logger;
  readonly #departures = new Map<string, Departure>();
  readonly #failures = new Map<string, number>();
  #reports: LateReport[] = [];
  #stopped = false;

  constructor(
    transport: Transport,
    nodeOf: (regionId: number, peerId: PeerId) => number,
    sendsMax: number,
    logger: Logger,
  ) {
    this.#transport = transport;
    this.#nodeOf = nodeOf;
    this.#sendsMax = sendsMax;
    this.#logger = logger;
  }

  /** A peer needs a snapshot. One on its way to it in the same term is enough. */
  request(region: DepartureRegion, message: Message): void {
    const key = keyOf(region, message.to);
    const known = this.#departures.get(key);
    if (known?.message.term === message.term) return;
    known?.transfer?.abort("the leader's term has changed");
    // It is about an earlier one.
    this.#reports = this.#reports.filter((late) =>
      !late.ok || keyOf(late.region, late.peerId) !== key
    );
    const nodeId = this.#nodeOf(region.regionId, message.to);
    this.#departures.set(key, {
      region,
      message,
      nodeId,
      transfer: undefined,
      index: message.snapshot!.metadata.index,
      loggedTicks: 0,
    });
    this.start();
  }

  /** Starts what waits, as far as the limit allows. */
  start(): void {
    if (this.#departures.size === 0 || this.#stopped) return;
    let underWay = 0;
    for (const { transfer } of this.#departures.values()) if (transfer !== undefined) underWay++;
    for (const departure of this.#departures.values()) {
      if (underWay >= this.#sendsMax) return;
      if (departure.transfer === undefined && this.#open(departure)) underWay++;
    }
  }

  /** A tick has passed: what is no longer wanted ends, how others ended is told, progress is logged. */
  tick(): void {
    for (const departure of this.#departures.values()) this.#look(departure);
    this.#reports = this.#reports.filter((report) => !this.#tellWhenDue(report));
    this.start();
  }

  /** The lowest index that a snapshot on its way from a region stands for; the log behind it is needed. */
  lowestIndex(regionId: number): number {
    let lowest = Infinity;
    for (const { region, index } of this.#departures.values()) {
      if (region.regionId === regionId) lowest = Math.min(lowest, index);
    }
    return lowest;
  }

  /** What is on its way from a region. */
  status(regionId: number): DepartingSnapshotStatus[] {
    return [...this.#departures.values()]
      .filter(({ region }) => region.regionId === regionId)
      .map(({ message, nodeId, index, transfer }) => ({
        peerId: message.to,
        nodeId,
        index,
        waiting: transfer === undefined,
        storedBytes: transfer?.progress().storedBytes ?? 0,
        resumptions: transfer?.progress().resumptions ?? 0,
      }));
  }

  /** Gives all of them up. */
  stop(): void {
    this.#stopped = true;
    for (const { transfer } of this.#departures.values()) transfer?.abort("the node stops");
    this.#departures.clear();
    this.#reports = [];
  }

  #open(departure: Departure): boolean {
    const { region, message, nodeId } = departure;
    if (nodeId === 0) {
      this.#ended(departure, `the node of peer ${message.to} is not known`);
      return false;
    }
    let opened: ReturnType<DepartureRegion["openSnapshot"]>;
    try {
      opened = region.openSnapshot();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#ended(departure, `the state machine could not make it: ${text}`);
      return false;
    }
    if (opened === undefined) return false;
    const { metadata, chunks } = opened;
    departure.index = metadata.index;
    const snapshot = { metadata, data: message.snapshot!.data };
    departure.transfer = this.#transport.sendSnapshot(nodeId, {
      regionId: region.regionId,
      message: createMessage({ ...message, snapshot }),
      chunks,
    });
    this.#logger.info(`${nameOf(departure)} begins`);
    void departure.transfer.done.then((outcome) => {
      if (outcome.ok) this.#arrived(departure, outcome.bytes);
      else this.#ended(departure, outcome.reason);
    });
    return true;
  }

  #arrived(departure: Departure, bytes: number): void {
    this.#logger.info(`${nameOf(departure)} has arrived, ${bytes} bytes`);
    if (!this.#forget(departure)) return;
    const { region, message: { to: peerId } } = departure;
    this.#failures.delete(keyOf(region, peerId));
    const ticks = Math.min(Math.floor(bytes / INSTALLED_BYTES_PER_TICK), INSTALL_TICKS_MAX);
    if (ticks === 0) region.sent(peerId, true);
    else this.#reports.push({ region, peerId, ok: true, ticks, silentTicks: 0 });
    this.start();
  }

  #ended(departure: Departure, reason: string): void {
    this.#logger.warn(`${nameOf(departure)} has failed: ${reason}`);
    if (!this.#forget(departure)) return;
    const { region, message } = departure;
    const key = keyOf(region, message.to);
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const ticks = Math.min(2 ** failures, RETRY_TICKS_MAX);
    this.#reports.push({ region, peerId: message.to, ok: false, ticks, silentTicks: 0 });
  }

  /** Whether the peer's region was told. */
  #tellWhenDue(report: LateReport): boolean {
    const { region, peerId, ok } = report;
    report.silentTicks = region.hears(peerId) ? 0 : report.silentTicks + 1;
    const isSilent = ok && report.silentTicks >= SILENT_TICKS;
    if (--report.ticks > 0 && !isSilent) return false;
    region.sent(peerId, ok);
    return true;
  }

  #forget(departure: Departure): boolean {
    const key = keyOf(departure.region, departure.message.to);
    return this.#departures.get(key) === departure && this.#departures.delete(key) &&
      !this.#stopped;
  }

  #look(departure: Departure): void {
    const { region, message, transfer } = departure;
    const unwanted = !region.leadsIn(message.term)
      ? "leadership was lost"
      : !region.hasPeer(message.to)
      ? "the peer was removed"
      : undefined;
    if (unwanted !== undefined) {
      if (transfer !== undefined) transfer.abort(unwanted);
      else this.#forget(departure);
      return;
    }
    if (transfer === undefined || ++departure.loggedTicks % LOG_TICKS !== 0) return;
    this.#logger.info(`${nameOf(departure)}: ${transfer.progress().storedBytes} bytes are there`);
  }
}

function keyOf(region: DepartureRegion, peerId: PeerId): string {
  return `${region.regionId}/${peerId}`;
}

function nameOf({ region, message, nodeId, index }: Departure): string {
  return `region ${region.regionId}: the snapshot of index ${index} for peer ${message.to} on node ` +
    `${nodeId}`;
}
