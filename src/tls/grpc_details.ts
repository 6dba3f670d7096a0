/**
 * What gRPC says of a failed call, as people should read it.
 *
 * @module
 */

/** Drops the note on name resolution that gRPC appends to a failed connection even when it is empty. */
export function withoutEmptyNote(details: string): string {
  return details.replace(/\.? Resolution note:\s*$/, "");
}
