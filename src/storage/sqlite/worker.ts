/**
 * The thread that writes, when SQLite runs outside the event loop: a connection of its own, and one
 * request at a time from {@linkcode WorkerWriter}.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import { decodeBatch } from "./batch_codec.ts";
import { toStorageError } from "./database.ts";
import { openWriterDatabase } from "./files.ts";
import type { WorkerFailure, WorkerOptions, WorkerReply, WorkerRequest } from "./worker_writer.ts";
import { DirectWriter } from "./writer.ts";

/** Opens the connection and answers requests until the last one, `close`. */
function serve(port: NonNullable<typeof parentPort>, options: WorkerOptions): void {
  const reply = (message: WorkerReply, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);
  const fail = (error: unknown): void => reply({ failure: failureOf(error, options.path) });
  let writer: DirectWriter;
  try {
    writer = new DirectWriter(openWriterDatabase(options.path, options.databasePagesMax));
  } catch (error) {
    return fail(error);
  }
  port.on("message", (request: WorkerRequest) => {
    try {
      if (request instanceof ArrayBuffer) {
        writer.commit(decodeBatch(request));
        return reply(request, [request]);
      }
      if (request === "space") return reply(writer.space());
      if (request === "checkpoint") writer.checkpoint();
      else writer.close();
      reply("done");
    } catch (error) {
      fail(error);
    }
  });
  reply("done");
}

/** What crosses of an error: its code, its text, and the text of its cause. */
function failureOf(error: unknown, path: string): WorkerFailure {
  const { code, message, cause } = toStorageError(error, `write to ${path}`);
  const { errcode } = (cause ?? {}) as { errcode?: number };
  return { code, message, cause: cause instanceof Error ? cause.message : undefined, errcode };
}

if (parentPort !== null) serve(parentPort, workerData as WorkerOptions);
