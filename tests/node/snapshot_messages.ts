/** Messages that only tests send. */

import { createConfState, createMessage, type Message } from "../../src/raft/mod.ts";

/** A snapshot message that nobody asked for. */
export function snapshotMessage(
  fields: { from: number; to: number; index: number; term: number },
): Message {
  const { from, to, index, term } = fields;
  const confState = createConfState({ voters: [1, 2, 3] });
  const snapshot = { metadata: { index, term, confState }, data: new Uint8Array(0) };
  return createMessage({ type: "snapshot", from, to, term, snapshot });
}
