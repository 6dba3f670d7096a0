/**
 * The side of the event loop of the thread that writes: hands it one batch at a time, as one
 * transferred buffer that comes back with the answer and serves for the next.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import { StorageError, type StorageErrorCode } from "../errors.ts";
import { encodeBatch } from "./batch_codec.ts";
import type { DatabaseSpace, LogWriter, WriteOperation } from "./writer.ts";

/** What the thread is started with. */
export interface WorkerOptions {
  /** The path of the database. */
  readonly path: string;
  /** Most pages of the database; 0 for no limit. */
  readonly databasePagesMax: number;
}

/** A batch to commit, or what else to do. */
export type WorkerRequest = ArrayBuffer | "checkpoint" | "space" | "close";

/** What the thread could not do. */
export interface WorkerFailure {
  readonly code: StorageErrorCode;
  readonly message: string;
  /** The driver's message, and its result code. */
  readonly cause: string | undefined;
  readonly errcode: number | undefined;
}

/** The buffer of a committed batch, or another answer. */
export type WorkerReply =
  | ArrayBuffer
  | "done"
  | DatabaseSpace
  | { readonly failure: WorkerFailure };

/** A buffer beyond this size is not kept for the next batch. */
const KEPT_BUFFER_BYTES_MAX = 1024 * 1024;

const WORKER_FILE = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";

interface PendingRequest {
  readonly resolve: (reply: WorkerReply) => void;
  readonly reject: (error: StorageError) => void;
}

/** Writes in a thread of its own. One call at a time. */
export class WorkerWriter implements LogWriter {
  readonly #worker: Worker;
  readonly #path: string;
  #pending: PendingRequest | undefined = undefined;
  #buffer: ArrayBuffer | undefined = undefined;
  /** Why the thread is gone, if it is. */
  #failure: StorageError | undefined = undefined;

  private constructor(options: WorkerOptions) {
    this.#path = options.path;
    this.#worker = new Worker(new URL(WORKER_FILE, import.meta.url), { workerData: options });
    this.#worker.on("message", (reply: WorkerReply) => this.#receive(reply));
    this.#worker.on("error", (error: unknown) => this.#end(error));
    this.#worker.on("exit", (code: number) => this.#end(new Error(`exit code ${code}`)));
  }

  /**
   * Starts the thread and waits until it has the database open.
   *
   * @throws StorageError (by rejection) when either fails; nothing stays open.
   */
  static async start(options: WorkerOptions): Promise<WorkerWriter> {
    let writer: WorkerWriter;
    try {
      writer = new WorkerWriter(options);
    } catch (error) {
      throw threadError(options.path, error);
    }
    try {
      await new Promise<WorkerReply>((resolve, reject) => writer.#pending = { resolve, reject });
      return writer;
    } catch (error) {
      await writer.#terminate();
      throw error;
    }
  }

  async commit(operations: readonly WriteOperation[]): Promise<void> {
    const buffer = encodeBatch(operations, this.#buffer);
    this.#buffer = undefined;
    const returned = await this.#request(buffer, [buffer]) as ArrayBuffer;
    if (returned.byteLength <= KEPT_BUFFER_BYTES_MAX) this.#buffer = returned;
  }

  async checkpoint(): Promise<void> {
    await this.#request("checkpoint");
  }

  async space(): Promise<DatabaseSpace> {
    return await this.#request("space") as DatabaseSpace;
  }

  async close(): Promise<void> {
    try {
      await this.#request("close");
    } finally {
      await this.#terminate();
    }
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
    if (typeof reply !== "object" || !("failure" in reply)) return pending?.resolve(reply);
    const { code, message, cause, errcode } = reply.failure;
    const driverError = cause === undefined ? undefined : Object.assign(new Error(cause), {
      errcode,
    });
    pending?.reject(new StorageError(code, message, { cause: driverError }));
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
