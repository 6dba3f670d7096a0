/**
 * The file that a saved snapshot is: `Maintenance.Snapshot` streams it, `etcdctl snapshot save` and
 * `flaredb snapshot save` store it, `flaredb snapshot restore` reads it. As etcd's it ends in the
 * SHA-256 of all before and has 32 bytes more than a multiple of 512, which is what etcdctl checks; the
 * rest is our own:
 *
 * | bytes | what |
 * |---|---|
 * | 8 | `flarebak` |
 * | 4 | length of the description (big-endian) |
 * | … | the description: JSON with `version`, `clusterId`, `index` |
 * | … | the state, as the store streams it |
 * | … | zeros, up to 8 bytes before a multiple of 512 |
 * | 8 | length of the state (big-endian) |
 * | 32 | SHA-256 |
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { RaftError } from "../raft/mod.ts";

/** What a backup was taken of. */
export interface BackupDescription {
  /** The cluster it was taken of. */
  readonly clusterId: string;
  /** The last index of that cluster's log whose effect is in it. */
  readonly index: number;
}

/** A file is no backup, or damaged. */
export class BackupError extends RaftError {
  /** Says what is wrong with it. */
  constructor(message: string, options?: { cause?: unknown }) {
    super("BACKUP", message, options);
  }
}

const MAGIC = Buffer.from("flarebak");
const VERSION = 1;
const BLOCK_BYTES = 512;
const LENGTH_BYTES = 8;
const SHA256_BYTES = 32;
const READ_BYTES = 256 * 1024;
const DESCRIPTION_BYTES_MAX = 64 * 1024;

/** The bytes of a backup, in chunks. */
export async function* backupChunks(
  description: BackupDescription,
  state: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  const text = Buffer.from(JSON.stringify({ version: VERSION, ...description }));
  const head = Buffer.alloc(MAGIC.length + 4);
  MAGIC.copy(head);
  head.writeUInt32BE(text.length, MAGIC.length);
  const start = Buffer.concat([head, text]);
  hash.update(start);
  yield start;
  let stateBytes = 0;
  for await (const chunk of state) {
    stateBytes += chunk.length;
    hash.update(chunk);
    yield chunk;
  }
  const used = start.length + stateBytes + LENGTH_BYTES;
  const tail = Buffer.alloc((BLOCK_BYTES - used % BLOCK_BYTES) % BLOCK_BYTES + LENGTH_BYTES);
  tail.writeBigUInt64BE(BigInt(stateBytes), tail.length - LENGTH_BYTES);
  hash.update(tail);
  yield Buffer.concat([tail, hash.digest()]);
}

/** A backup in a file, whose checksum holds. */
export interface OpenBackup extends BackupDescription {
  /** Bytes of the state. */
  readonly stateBytes: number;
  /** The state, as the store takes it. */
  state(): AsyncIterable<Uint8Array>;
}

/** Opens a backup and checks it whole. @throws BackupError */
export async function openBackup(path: string): Promise<OpenBackup> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    return await readBackup(path, handle);
  } catch (cause) {
    if (cause instanceof BackupError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BackupError(`Cannot read ${path}: ${reason}`, { cause });
  } finally {
    await handle?.close();
  }
}

async function readBackup(path: string, handle: FileHandle): Promise<OpenBackup> {
  const { size } = await handle.stat();
  const head = await readAt(path, handle, 0, MAGIC.length + 4);
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new BackupError(
      `Cannot read ${path} as it is no snapshot of flaredb (those of etcd cannot be restored here)`,
    );
  }
  await checkSum(path, handle, size);
  const descriptionBytes = head.readUInt32BE(MAGIC.length);
  if (descriptionBytes > DESCRIPTION_BYTES_MAX) throw damaged(path);
  const description = JSON.parse(
    (await readAt(path, handle, head.length, descriptionBytes)).toString(),
  );
  if (description.version !== VERSION) {
    throw new BackupError(
      `Cannot read ${path} as its version must be ${VERSION}: found ${description.version}`,
    );
  }
  const length = await readAt(path, handle, size - SHA256_BYTES - LENGTH_BYTES, LENGTH_BYTES);
  const stateBytes = Number(length.readBigUInt64BE());
  const start = head.length + descriptionBytes;
  if (start + stateBytes + LENGTH_BYTES + SHA256_BYTES > size) throw damaged(path);
  const { clusterId, index } = description;
  return { clusterId, index, stateBytes, state: () => readRange(path, start, stateBytes) };
}

async function checkSum(path: string, handle: FileHandle, size: number): Promise<void> {
  if (size % BLOCK_BYTES !== SHA256_BYTES) {
    throw new BackupError(`Cannot read ${path} as it is cut short: it has ${size} bytes`);
  }
  const hash = createHash("sha256");
  const end = size - SHA256_BYTES;
  for (let position = 0; position < end; position += READ_BYTES) {
    hash.update(await readAt(path, handle, position, Math.min(READ_BYTES, end - position)));
  }
  if (!hash.digest().equals(await readAt(path, handle, end, SHA256_BYTES))) throw damaged(path);
}

async function* readRange(
  path: string,
  start: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  const handle = await open(path, "r");
  try {
    for (let at = 0; at < length; at += READ_BYTES) {
      yield await readAt(path, handle, start + at, Math.min(READ_BYTES, length - at));
    }
  } finally {
    await handle.close();
  }
}

async function readAt(
  path: string,
  handle: FileHandle,
  position: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(Math.max(0, length));
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new BackupError(`Cannot read ${path} as it is cut short`);
    done += bytesRead;
  }
  return bytes;
}

function damaged(path: string): BackupError {
  return new BackupError(`Cannot read ${path} as it is damaged: its checksum does not hold`);
}
