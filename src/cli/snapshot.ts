/**
 * `flaredb snapshot`: saves the state of a running member in a file, and makes the data of a new
 * cluster from one.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type EtcdClient, openBackup } from "../etcd/mod.ts";
import { KvStore } from "../kv/mod.ts";
import { INITIAL_TERM } from "../node/mod.ts";
import { createConfState } from "../raft/mod.ts";
import { SqliteNodeStorage } from "../storage/sqlite/mod.ts";
import { syncDirectory } from "../storage/durable_files.ts";
import { parseMembers } from "./addresses.ts";
import type { Command, Invocation } from "./command.ts";
import { CALL_OPTIONS, withClient } from "./endpoints.ts";
import { CommandFailedError, EXIT_CODE, messageOf, UsageError } from "./errors.ts";
import { byteSize } from "./format.ts";
import type { Terminal } from "./terminal.ts";

const RESTORE_OPTIONS = ["data", "id", "cluster-id", "members"];

/** The `snapshot` command. */
export const snapshotCommand: Command = {
  name: "snapshot",
  summary: "Save the state of a member, or make a new cluster from a saved one",
  positionals: "save|restore FILE",
  positionalCount: [2, 2],
  description:
    "save streams the state of the first of the endpoints into FILE, which appears only when it is " +
    "whole and durable; `etcdctl snapshot save` makes the same file. restore makes the data of one " +
    "node of a new cluster from FILE: run it for each node with the same FILE and members, then " +
    "start them as usual. Keys keep their revisions; members and the log begin anew.",
  options: {
    ...CALL_OPTIONS,
    data: { value: "DIR", help: "restore: the folder to make; it must not hold data yet" },
    id: { value: "N", help: "restore: the id of the node" },
    "cluster-id": {
      value: "NAME",
      help: "restore: the new cluster; another name than the old one",
    },
    members: { value: "LIST", help: "restore: its members, as for start" },
  },
  examples: [
    "flaredb snapshot save backup.db --endpoints 127.0.0.1:2379",
    "flaredb snapshot restore backup.db --data /var/lib/flaredb --id 1 --cluster-id shop-2 \\",
    "    --members 1=10.0.0.1:2380,2=10.0.0.2:2380,3=10.0.0.3:2380",
  ],
  run: runSnapshot,
};

// deno-lint-ignore require-await -- rejects instead of throwing, as commands do.
async function runSnapshot(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [action, file] = invocation.positionals;
  if (action === "restore") return restore(invocation, resolve(file), terminal);
  if (action !== "save") {
    throw new UsageError(`the action must be save or restore: it is "${action}"`);
  }
  const wrong = RESTORE_OPTIONS.find((name) => invocation.has(name));
  if (wrong !== undefined) throw new UsageError(`--${wrong} is for restore only`);
  return save(invocation, resolve(file), terminal);
}

async function save(invocation: Invocation, file: string, terminal: Terminal): Promise<number> {
  const partial = `${file}.part`;
  try {
    const bytes = await withClient(
      invocation,
      terminal,
      (client) => saveTo(client, partial, SAVE_DEADLINE_MS),
    );
    // Reads it whole: what is damaged must not be found out when it is needed.
    const { index } = await openBackup(partial);
    await rename(partial, file);
    syncName(file);
    terminal.out(`saved ${byteSize(bytes)} in ${file}, as of index ${index}\n`);
    return EXIT_CODE.ok;
  } catch (error) {
    await rm(partial, { force: true });
    if (error instanceof CommandFailedError) throw error;
    throw new CommandFailedError(`cannot save the snapshot: ${messageOf(error)}`, { cause: error });
  }
}

/** Makes the name of a file durable, whose content is. */
function syncName(file: string): void {
  try {
    syncDirectory(dirname(file));
  } catch (cause) {
    throw new CommandFailedError(
      `${file} is whole, but a power cut may lose its name: cannot sync ${dirname(file)}: ` +
        messageOf(cause),
      { cause },
    );
  }
}

/** A large state takes long; a member that hangs must not keep the command forever. */
const SAVE_DEADLINE_MS = 86_400_000;

async function saveTo(client: EtcdClient, path: string, deadlineMs: number): Promise<number> {
  const handle = await open(path, "w");
  try {
    let bytes = 0;
    for await (const chunk of client.snapshot({ deadlineMs })) {
      await handle.writeFile(chunk);
      bytes += chunk.length;
    }
    await handle.sync();
    return bytes;
  } finally {
    await handle.close();
  }
}

async function restore(invocation: Invocation, file: string, terminal: Terminal): Promise<number> {
  const directory = resolve(invocation.requiredText("data"));
  const nodeId = invocation.integer(
    "id",
    Number(invocation.requiredText("id")),
    1,
    Number.MAX_SAFE_INTEGER,
  );
  const clusterId = invocation.requiredText("cluster-id");
  const members = parseMembers(invocation.requiredText("members"));
  if (!members.some((member) => member.nodeId === nodeId)) {
    throw new UsageError(`--id ${nodeId} is none of the ids in --members`);
  }
  if (["raft.db", "kv.db"].some((name) => existsSync(join(directory, name)))) {
    throw new CommandFailedError(`${directory} holds data already: name another folder`);
  }
  const identity = { clusterId, nodeId };
  try {
    const index = await restoreStore(file, directory, clusterId);
    await createLog(directory, identity, members.map((member) => member.nodeId), index);
    terminal.out(
      `restored node ${nodeId} of cluster ${clusterId} in ${directory}: its log begins after index ` +
        `${index}\n`,
    );
    return EXIT_CODE.ok;
  } catch (error) {
    for (
      const name of ["kv.db", "kv.db-wal", "kv.db-shm", "raft.db", "raft.db-wal", "raft.db-shm"]
    ) {
      await rm(join(directory, name), { force: true });
    }
    if (error instanceof CommandFailedError) throw error;
    throw new CommandFailedError(`cannot restore: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The store as it was, without what the old cluster's nodes kept in it. It stands one index further
 * than the backup, at which nothing else happened: a node that was not restored, and so begins at
 * index 1, is behind and gets the state from its leader.
 */
async function restoreStore(file: string, directory: string, clusterId: string): Promise<number> {
  const backup = await openBackup(file);
  if (backup.clusterId === clusterId) {
    throw new CommandFailedError(
      `the new cluster must not have the name of the old one, "${clusterId}": nodes of the two ` +
        "could take each other for their own",
    );
  }
  await mkdir(directory, { recursive: true });
  const store = KvStore.open({ directory });
  try {
    await store.restore(backup.state(), backup.index);
    const lastApplied = backup.index + 1;
    const nodeState = [...store.nodeState().keys()].map((key) => [key, undefined] as const);
    store.apply({ commands: [], lastApplied, nodeState });
    store.flush();
    return lastApplied;
  } finally {
    store.close();
  }
}

async function createLog(
  directory: string,
  identity: { clusterId: string; nodeId: number },
  voters: readonly number[],
  index: number,
): Promise<void> {
  const storage = await SqliteNodeStorage.open({ directory, identity });
  try {
    const initial = { index, term: INITIAL_TERM, confState: createConfState({ voters }) };
    await storage.createRegion({ regionId: 1, peerId: identity.nodeId, initial });
  } finally {
    await storage.close();
  }
}
