/**
 * A follower on the real parts, a `Node` with its log and its key-value store, whose leader is a
 * script: each step sends what the leader would send, and waits for the answer. There is no network
 * and no clock, so that a run makes the same calls each time.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers";
import { KvStore, type KvStoreOptions } from "../../src/kv/mod.ts";
import { Node, SnapshotSpoolError } from "../../src/node/mod.ts";
import { createMessage, type Message, type RaftError } from "../../src/raft/mod.ts";
import { SqliteNodeStorage, type SqliteStorageOptions } from "../../src/storage/sqlite/mod.ts";
import {
  AskError,
  MemoryNetwork,
  type Transport,
  type TransportHandler,
} from "../../src/transport/mod.ts";
import {
  commandOf,
  confStateOf,
  entryOf,
  hasCommand,
  LAST_INDEX,
  type Step,
  termOf,
} from "./follower_script.ts";

/** Who the follower is. */
export const FOLLOWER_IDENTITY = { clusterId: "sweep", nodeId: 2 } as const;

/** Small limits, so that a short run commits, checkpoints and restarts its write-ahead logs. */
const LOG_LIMITS = { cacheBytesMax: 1024, checkpointBytes: 48 * 1024 };
const STORE_LIMITS = { commitRows: 2, checkpointRows: 5, cacheBytes: 16 * 1024 };

/** How long the follower may take for a step, in milliseconds. */
const DEADLINE_MS = 60_000;

/** How often the leader sends a snapshot that fails. */
const SNAPSHOT_ATTEMPTS = 3;

const CHUNK_BYTES = 64 * 1024;

/** Turns of the event loop in which what a tick has begun ends. */
const TICK_TURNS = 8;

/** How a follower is started. */
export interface FollowerOptions {
  readonly directory: string;
  readonly writer: "auto" | "direct" | "worker";
  /** Where {@linkcode writeSnapshots} has put the snapshots. */
  readonly snapshots: string;
  /** Takes what is logged as an error or a warning. */
  readonly log?: (text: string) => void;
  /** Further options of the log and of the store. */
  readonly storage?: Partial<SqliteStorageOptions>;
  readonly store?: Partial<KvStoreOptions>;
}

/** Writes the snapshots of the script, as a leader's store makes them. */
export async function writeSnapshots(
  directory: string,
  indices: readonly number[],
  large: boolean,
): Promise<void> {
  const store = KvStore.open({ directory: join(directory, "leader") });
  for (const lastApplied of indices) {
    const commands = [];
    for (let index = store.lastApplied() + 1; index <= lastApplied; index++) {
      const term = termOf(index);
      if (hasCommand(index)) commands.push({ index, term, bytes: commandOf(index, term, large) });
    }
    store.apply({ commands, lastApplied, nodeState: [] });
    const chunks: Uint8Array[] = [];
    for await (const chunk of store.snapshot()) chunks.push(chunk.slice());
    writeFileSync(snapshotPath(directory, lastApplied), Buffer.concat(chunks));
  }
  store.close();
}

function snapshotPath(directory: string, index: number): string {
  return join(directory, `snapshot-${index}`);
}

/** The follower of a scripted leader. */
export class Follower {
  readonly store: KvStore;
  readonly storage: SqliteNodeStorage;
  readonly #options: FollowerOptions;
  readonly #node: Node;
  readonly #link: ScriptedLink;
  readonly #tick: () => void;
  #ended: { readonly error: RaftError | undefined } | undefined;

  private constructor(
    options: FollowerOptions,
    parts: { node: Node; store: KvStore; storage: SqliteNodeStorage },
    link: ScriptedLink,
    tick: () => void,
  ) {
    this.#options = options;
    this.#node = parts.node;
    this.store = parts.store;
    this.storage = parts.storage;
    this.#link = link;
    this.#tick = tick;
    void parts.node.stopped.then((error) => this.#ended = { error });
  }

  /** Starts it. @throws RaftError by rejection when it cannot be. */
  static async open(options: FollowerOptions): Promise<Follower> {
    const { directory, writer, log = () => {} } = options;
    const identity = FOLLOWER_IDENTITY;
    const storage = await SqliteNodeStorage.open(
      { directory, identity, writer, ...LOG_LIMITS, ...options.storage },
    );
    let store: KvStore;
    try {
      store = KvStore.open({ directory, ...STORE_LIMITS, ...options.store });
    } catch (error) {
      await storage.close();
      throw error;
    }
    const link = new ScriptedLink();
    let tick = (): void => {};
    const node = await Node.open({
      nodeId: 2,
      storage,
      directory,
      transport: link,
      regions: [{ stateMachine: store, members: [{ peerId: 1 }, { peerId: 2 }] }],
      clock: { now: () => performance.now(), every: (_, run) => (tick = run, () => {}) },
      compaction: { entriesMax: 4, keepEntries: 1 },
      seed: 1,
      logger: { debug() {}, info: log, warn: log, error: log },
    });
    return new Follower(options, { node, store, storage }, link, () => tick());
  }

  /**
   * Does a step that needs no restart; resolves once the follower has acknowledged it, after which
   * {@linkcode settle} lets it apply.
   *
   * @throws RaftError by rejection, when the follower stops, or refuses a snapshot for good.
   */
  async acknowledge(step: Exclude<Step, { kind: "restart" }>): Promise<void> {
    if (step.kind === "snapshot") return await this.#install(step.index, step.term);
    const { first, last, term, commit } = step;
    const entries = Array.from({ length: last - first + 1 }, (_, i) => entryOf(first + i, term));
    const logTerm = termOf(first - 1);
    this.#send({ type: "append", term, index: first - 1, logTerm, entries, commit });
    await this.#answered(last, term);
  }

  /** Lets it apply everything up to `commit`, and compact its log. @throws RaftError when it stops. */
  async settle(commit: number, term: number): Promise<void> {
    this.#send({ type: "heartbeat", term, commit });
    await this.#until(() => this.store.lastApplied() >= commit);
    this.#tick();
    for (let turn = 0; turn < TICK_TURNS; turn++) await nextTurn();
    if (this.#ended !== undefined) throw this.#reason();
  }

  /** Brings it to the end of the script from wherever it is. */
  async finish(): Promise<void> {
    const term = termOf(LAST_INDEX);
    let matched = 1;
    for (let index = LAST_INDEX; index > 1; index--) {
      if (this.#termAt(index) !== termOf(index)) continue;
      matched = index;
      break;
    }
    const entries = [];
    for (let index = matched + 1; index <= LAST_INDEX; index++) entries.push(entryOf(index));
    this.#send({
      type: "append",
      term,
      index: matched,
      logTerm: termOf(matched),
      entries,
      commit: LAST_INDEX,
    });
    await this.#answered(LAST_INDEX, term);
    await this.settle(LAST_INDEX, term);
  }

  /** Stops it. @returns the error that had ended it, if any. */
  async stop(): Promise<RaftError | undefined> {
    await this.#node.stop();
    return await this.#node.stopped;
  }

  #termAt(index: number): number | undefined {
    const region = this.storage.region(1)!;
    const known = index >= region.firstIndex() - 1 && index <= region.lastIndex();
    return known ? region.term(index) : undefined;
  }

  async #install(index: number, term: number): Promise<void> {
    const metadata = { index, term: termOf(index), confState: confStateOf(index) };
    const message = messageOf({
      type: "snapshot",
      term,
      snapshot: { metadata, data: new Uint8Array(0) },
    });
    const bytes = readFileSync(snapshotPath(this.#options.snapshots, index));
    for (let attempt = 1;; attempt++) {
      const sink = this.#link.handler?.receiveSnapshot?.(1, { regionId: 1, message });
      if (typeof sink !== "object") throw this.#reason(`the snapshot is refused: ${sink}`);
      try {
        for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
          await sink.write(bytes.subarray(at, at + CHUNK_BYTES));
        }
        await sink.finish();
        break;
      } catch (error) {
        sink.abort(String(error));
        if (!(error instanceof SnapshotSpoolError)) throw error;
        if (attempt === SNAPSHOT_ATTEMPTS) throw error;
      }
    }
    await this.#answered(index, term);
  }

  #send(fields: Partial<Message> & { type: Message["type"] }): void {
    this.#link.handler?.receive(1, [{ regionId: 1, message: messageOf(fields) }]);
  }

  async #answered(index: number, term: number): Promise<void> {
    await this.#until(() => this.#link.isAcknowledged(index, term));
  }

  async #until(holds: () => boolean): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    while (!holds()) {
      if (this.#ended !== undefined) throw this.#reason();
      if (performance.now() > deadline) throw new Error("the follower does not answer");
      await nextTurn();
    }
  }

  #reason(otherwise = "the follower stopped"): Error {
    return this.#ended?.error ?? new Error(otherwise);
  }
}

function messageOf(fields: Partial<Message> & { type: Message["type"] }): Message {
  return createMessage({ from: 1, to: 2, ...fields });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What the follower sends goes nowhere but into the script. */
class ScriptedLink implements Transport {
  handler: TransportHandler | undefined;
  readonly #acknowledged = new Set<string>();
  readonly #counters = new MemoryNetwork().transport(1).counters();

  isAcknowledged(index: number, term: number): boolean {
    return this.#acknowledged.has(`${index}/${term}`);
  }

  start(handler: TransportHandler): Promise<void> {
    this.handler = handler;
    return Promise.resolve();
  }

  send(_nodeId: number, batch: Parameters<Transport["send"]>[1]): void {
    for (const { message } of batch) {
      if (message.type !== "append-response" || message.reject) continue;
      this.#acknowledged.add(`${message.index}/${message.term}`);
    }
  }

  sendSnapshot(): ReturnType<Transport["sendSnapshot"]> {
    return {
      done: Promise.resolve({ ok: false, reason: "there is no network" }),
      progress: () => ({ readBytes: 0, storedBytes: 0, resumptions: 0 }),
      abort() {},
    };
  }

  ask(): Promise<Uint8Array> {
    return Promise.reject(new AskError(1, "there is no network", false));
  }

  counters(): ReturnType<Transport["counters"]> {
    return { ...this.#counters };
  }

  addNode(): void {}
  removeNode(): void {}

  close(): Promise<void> {
    this.handler = undefined;
    return Promise.resolve();
  }
}
