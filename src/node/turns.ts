/**
 * The turns of a node: everything that arrives in one event of the event loop is collected, then handed
 * to the regions at once, and their effects are carried out in an order that is safe and fast: what they
 * send and write first, over all regions, as applying may take its time.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { RaftError } from "../raft/mod.ts";
import type { Answers } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { InternalError } from "./errors.ts";
import type { PeerEffects } from "./events.ts";
import type { Region } from "./region.ts";
import type { Router } from "./routing.ts";
import type { NodeCounters } from "./status.ts";
import type { Transfers } from "./transfers.ts";

/** How often a region is handled again in one turn when its work completed at once. */
const ROUNDS_PER_TURN_MAX = 4;

/** What `Turns` are made of. */
export interface TurnsParts {
  readonly regions: ReadonlyMap<number, Region>;
  readonly router: Router;
  readonly answers: Answers;
  readonly transfers: Transfers;
  readonly clock: Clock;
  readonly counters: NodeCounters;
  /** A region ended by itself, or a turn threw. */
  readonly fail: (error: RaftError) => void;
}

/** The turns of a node. */
export class Turns {
  readonly #parts: TurnsParts;
  #scheduled = false;
  #stopped = false;

  constructor(parts: TurnsParts) {
    this.#parts = parts;
  }

  /** Lets a turn come once everything that has arrived with the current event is collected. */
  wake(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      try {
        this.#turn();
      } catch (cause) {
        this.#parts.fail(new InternalError(`an unexpected error in a turn: ${cause}`, { cause }));
      }
    });
  }

  /** No further turn comes, and the one under way does nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Handles what has arrived, and what completes at once because of it. */
  #turn(): void {
    const { counters, clock, transfers } = this.#parts;
    counters.turns++;
    const now = clock.now();
    for (let round = 0; round < ROUNDS_PER_TURN_MAX && !this.#stopped; round++) {
      if (!this.#handleRegions(now)) break;
    }
    transfers.expire(now);
  }

  #handleRegions(now: number): boolean {
    const { regions, router, answers } = this.#parts;
    const handled: { region: Region; effects: PeerEffects }[] = [];
    for (const region of regions.values()) {
      if (!region.hasEvents) continue;
      const effects = region.handle(now);
      handled.push({ region, effects });
      for (const message of effects.messages) router.post(region.regionId, message);
    }
    const failure = handled.find(({ effects }) => effects.failure !== undefined)?.effects.failure;
    if (failure === undefined) {
      router.flush();
      for (const { region, effects } of handled) {
        effects.appends.forEach((work) => region.append(work));
      }
    }
    for (const { region, effects } of handled) answers.answer(region, effects);
    if (failure !== undefined) {
      this.#parts.fail(failure);
      return false;
    }
    for (const { region, effects } of handled) {
      if (effects.apply !== undefined && !this.#stopped) region.apply(effects.apply);
    }
    return handled.length > 0;
  }
}
