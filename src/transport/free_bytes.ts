/**
 * Giving memory back at once. The garbage collector learns late how much memory lies outside of its
 * heap: while a snapshot of gigabytes passes in buffers that live for a moment, a hundred MiB of dead
 * ones pile up before it comes by, and it works hard when it does.
 *
 * @module
 */

/** Below this many bytes it is not worth the trouble. */
const FREED_BYTES_MIN = 4 * 1024;

/** Most bytes that a buffer may have beside them: what a frame and gRPC put around a chunk. */
const BESIDE_BYTES_MAX = 128;

/**
 * Frees the memory of bytes that nobody looks at any more, and leaves them empty. Does nothing where
 * they are few, or share their memory with others.
 */
export function freeBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (!(buffer instanceof ArrayBuffer) || bytes.length < FREED_BYTES_MIN) return;
  if (buffer.byteLength - bytes.length <= BESIDE_BYTES_MAX) buffer.transfer(0);
}
