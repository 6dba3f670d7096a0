/**
 * What the network in memory needs to carry questions: their limits in size and in time.
 *
 * @module
 */

import { clearTimeout, setTimeout } from "node:timers";
import { QUESTION_BYTES_MAX } from "../wire/mod.ts";
import { AskError } from "./errors.ts";

/** Refuses what gRPC would not carry. @throws AskError */
export function checkBody(what: string, nodeId: number, body: Uint8Array): void {
  if (body.length <= QUESTION_BYTES_MAX) return;
  const text = `the ${what} must have at most ${QUESTION_BYTES_MAX} bytes: it has ${body.length}`;
  throw new AskError(nodeId, text, false);
}

/** What `answering` resolves with, unless the deadline comes first. @throws AskError by rejection */
export async function withinDeadline<T>(
  nodeId: number,
  answering: Promise<T>,
  deadlineMs: number,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new AskError(nodeId, `nothing came within ${deadlineMs} ms`, true)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([answering, late]);
  } finally {
    clearTimeout(timer);
  }
}
