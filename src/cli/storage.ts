/**
 * `flaredb storage`: looks into the data folder of a stopped node without altering anything.
 *
 * @module
 */

import type { Command, Invocation } from "./command.ts";
import { messageOf, UsageError } from "./errors.ts";
import { runDump } from "./storage_dump.ts";
import { findStore, type FoundStore, snapshotArrived } from "./storage_store.ts";
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
    "database's pages; the key-value store, kv.db, in the same way; and that it has applied no more " +
    "than is in the log; exit code 1 when anything is wrong. " +
    "dump writes the state of each region and its entries; data that verify would object to with a " +
    "warning that says why, and exit code 1. Both need the node stopped, and alter " +
    "nothing: data with a write-ahead log, as a crash leaves it, is copied first.",
  options: {
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
    appliedIndex: (regionId: number): number | undefined =>
      regionId === STORE_REGION ? store.find()?.appliedIndex : undefined,
    snapshotArrived: (regionId: number, index: number): boolean =>
      snapshotArrived(directory, regionId, index),
    checkBeside: (report: (problem: string) => void): void => {
      store.find();
      for (const problem of store.problems) report(problem);
    },
  };
  if (action === "dump") return runDump(data, invocation, terminal);
  if (action !== "verify") {
    throw new UsageError(`the action must be verify or dump: it is "${action}"`);
  }
  const wrong = DUMP_OPTIONS.find((name) => invocation.has(name));
  if (wrong !== undefined) throw new UsageError(`--${wrong} is for dump only`);
  return runVerify(data, () => store.found, invocation, terminal);
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

  find(): FoundStore | undefined {
    if (this.#looked) return this.found;
    this.#looked = true;
    const report = (problem: string): void => void this.problems.push(problem);
    try {
      this.found = findStore(this.#directory, this.#scratchDirectory, report);
    } catch (error) {
      report(messageOf(error));
    }
    return this.found;
  }
}
