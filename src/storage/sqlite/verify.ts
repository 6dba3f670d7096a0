/**
 * The whole check of a stored node, for people and scripts: everything that opening checks, the
 * structure of the database's pages, and what state machines have applied. It reports all it finds
 * instead of the first, and alters nothing.
 *
 * @module
 */

import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type ConfState, type HardState, type PeerId, RaftError } from "../../raft/mod.ts";
import type { NodeIdentity } from "../contract.ts";
import { StorageError } from "../errors.ts";
import { CORRUPT_ADVICE, type Database, toStorageError } from "./database.ts";
import { checkWal, DATABASE_FILE, readIdentity, readVersion } from "./files.ts";
import { checkRegions, type LoadedRegion } from "./load.ts";
import { whileClosed } from "./lock.ts";
import { readUntouched } from "./untouched.ts";
import type { WalScan } from "./wal.ts";

/** Most problems that a report lists; more are counted. */
const PROBLEMS_MAX = 100;

/** Most problems that SQLite looks for in the structure of its pages. */
const PAGE_PROBLEMS_MAX = 20;

/** What to verify. */
export interface VerifyOptions {
  /** The directory of the storage. */
  readonly directory: string;
  /**
   * What the state machine of a region has applied, as far as that is known. Called while the storage
   * is kept closed; what it throws is a problem.
   */
  readonly appliedIndex?: (regionId: number) => number | undefined;
  /**
   * Whether a received snapshot of this index and term lies beside the storage, from which the state
   * machine of the region is restored when the node starts: an installation that a crash interrupted
   * (`checkSpooledSnapshot` of `@flaredb/raft/node` says so). Asked where the state machine is behind
   * the log; what it throws is a problem.
   */
  readonly snapshotArrived?: (regionId: number, index: number, term: number) => boolean;
  /**
   * Checks what lies beside the storage, such as the files of state machines; each call of `report`
   * adds a problem. Called while the storage is kept closed, with the regions of the log, or undefined
   * when they could not be read; what it throws is a problem too.
   */
  readonly checkBeside?: (
    report: (problem: string) => void,
    regions: readonly RegionReport[] | undefined,
  ) => void;
  /** Where a copy may be made of a database with a write-ahead log. Default: that of temporary files. */
  readonly scratchDirectory?: string;
}

/** The log and state of one region. */
export interface RegionReport {
  /** The region. */
  readonly regionId: number;
  /** The replica. */
  readonly peerId: PeerId;
  /** What it must not forget. */
  readonly hardState: HardState;
  /** Its configuration. */
  readonly confState: ConfState;
  /** The index of the entry that made it. */
  readonly confStateIndex: number;
  /** The first index of the log; one past `lastIndex` when it is empty. */
  readonly firstIndex: number;
  /** The last index of the log. */
  readonly lastIndex: number;
  /** The term of that entry. */
  readonly lastTerm: number;
  /** The index of the stored snapshot, if there is one. */
  readonly snapshotIndex: number | undefined;
  /** What the state machine has applied, when that is known; 0 when it has no state yet. */
  readonly appliedIndex: number | undefined;
}

/** What a verification found. */
export interface StorageReport {
  /** The folder that was checked. */
  readonly directory: string;
  /** Whether everything holds: there are no problems. */
  readonly sound: boolean;
  /** Whether a node has the storage open; nothing else was looked at then. */
  readonly locked: boolean;
  /** What does not hold, as sentences; at most 100. */
  readonly problems: readonly string[];
  /** How many more there are. */
  readonly problemsOmitted: number;
  /** Who the data belongs to, when that could be read. */
  readonly identity: NodeIdentity | undefined;
  /** The version of the format, when that could be read. */
  readonly formatVersion: number | undefined;
  /** The size of the database file. */
  readonly databaseBytes: number;
  /** Of these, how many hold nothing. */
  readonly freeBytes: number | undefined;
  /** The size of the write-ahead log. */
  readonly walBytes: number;
  /** The write-ahead log, where it is sound. */
  readonly wal: WalScan | undefined;
  /** The regions that could be read, in ascending order. */
  readonly regions: readonly RegionReport[];
}

/** A report while it is being made. */
type Draft = { -readonly [Key in keyof StorageReport]: StorageReport[Key] } & {
  problems: string[];
};

/**
 * Verifies the storage in a directory. The node must be stopped: while one runs, the report says so
 * and nothing else; a node that is started meanwhile is refused.
 *
 * Found are: damage to any row, table, or page that is in use; gaps; terms that decrease; indices that
 * contradict each other; damage to the write-ahead log before its last transaction.
 *
 * @throws StorageError when there is no storage in the directory, or it cannot be read at all.
 */
export function verifyStorage(options: VerifyOptions): StorageReport {
  const directory = resolve(options.directory);
  const path = join(directory, DATABASE_FILE);
  checkPresence(directory, path);
  try {
    return whileClosed(directory, () => verifyClosed(directory, path, options));
  } catch (error) {
    if (!(error instanceof StorageError && error.code === "STORAGE_LOCKED")) throw error;
    return { ...emptyDraft(directory, path), locked: true, problems: [error.message] };
  }
}

/** Verifies a storage that the caller keeps closed. */
export function verifyClosed(
  directory: string,
  path: string,
  options: VerifyOptions,
): StorageReport {
  const draft = emptyDraft(directory, path);
  const report = (problem: string): void => {
    if (draft.problems.length < PROBLEMS_MAX) draft.problems.push(problem);
    else draft.problemsOmitted++;
  };
  draft.wal = attempt(report, path, () => checkWal(path));
  let regions: RegionReport[] | undefined;
  // Without an intact log SQLite would show a state that is not the last one.
  if (draft.wal !== undefined) {
    const read = (database: Database) => inspect(database, path, options, draft, report);
    regions = attempt(report, path, () => readUntouched(path, read, options.scratchDirectory));
  }
  draft.regions = regions ?? [];
  attempt(report, path, () => options.checkBeside?.(report, regions));
  draft.sound = draft.problems.length === 0;
  return draft;
}

/** @throws StorageError unless `path` is the database of a storage in `directory`. */
export function checkPresence(directory: string, path: string): void {
  if (existsSync(path) || existsSync(`${path}-wal`)) return;
  throw new StorageError(
    "STORAGE_FORMAT",
    `There is no storage in ${directory}: it has no ${DATABASE_FILE}`,
  );
}

function emptyDraft(directory: string, path: string): Draft {
  const size = (file: string): number => existsSync(file) ? statSync(file).size : 0;
  return {
    directory,
    sound: false,
    locked: false,
    problems: [],
    problemsOmitted: 0,
    identity: undefined,
    formatVersion: undefined,
    databaseBytes: size(path),
    freeBytes: undefined,
    walBytes: size(`${path}-wal`),
    wal: undefined,
    regions: [],
  };
}

/** Runs a step of the check; what it throws is a problem. */
function attempt<T>(report: (problem: string) => void, path: string, step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    const failure = error instanceof RaftError ? error : toStorageError(error, `read ${path}`);
    // What can be done is the same for all of a report's problems.
    report(failure.message.replace(`; ${CORRUPT_ADVICE}`, ""));
    return undefined;
  }
}

/** Checks the database; the regions, when they could be read. */
function inspect(
  database: Database,
  path: string,
  options: VerifyOptions,
  draft: Draft,
  report: (problem: string) => void,
): RegionReport[] | undefined {
  const version = attempt(report, path, () => readVersion(database, path));
  draft.formatVersion = version;
  if (version === undefined) return undefined;
  if (version === 0) {
    report(`${path} has no tables: it was never opened to the end`);
    return undefined;
  }
  attempt(report, path, () => checkPages(database, path, draft, report));
  draft.identity = attempt(report, path, () => readIdentity(database, version, path));
  const regions = attempt(
    report,
    path,
    () => checkRegions(database, 0, (found) => report(`In ${path}, ${found}`)),
  );
  return regions
    ?.map((region) => {
      const ask = <T>(what: () => T): T | undefined => attempt(report, path, what);
      const applied = ask(() => options.appliedIndex?.(region.regionId));
      const { truncatedIndex: index, truncatedTerm: term } = region.state;
      const arrived = (): boolean =>
        ask(() => options.snapshotArrived?.(region.regionId, index, term)) === true;
      return regionReport(region, applied, arrived, report);
    })
    .sort((a, b) => a.regionId - b.regionId);
}

function checkPages(
  database: Database,
  path: string,
  draft: Draft,
  report: (problem: string) => void,
): void {
  const first = (sql: string): number => database.prepare(sql).first()?.[0] as number;
  draft.freeBytes = first("PRAGMA freelist_count") * first("PRAGMA page_size");
  for (const [found] of database.prepare(`PRAGMA integrity_check(${PAGE_PROBLEMS_MAX})`).all()) {
    if (found !== "ok") report(`In ${path}, SQLite finds: ${String(found).replaceAll("\n", " ")}`);
  }
}

function regionReport(
  { regionId, peerId, state }: LoadedRegion,
  appliedIndex: number | undefined,
  snapshotArrived: () => boolean,
  report: (problem: string) => void,
): RegionReport {
  const { hardState, confState, confStateIndex, truncatedIndex, lastIndex, lastTerm } = state;
  if (appliedIndex !== undefined && appliedIndex > lastIndex) {
    report(
      `The state machine of region ${regionId} has applied index ${appliedIndex}, but its log ` +
        `ends at ${lastIndex}`,
    );
  }
  // A new replica starts at index 1, before its state machine has applied anything.
  const behind = appliedIndex !== undefined && appliedIndex < truncatedIndex && truncatedIndex > 1;
  if (behind && !snapshotArrived()) {
    report(
      `The state machine of region ${regionId} has applied index ${appliedIndex}, but its log ` +
        `begins at ${truncatedIndex + 1}: the entries between are gone`,
    );
  }
  return {
    regionId,
    peerId,
    hardState,
    confState,
    confStateIndex,
    firstIndex: truncatedIndex + 1,
    lastIndex,
    lastTerm,
    snapshotIndex: state.snapshot?.index,
    appliedIndex,
  };
}
