/**
 * What the cases of the conformance suite are written with: a storage under test, a scenario around
 * it, and expectations that need no test runner.
 *
 * @module
 */

import {
  type ConfState,
  createConfState,
  createEntry,
  type HardState,
  type RaftLogEntry,
  type Snapshot,
} from "../../raft/mod.ts";
import type { NodeIdentity, NodeStorage, RaftStorage, RegionBootstrap } from "../contract.ts";
import { StorageError } from "../errors.ts";

/** Storage that is tested: data of its own, empty at first, that can be opened, closed and opened again. */
export interface StorageUnderTest {
  /** Opens the data as `identity`. Called again only after the storage it returned was closed, or to see it refused. */
  open(identity: NodeIdentity): Promise<NodeStorage>;
  /**
   * Makes the next write of the open storage fail, as a broken disk would. Absent when that cannot
   * be done: {@linkcode ConformanceOptions} says so, and the cases about failures are skipped.
   */
  breakDisk?(): void;
  /** Removes the data; called once, after everything was closed. */
  dispose(): Promise<void>;
}

/** Makes storage with no data in it. */
export type MakeStorage = () => StorageUnderTest | Promise<StorageUnderTest>;

/** What the storage under test can do. */
export interface ConformanceOptions {
  /** Whether it has `breakDisk`. Default true. */
  readonly canBreakDisk?: boolean;
}

/** One promise of the contract. */
export interface ConformanceCase {
  /** The promise, as a sentence. */
  readonly name: string;
  /** Why it cannot be tested on this storage, or false. Tests report it as skipped, not as passed. */
  readonly skip: string | false;
  /** Resolves when it is kept. @throws ConformanceError saying what was expected and found. */
  run(): Promise<void>;
}

/** A case before it is bound to a storage. */
export interface CaseDefinition {
  readonly name: string;
  readonly needsBrokenDisk?: boolean;
  run(scenario: Scenario): Promise<void>;
}

/** A storage does not keep a promise of the contract. */
export class ConformanceError extends Error {
  /** The class. */
  override readonly name = "ConformanceError";
}

/** Who the storages of the suite belong to. */
export const IDENTITY: NodeIdentity = { clusterId: "conformance", nodeId: 1 };

/** A storage under test that is open, with helpers to reopen it. */
export class Scenario {
  readonly #subject: StorageUnderTest;
  #node: NodeStorage;

  private constructor(subject: StorageUnderTest, node: NodeStorage) {
    this.#subject = subject;
    this.#node = node;
  }

  /** Runs a case on new storage. */
  static async run(make: MakeStorage, definition: CaseDefinition): Promise<void> {
    const subject = await make();
    try {
      if (definition.needsBrokenDisk && subject.breakDisk === undefined) {
        throw new ConformanceError(
          "expected that the storage under test has breakDisk: say { canBreakDisk: false } where " +
            "that cannot be done, and this case is skipped",
        );
      }
      const scenario = new Scenario(subject, await subject.open(IDENTITY));
      try {
        await definition.run(scenario);
      } finally {
        await scenario.node.close();
      }
    } finally {
      await subject.dispose();
    }
  }

  /** The open storage. */
  get node(): NodeStorage {
    return this.#node;
  }

  /** Tries to open the data once more. */
  open(identity: NodeIdentity): Promise<NodeStorage> {
    return this.#subject.open(identity);
  }

  /** Makes the next write fail. */
  breakDisk(): void {
    this.#subject.breakDisk?.();
  }

  /** Closes the storage and opens it again. */
  async reopen(): Promise<NodeStorage> {
    await this.#node.close();
    this.#node = await this.#subject.open(IDENTITY);
    return this.#node;
  }

  /** Creates region 1, or the one described. */
  create(bootstrap: Partial<RegionBootstrap> = {}): Promise<RaftStorage> {
    return this.#node.createRegion({ regionId: 1, peerId: 1, ...bootstrap });
  }

  /** Closes and opens the storage, and returns a region of it. */
  async reopenRegion(regionId = 1): Promise<RaftStorage> {
    const region = (await this.reopen()).region(regionId);
    expect(region !== undefined, `region ${regionId} exists after reopening`);
    return region as RaftStorage;
  }

  /** Runs `check` on a region now, and again after the storage was closed and reopened. */
  async nowAndReopened(region: RaftStorage, check: (region: RaftStorage) => void): Promise<void> {
    check(region);
    try {
      check(await this.reopenRegion(region.regionId));
    } catch (error) {
      if (error instanceof Error) error.message += " (after reopening)";
      throw error;
    }
  }
}

/** An entry whose command tells its index and term. */
export function entry(index: number, term: number): RaftLogEntry {
  return createEntry({ index, term, command: new TextEncoder().encode(`${index}/${term}`) });
}

/** Entries of one term, from `low` to `high`, both included. */
export function entriesOf(low: number, high: number, term: number): RaftLogEntry[] {
  const entries: RaftLogEntry[] = [];
  for (let index = low; index <= high; index++) entries.push(entry(index, term));
  return entries;
}

/** A hard state. */
export function hardState(currentTerm: number, votedFor: number, commitIndex: number): HardState {
  return { currentTerm, votedFor, commitIndex };
}

/** A configuration of these voters. */
export function voters(...ids: number[]): ConfState {
  return createConfState({ voters: ids });
}

/** A snapshot with data. */
export function snapshotOf(index: number, term: number, confState: ConfState): Snapshot {
  const data = new TextEncoder().encode(`snapshot ${index}/${term}`);
  return { metadata: { index, term, confState }, data };
}

/** The bounds of a log and the terms of its entries, from `firstIndex() - 1` on: `"2:1 3:1 4:2"`. */
export function logOf(region: RaftStorage): string {
  const terms: string[] = [];
  for (let index = region.firstIndex() - 1; index <= region.lastIndex(); index++) {
    terms.push(`${index}:${region.term(index)}`);
  }
  return terms.join(" ");
}

/** All entries of a log. */
export function allEntries(region: RaftStorage): RaftLogEntry[] {
  const [first, last] = [region.firstIndex(), region.lastIndex()];
  return first > last ? [] : region.entries(first, last + 1, Infinity);
}

/** @throws ConformanceError unless `condition` holds; `what` says what should. */
export function expect(condition: boolean, what: string): void {
  if (!condition) throw new ConformanceError(`expected that ${what}`);
}

/** @throws ConformanceError unless both are deeply equal. */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [textOf(actual), textOf(expected)];
  if (found !== wanted) {
    throw new ConformanceError(`${what}: expected ${wanted}, found ${found}`);
  }
}

/** @throws ConformanceError unless `call` throws an error of this code. */
export function expectThrows(call: () => unknown, code: string, what: string): void {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    return expectEqual((error as { code?: unknown }).code, code, what);
  }
  throw new ConformanceError(`${what}: expected ${code}, found ${textOf(result)}`);
}

/** Returns the error that `promise` rejects with. @throws ConformanceError unless it is a `StorageError` of this code. */
export async function expectRejects(
  promise: Promise<unknown>,
  code: string,
  what: string,
): Promise<StorageError> {
  let result: unknown;
  try {
    result = await promise;
  } catch (error) {
    expectEqual((error as { code?: unknown }).code, code, what);
    expect(error instanceof StorageError, `${what}: the error is a StorageError`);
    return error as StorageError;
  }
  throw new ConformanceError(`${what}: expected ${code}, found ${textOf(result)}`);
}

/** A text that two values share exactly when they are deeply equal. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, part) => {
    if (part instanceof Uint8Array) return `bytes ${Array.from(part).join(",")}`;
    if (part === undefined) return "undefined";
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1));
  });
}
