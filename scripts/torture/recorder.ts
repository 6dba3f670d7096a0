/**
 * The history of the clients: every operation with its call and its answer on one clock, in
 * microseconds, no two moments alike.
 *
 * @module
 */

import { checkLinearizability } from "../../src/sim/mod.ts";
import { KEY_MODEL, type KeyInput, type KeyOperation } from "./model.ts";
import type { Answer } from "./operation.ts";
import { checkRevisions, hasChanged, type SeenRevisions, type SeenVersion } from "./revisions.ts";
import { type ReadVersion, resolveUnknownOutcomes } from "./unknown_outcomes.ts";

/** Most steps of a search; a history of a minute takes far fewer. */
const STEPS_MAX = 20_000_000;

/** A call under way. */
export interface OpenCall {
  readonly client: number;
  readonly call: number;
  readonly input: KeyInput;
}

/** What a check found. */
export interface Verdict {
  /** What is wrong; undefined when nothing is. */
  readonly problem: string | undefined;
  /** Steps of the search. */
  readonly steps: number;
  readonly milliseconds: number;
}

/** Records a history. */
export class Recorder {
  readonly #operations: KeyOperation[] = [];
  readonly #answers: SeenRevisions[] = [];
  #lastMoment = 0;
  #unknown = 0;

  /** All operations that may have had an effect, or an answer. */
  get operations(): readonly KeyOperation[] {
    return this.#operations;
  }

  /** Writes of unknown outcome. */
  get unknown(): number {
    return this.#unknown;
  }

  /** A client asks. */
  call(client: number, input: KeyInput): OpenCall {
    return { client, call: this.#moment(), input };
  }

  /** It was answered. Returns the version that is in force after it, as far as it is known. */
  answered(open: OpenCall, { output, revision, before }: Answer): SeenVersion | undefined {
    const operation = { ...open, return: this.#moment(), output };
    const seen: SeenRevisions = { operation, revision, before, after: undefined };
    const action = output.succeeded ? open.input.then : open.input.else;
    const after = action.type !== "put" ? undefined : {
      value: action.value,
      version: (before?.version ?? 0) + 1,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
    };
    this.#operations.push(operation);
    this.#answers.push({ ...seen, after });
    return hasChanged(seen) ? after : before;
  }

  /** Nobody knows whether it took effect. */
  lost(open: OpenCall): void {
    this.#unknown++;
    this.#operations.push({ ...open, return: undefined, output: undefined });
  }

  /** Checks all of it. @param read reads the store that was written to. */
  async check(read: ReadVersion): Promise<Verdict> {
    const start = performance.now();
    const { problem, steps } = await this.#search(read);
    return {
      problem: problem ?? checkRevisions(this.#answers),
      steps,
      milliseconds: performance.now() - start,
    };
  }

  async #search(read: ReadVersion): Promise<{ problem: string | undefined; steps: number }> {
    let history: KeyOperation[];
    try {
      history = await resolveUnknownOutcomes(this.#operations, this.#answers, read);
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error), steps: 0 };
    }
    const { verdict, partition, steps } = checkLinearizability(history, KEY_MODEL, STEPS_MAX);
    if (verdict === "linearizable") return { problem: undefined, steps };
    const found = verdict === "unknown" ? "too long to check" : verdict;
    return { problem: `the history of key ${partition} is ${found}`, steps };
  }

  #moment(): number {
    this.#lastMoment = Math.max(this.#lastMoment + 1, Math.round(performance.now() * 1000));
    return this.#lastMoment;
  }
}
