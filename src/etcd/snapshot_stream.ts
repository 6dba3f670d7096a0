/**
 * `Maintenance.Snapshot`: streams a backup of the local store, as fast as the client takes it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { GrpcStatus, type OpenCall, type ServerCall } from "../grpc/mod.ts";
import { LENGTH_DELIMITED, ProtoReader, ProtoWriter, VARINT } from "../kv/mod.ts";
import { backupChunks } from "./backup.ts";
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

/** The method: takes one request, which says nothing, and streams the backup. */
export function snapshotMethod(options: CheckedServerOptions): OpenCall {
  return (call) => ({ message: () => {}, end: () => void serveSnapshot(call, options) });
}

/** Serves one call. Never rejects. */
async function serveSnapshot(
  call: ServerCall,
  { store, clusterId }: CheckedServerOptions,
): Promise<void> {
  if (store.snapshot === undefined || store.lastApplied === undefined) {
    return call.end(GrpcStatus.UNIMPLEMENTED, "this server's store makes no snapshots");
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
      call.send(encodeSnapshotResponse(chunk, remaining));
      await call.untilSent();
      await setImmediate();
    }
    call.end();
  } catch (error) {
    const details = `the snapshot failed: ${error instanceof Error ? error.message : error}`;
    call.end(GrpcStatus.INTERNAL, details);
  }
}
