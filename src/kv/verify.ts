/**
 * The check of a stored key-value store, for people and scripts: everything that opening checks, and
 * the structure of the database's pages. It reports all it finds instead of the first.
 *
 * @module
 */

import { checkTables, type ReportDamage } from "./check.ts";
import { Database, isDamage, reasonOf } from "./database.ts";
import { KvCorruptError } from "./errors.ts";
import { SCHEMA_VERSION, schemaVersion } from "./schema.ts";

/** Most problems that SQLite looks for in the structure of its pages. */
const PAGE_PROBLEMS_MAX = 20;

/** What a stored key-value store holds. */
export interface StoreReport {
  /** The version of its layout; 0 when it has no tables yet. Versions before 2 have no checksums. */
  readonly layout: number;
  /** The last index that it has applied, when that could be read; 0 when it has no tables yet. */
  readonly appliedIndex: number | undefined;
  /** Its revision, when that could be read. */
  readonly revision: number | undefined;
  /** The keys that exist, or existed and left a tombstone. */
  readonly keys: number;
  /** The versions of all keys, tombstones included. */
  readonly versions: number;
}

/**
 * Verifies the database of a store, which nobody writes, and alters nothing in it.
 *
 * @param location its path, or a URL of SQLite's.
 * @param report is told each problem, as a clause.
 * @throws KvStorageError when it cannot be read, or is of a newer version
 */
export function verifyStore(location: string | URL, report: ReportDamage): StoreReport {
  const nothing = { layout: 0, appliedIndex: undefined, revision: undefined, keys: 0, versions: 0 };
  let database: Database | undefined;
  try {
    const [cacheBytes, synchronous] = [1024 * 1024, "normal"] as const;
    database = new Database(location, { cacheBytes, synchronous, readOnly: true });
    const layout = schemaVersion(database);
    for (const problem of pageProblems(database)) report(`SQLite finds: ${problem}`);
    if (layout === 0) return { ...nothing, appliedIndex: 0 };
    if (layout < SCHEMA_VERSION) return { ...nothing, layout, appliedIndex: oldApplied(database) };
    const { meta, keys, versions } = checkTables(database, report);
    return { layout, appliedIndex: meta?.lastApplied, revision: meta?.revision, keys, versions };
  } catch (error) {
    if (error instanceof KvCorruptError) report(error.found);
    else if (isDamage(error)) report(reasonOf(error));
    else throw error;
    return nothing;
  } finally {
    database?.close();
  }
}

/** What a store of an older layout has applied, which no checksum covers. */
function oldApplied(database: Database): number | undefined {
  const applied = database.prepare("SELECT last_applied FROM meta").get()?.last_applied;
  return typeof applied === "number" ? applied : undefined;
}

function pageProblems(database: Database): string[] {
  const rows = database.prepareRows(`PRAGMA integrity_check(${PAGE_PROBLEMS_MAX})`).all();
  return rows.map(([found]) => String(found).replaceAll("\n", " ")).filter((found) =>
    found !== "ok"
  );
}
