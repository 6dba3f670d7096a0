/**
 * `Maintenance.Snapshot`: streams a backup of the local store, as fast as the client takes it. While
 * it does, the store cannot shrink its write-ahead log and the node not its log, so a client that takes
 * nothing any more is given up.
 *
 * @module
 */

import type * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import process from "node:process";
import { clearInterval, setImmediate, setInterval, setTimeout } from "node:timers";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LENGTH_DELIMITED, ProtoReader, ProtoWriter, VARINT } from "../kv/mod.ts";
import { backupChunks } from "./backup.ts";
import { type ServedMethod, streamingMethod } from "./grpc_methods.ts";
import { GrpcStatus } from "./grpc_status.ts";
import type { CheckedServerOptions } from "./server_options.ts";

/** Encodes a `SnapshotResponse`; the header is left out, as its revision would say nothing here. */
export function encodeSnapshotResponse(blob: Uint8Array, remainingBytes: number): Buffer {
  const writer = new ProtoWriter();
  writer.bytes(3 << 3 | LENGTH_DELIMITED, blob);
  writer.number(2 << 3 | VARINT, remainingBytes);
  return Buffer.from(writer.finish());
}

/** The piece of the backup in a `SnapshotResponse`. @throws KvDecodeError */
export function decodeSnapshotBlob(bytes: Uint8Array): Uint8Array {
  const reader = new ProtoReader(bytes);
  let blob: Uint8Array = new Uint8Array(0);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === (3 << 3 | LENGTH_DELIMITED)) blob = reader.bytes();
    else reader.skip(tag);
  }
  return blob;
}

/** The method. */
export function snapshotMethod(path: string, options: CheckedServerOptions): ServedMethod {
  return streamingMethod(path, (call) => void serveSnapshot(call, options));
}

/** Serves one call. Never rejects. */
async function serveSnapshot(
  call: grpc.ServerWritableStream<unknown, Buffer>,
  { store, clusterId, snapshotStallMs, logger }: CheckedServerOptions,
): Promise<void> {
  if (store.snapshot === undefined || store.lastApplied === undefined) {
    const details = "this server's store makes no snapshots";
    return void call.emit("error", { code: GrpcStatus.UNIMPLEMENTED, details });
  }
  try {
    const description = { clusterId, index: store.lastApplied() };
    const state = store.snapshot();
    const { inUseBytes } = store.size();
    let sentBytes = 0;
    // Whatever leaves the loop gives the state up, and with it what the store keeps for it.
    for await (const chunk of backupChunks(description, state)) {
      if (call.cancelled) return;
      sentBytes += chunk.length;
      // How much is left is known at the end only: the size of the database is about as much.
      const remaining = Math.max(1, inUseBytes - sentBytes);
      const bytes = encodeSnapshotResponse(chunk, remaining);
      if (await written(call, bytes, snapshotStallMs) === "stalled") {
        const details = `its client took nothing of it for ${snapshotStallMs} ms`;
        logger.warn(
          `A snapshot for ${call.getPeer()} is given up at ${sentBytes} bytes: ${details}`,
        );
        const status = {
          code: GrpcStatus.ABORTED,
          details: `the snapshot is given up: ${details}`,
        };
        return void call.emit("error", status);
      }
      await nextTurn();
    }
    call.end();
  } catch (error) {
    const details = `the snapshot failed: ${error instanceof Error ? error.message : error}`;
    if (!call.cancelled) call.emit("error", { code: GrpcStatus.INTERNAL, details });
  }
}

/**
 * The time until a client is found to take nothing is counted in so many parts: were this process
 * stopped for a while, that counts as one of them, and the client has the others.
 */
const STALL_PARTS = 4;

/**
 * Whether a write is done only once the connection has taken it. On Deno it is at once, and what the
 * client has no room for collects in memory; there we look whether its connection has room again. The
 * room of the stream alone cannot be seen there.
 */
const WRITES_WAIT = process.versions.deno === undefined;

/** How often we look again in the next turn of the event loop. */
const EAGER_LOOKS = 64;

/** How long after that until we look again, in milliseconds. */
const LOOK_MS = 5;

/**
 * Resolves when the connection has taken all of it, when the call has ended, or when neither has
 * happened for `stallMs`.
 */
function written(
  call: grpc.ServerWritableStream<unknown, Buffer>,
  bytes: Buffer,
  stallMs: number,
): Promise<"settled" | "stalled"> {
  return new Promise((resolve) => {
    let isOver = false;
    let parts = 0;
    let looks = 0;
    const timer = setInterval(() => {
      parts++;
      if (parts === STALL_PARTS) end("stalled");
    }, stallMs / STALL_PARTS);
    const end = (outcome: "settled" | "stalled"): void => {
      isOver = true;
      clearInterval(timer);
      call.off("cancelled", settle);
      call.off("close", settle);
      resolve(outcome);
    };
    const settle = (): void => end("settled");
    const look = (): void => {
      if (isOver) return;
      if (WRITES_WAIT || hasRoom(call)) return settle();
      looks++;
      if (looks < EAGER_LOOKS) setImmediate(look);
      else setTimeout(look, LOOK_MS);
    };
    call.once("cancelled", settle);
    call.once("close", settle);
    call.write(bytes, look);
  });
}

/** The part of grpc-js that tells how much more a connection's client takes; it is not declared. */
interface SentOver {
  readonly stream?: {
    readonly session?: { readonly state?: { readonly remoteWindowSize?: number } };
  };
}

/** Whether the client has room for more, on the connection as a whole. */
function hasRoom(call: grpc.ServerWritableStream<unknown, Buffer>): boolean {
  const { stream } = (call as unknown as { readonly call?: SentOver }).call ?? {};
  return stream?.session?.state?.remoteWindowSize !== 0;
}
