/**
 * The side of the event loop of the thread that writes: hands it one batch at a time, as one
 * transferred buffer that comes back with the answer and serves for the next.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import { StorageError } from "../errors.ts";
import { toStorageError } from "./database.ts";
import { BUSY_TIMEOUT_MS, checkJournalMode, connectionSettings } from "./files.ts";
import { StatementBatch } from "./statement_batch.ts";
import { Transaction } from "./transaction.ts";
import {
  WORKER_ROLE,
  type WorkerFailure,
  type WorkerOptions,
  type WorkerReply,
  type WorkerRequest,
} from "./worker.ts";
import {
  CHECKPOINT_SQL,
  type DatabaseSpace,
  type LogWriter,
  SPACE_SQL,
  type WriteOperation,
} from "./writer.ts";

/**
 * The file of the thread that writes to a slow disk. It imports nothing but the runtime's own modules,
 * and is all of the program that Deno must be allowed to read (`--allow-read`) for it.
 */
export const WORKER_FILE: URL = new URL(
  import.meta.url.endsWith(".ts") ? "worker.ts" : "worker.js",
  import.meta.url,
);

interface PendingRequest {
  readonly resolve: (reply: WorkerReply) => void;
  readonly reject: (error: StorageError) => void;
}

/** What a thread writes to. */
export interface WorkerDatabase {
  /** The path of the database, which is open already. */
  readonly path: string;
  /** Most pages of the database; 0 for no limit. */
  readonly databasePagesMax: number;
}

/** Writes in a thread of its own. One call at a time. */
export class WorkerWriter implements LogWriter {
  readonly #worker: Worker;
  readonly #path: string;
  readonly #batch = new StatementBatch();
  readonly #transaction = new Transaction(this.#batch);
  #pending: PendingRequest | undefined = undefined;
  /** Why the thread is gone, if it is. */
  #failure: StorageError | undefined = undefined;

  private constructor(path: string) {
    this.#path = path;
    const workerData: WorkerOptions = { role: WORKER_ROLE, path, busyTimeoutMs: BUSY_TIMEOUT_MS };
    this.#worker = new Worker(WORKER_FILE, { workerData });
    this.#worker.on("message", (reply: WorkerReply) => this.#receive(reply));
    this.#worker.on("error", (error: unknown) => this.#end(error));
    this.#worker.on("exit", (code: number) => this.#end(new Error(`exit code ${code}`)));
  }

  /**
   * Starts the thread and waits until it has the database open.
   *
   * @throws StorageError (by rejection) when either fails; nothing stays open.
   */
  static async start({ path, databasePagesMax }: WorkerDatabase): Promise<WorkerWriter> {
    let writer: WorkerWriter;
    try {
      writer = new WorkerWriter(path);
    } catch (error) {
      throw threadError(path, error);
    }
    try {
      await new Promise<WorkerReply>((resolve, reject) => writer.#pending = { resolve, reject });
      const [[[mode]]] = await writer.#rows(connectionSettings(databasePagesMax));
      checkJournalMode(mode);
      return writer;
    } catch (error) {
      await writer.#terminate();
      throw error;
    }
  }

  async commit(operations: readonly WriteOperation[]): Promise<void> {
    this.#transaction.run(operations);
    const buffer = this.#batch.take();
    this.#batch.reuse(await this.#request(buffer, [buffer]) as ArrayBuffer);
  }

  async checkpoint(): Promise<void> {
    await this.#rows([CHECKPOINT_SQL]);
  }

  async space(): Promise<DatabaseSpace> {
    const [pages, freePages] = (await this.#rows(SPACE_SQL)).map(([[value]]) => value as number);
    return { pages, freePages };
  }

  async close(): Promise<void> {
    try {
      await this.#request("close");
    } finally {
      await this.#terminate();
    }
  }

  async #rows(texts: readonly string[]): Promise<readonly (readonly unknown[][])[]> {
    return await this.#request(texts) as readonly (readonly unknown[][])[];
  }

  #request(request: WorkerRequest, transfer: ArrayBuffer[] = []): Promise<WorkerReply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      // An idle thread keeps no process alive, a write under way does.
      this.#worker.ref();
      this.#worker.postMessage(request, transfer);
    });
  }

  #receive(reply: WorkerReply): void {
    this.#worker.unref();
    const pending = this.#pending;
    this.#pending = undefined;
    if (reply === "done" || !("failure" in reply)) return pending?.resolve(reply);
    pending?.reject(this.#errorOf(reply.failure));
  }

  #errorOf({ message, code, errcode, rowsFound }: WorkerFailure): StorageError {
    if (rowsFound !== undefined) return this.#batch.missingRow(rowsFound);
    const error = Object.assign(new Error(message), { code, errcode });
    return toStorageError(error, `write to ${this.#path}`);
  }

  #end(cause: unknown): void {
    this.#failure ??= threadError(this.#path, cause);
    this.#pending?.reject(this.#failure);
    this.#pending = undefined;
  }

  async #terminate(): Promise<void> {
    this.#failure ??= threadError(this.#path, new Error("it was closed"));
    await this.#worker.terminate();
  }
}

function threadError(path: string, cause: unknown): StorageError {
  const [found] = (cause instanceof Error ? cause.message : String(cause)).split("\n");
  return new StorageError(
    "STORAGE_IO",
    `The thread that writes to ${path} has ended: ${found}; choose \`writer: "direct"\` where ` +
      "threads cannot be started",
    { cause },
  );
}
