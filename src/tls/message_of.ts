/**
 * The text of whatever was thrown.
 *
 * @module
 */

/** The message of an error, or the text of anything else. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
