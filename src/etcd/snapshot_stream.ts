/**
 * `Maintenance.Snapshot`: streams a backup of the local store, as fast as the client takes it.
 *
 * @module
 */

import type * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
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
  { store, clusterId }: CheckedServerOptions,
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
    for await (const chunk of backupChunks(description, state)) {
      if (call.cancelled) return;
      sentBytes += chunk.length;
      // How much is left is known at the end only: the size of the database is about as much.
      const remaining = Math.max(1, inUseBytes - sentBytes);
      await written(call, encodeSnapshotResponse(chunk, remaining));
      await setImmediate();
    }
    call.end();
  } catch (error) {
    const details = `the snapshot failed: ${error instanceof Error ? error.message : error}`;
    if (!call.cancelled) call.emit("error", { code: GrpcStatus.INTERNAL, details });
  }
}

/** Resolves when the connection has taken it, or the call has ended. */
function written(call: grpc.ServerWritableStream<unknown, Buffer>, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("cancelled", done);
      call.off("close", done);
      resolve();
    };
    call.once("cancelled", done);
    call.once("close", done);
    call.write(bytes, done);
  });
}
