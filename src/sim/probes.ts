/**
 * Reads that nobody's history needs: asked at telling moments by steered faults, and at the end of a
 * run on every member. None may be served below what was committed when it was asked for.
 *
 * @module
 */

import { type PeerEffects, ReadRequest } from "../node/mod.ts";
import { inspectRead } from "./inspection.ts";
import type { Replica } from "./replica.ts";

/** A linearizable read of a member. */
export class ProbeRead extends ReadRequest {
  /** What was committed when it was asked for. */
  readonly floor: number;
  /** Whether it was served. */
  isServed = false;
  /** Whether it was rejected: it will never be served. */
  isRejected = false;

  /** @param deadline when the member gives it up, by its own clock, in milliseconds. */
  constructor(floor: number, deadline: number) {
    super(deadline);
    this.floor = floor;
  }
}

/** Takes a peer's answers to probes. */
export function answerProbes(replica: Replica, { readable, rejected }: PeerEffects): void {
  for (const { request } of rejected) {
    if (request instanceof ProbeRead) request.isRejected = true;
  }
  for (const { read, index } of readable) {
    if (!(read instanceof ProbeRead)) continue;
    read.isServed = true;
    inspectRead(replica, index, read.floor);
  }
}
