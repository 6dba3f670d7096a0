/**
 * `flaredb storage`: looks into the data folder of a stopped node without altering anything.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { readUntouched } from "../storage/sqlite/mod.ts";
import type { Command, Invocation } from "./command.ts";
import { CommandFailedError, messageOf, UsageError } from "./errors.ts";
import { runDump } from "./storage_dump.ts";
import { runVerify } from "./storage_verify.ts";
import type { Terminal } from "./terminal.ts";

/** The key-value store's file beside the log, and how far it has applied it. */
const STORE_FILE = "kv.db";
const APPLIED_SQL = "SELECT last_applied FROM meta WHERE id = 1";

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
    "database's pages, and that kv.db has applied no more than is in the log, but not the rows of " +
    "kv.db, which carry no checksums; exit code 1 when anything is wrong. " +
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
  const appliedIndex = (regionId: number): number | undefined =>
    regionId === STORE_REGION ? appliedIndexOf(directory, scratchDirectory) : undefined;
  const data = { directory, scratchDirectory, appliedIndex };
  if (action === "dump") return runDump(data, invocation, terminal);
  if (action !== "verify") {
    throw new UsageError(`the action must be verify or dump: it is "${action}"`);
  }
  const wrong = DUMP_OPTIONS.find((name) => invocation.has(name));
  if (wrong !== undefined) throw new UsageError(`--${wrong} is for dump only`);
  return runVerify(data, invocation, terminal);
}

/** What the key-value store in `directory` has applied, when there is one. */
function appliedIndexOf(directory: string, scratch: string | undefined): number | undefined {
  const path = join(directory, STORE_FILE);
  if (!existsSync(path)) return undefined;
  try {
    return readUntouched(path, (store) => store.prepare(APPLIED_SQL).first()?.[0], scratch) as
      | number
      | undefined;
  } catch (error) {
    throw new CommandFailedError(`Cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}
