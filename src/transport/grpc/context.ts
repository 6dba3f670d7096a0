/**
 * What the parts of one gRPC transport share: its options, its counters, its log, and the
 * moment after a turn of the event loop when what was queued leaves and reports reach the handler.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { RegionMessage, TransportHandler } from "../contract.ts";
import { createCounters, type TransportCounters } from "../counters.ts";
import { EpisodeLog } from "../episode_log.ts";
import type { CheckedOptions } from "./options.ts";

/** What has something to hand over after a turn. */
export interface Flushable {
  flush(): void;
}

/** Shared by the transport, its links to other nodes and the streams it accepted. */
export class Context {
  readonly options: CheckedOptions;
  readonly counters: TransportCounters = createCounters();
  readonly log: EpisodeLog;
  /** Set by `start`, and unset by `close`: nothing is reported before and after. */
  handler: TransportHandler | undefined;
  private readonly waiting = new Set<Flushable>();
  private reports: ((handler: TransportHandler) => void)[] = [];
  private scheduled = false;

  constructor(options: CheckedOptions) {
    this.options = options;
    this.log = new EpisodeLog(options.logger, options.nowMs);
  }

  /** Flushes `link` once, after the next turn of the event loop, however often it is asked to. */
  flushLater(link: Flushable): void {
    this.waiting.add(link);
    this.schedule();
  }

  /** Reports, once this call has ended, that a node cannot be reached. */
  reportUnreachable(nodeId: number): void {
    this.counters.unreachableReports++;
    this.report((handler) => handler.unreachable(nodeId));
  }

  /** Reports, once this call has ended, how those of `items` that are snapshots ended. */
  reportSnapshots(nodeId: number, items: readonly RegionMessage[], ok: boolean): void {
    for (const item of items) this.reportSnapshot(nodeId, item, ok);
  }

  /** Reports, once this call has ended, how a snapshot ended; nothing for other messages. */
  reportSnapshot(nodeId: number, { regionId, message }: RegionMessage, ok: boolean): void {
    if (message.type !== "snapshot") return;
    this.report((handler) => handler.snapshotSent(nodeId, regionId, message.to, ok));
  }

  /** Hands messages to the handler now. */
  receive(fromNodeId: number, batch: readonly RegionMessage[]): void {
    this.tell((handler) => handler.receive(fromNodeId, batch));
  }

  private report(call: (handler: TransportHandler) => void): void {
    this.reports.push(call);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    // Not after this turn but after the next one, whose messages then share a frame with these: a frame
    // costs more than its messages. With little to do turns are so short that it makes no difference.
    setImmediate(() => setImmediate(() => this.settle()));
  }

  private settle(): void {
    this.scheduled = false;
    const links = [...this.waiting];
    this.waiting.clear();
    for (const link of links) link.flush();
    const reports = this.reports;
    this.reports = [];
    for (const call of reports) this.tell(call);
  }

  private tell(call: (handler: TransportHandler) => void): void {
    if (this.handler === undefined) return;
    try {
      call(this.handler);
    } catch (error) {
      this.counters.handlerErrors++;
      const text = error instanceof Error ? error.stack ?? error.message : String(error);
      this.log.warn("handler", `The transport's handler failed; its call is skipped: ${text}`);
    }
  }
}
