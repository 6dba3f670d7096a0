/**
 * `flaredb storage`: looks into the data folder of a stopped node without altering anything.
 *
 * @module
 */

import { checkSpooledSnapshot, INITIAL_INDEX } from "../node/mod.ts";
import type { VerifyOptions } from "../storage/sqlite/mod.ts";
import type { Command, Invocation } from "./command.ts";
import { messageOf, UsageError } from "./errors.ts";
import { runDump } from "./storage_dump.ts";
import { findStore, type FoundStore } from "./storage_store.ts";
import { runVerify } from "./storage_verify.ts";
import type { Terminal } from "./terminal.ts";

/** The region that the key-value store belongs to. */
const STORE_REGION = 1;

/** Options that belong to `dump` alone. */
const DUMP_OPTIONS = ["region", "from", "to", "limit"];

/** The `storage` command. */
export const storageCommand: Command = {
  name: "storage",
  summary: "Verify or dump the data of a stopped node",
  positionals: "verify|dump DIR",
  positionalCount: [2, 2],
  description:
    "verify checks a node's log, raft.db: every checksum, gaps and terms, the write-ahead log, the " +
    "database's pages; the key-value store, kv.db, in the same way; and that the two belong together: " +
    "the store has applied no more than is in the log, and lacks nothing that the log has no more, " +
    "unless a snapshot has arrived for it, intact; exit code 1 when anything is wrong. " +
    "dump writes the state of each region and its entries; data that verify would object to with a " +
    "warning that says why, and exit code 1. Both need the node stopped, and alter " +
    "nothing: data with a write-ahead log, as a crash leaves it, is copied first.",
  options: {
    "log-only": { help: "leave kv.db out: data of a program with a state machine of its own" },
    json: { help: "write JSON: one object (verify), or one line a record (dump)" },
    region: { value: "ID", help: "dump only this region" },
    from: { value: "INDEX", help: "dump entries from this index on" },
    to: { value: "INDEX", help: "dump entries up to this index" },
    limit: { value: "COUNT", help: "dump at most so many entries of each region" },
    scratch: { value: "DIR", help: "where the copy goes; default: the system's temporary files" },
  },
  examples: [
    "flaredb storage verify data/node-1",
    "flaredb storage dump data/node-1 --region 1 --from 100 --limit 10 --json",
  ],
  run: runStorage,
};

// deno-lint-ignore require-await -- rejects instead of throwing, as commands do.
async function runStorage(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [action, directory] = invocation.positionals;
  const scratchDirectory = invocation.text("scratch");
  const store = new LazyStore(directory, scratchDirectory);
  const data = {
    directory,
    scratchDirectory,
    ...(invocation.has("log-only") ? {} : besideLog(directory, store)),
  };
  if (action === "dump") return runDump(data, invocation, terminal);
  if (action !== "verify") {
    throw new UsageError(`the action must be verify or dump: it is "${action}"`);
  }
  const wrong = DUMP_OPTIONS.find((name) => invocation.has(name));
  if (wrong !== undefined) throw new UsageError(`--${wrong} is for dump only`);
  return runVerify(data, () => store.found, invocation, terminal);
}

/** What is verified beside the log: the store, and the snapshot that it is perhaps to be restored from. */
function besideLog(directory: string, store: LazyStore): Partial<VerifyOptions> {
  return {
    appliedIndex: (regionId) => regionId === STORE_REGION ? store.appliedIndex() : undefined,
    snapshotArrived: (regionId, index, term) =>
      checkSpooledSnapshot(directory, regionId, index, term),
    checkBeside: (report, regions) => {
      const applied = store.appliedIndex() ?? 0;
      for (const problem of store.problems) report(problem);
      const hasLog = regions?.some(({ regionId }) => regionId === STORE_REGION) ?? true;
      if (hasLog || applied <= INITIAL_INDEX) return;
      report(
        `The state machine of region ${STORE_REGION} has applied index ${applied}, but has no log`,
      );
    },
  };
}

/** The key-value store in a directory, looked at once, when it is first asked for. */
class LazyStore {
  found: FoundStore | undefined = undefined;
  readonly problems: string[] = [];
  readonly #directory: string;
  readonly #scratchDirectory: string | undefined;
  #looked = false;

  constructor(directory: string, scratchDirectory: string | undefined) {
    this.#directory = directory;
    this.#scratchDirectory = scratchDirectory;
  }

  /** What the store has applied: nothing when there is none; undefined when it could not be read. */
  appliedIndex(): number | undefined {
    this.#look();
    if (this.found !== undefined) return this.found.appliedIndex;
    return this.problems.length === 0 ? 0 : undefined;
  }

  #look(): void {
    if (this.#looked) return;
    this.#looked = true;
    const report = (problem: string): void => void this.problems.push(problem);
    try {
      this.found = findStore(this.#directory, this.#scratchDirectory, report);
    } catch (error) {
      report(messageOf(error));
    }
  }
}
