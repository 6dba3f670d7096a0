/**
 * What goes into the trace hash of a run besides the moment of every event, the entries that are
 * written, and the results and state of every batch: two runs with the same hash did the same with the
 * same contents.
 *
 * @module
 */

import type { PeerEffects } from "../node/mod.ts";
import type { Message } from "../raft/mod.ts";
import type { InvariantViolation } from "./errors.ts";
import type { HistoryOperation } from "./history.ts";
import type { Replica } from "./replica.ts";
import { hashBytes, hashText, hashValue, mix, type Trace } from "./trace.ts";

/** A peer has handled so many events, and wants this done. */
export function traceTurn(
  trace: Trace,
  replica: Replica,
  events: number,
  effects: PeerEffects,
): void {
  const { term, commitIndex, lastApplied } = replica.peer!;
  const { messages, snapshots, appends, refused } = effects;
  trace.add(replica.peerId);
  trace.add(term);
  trace.add(commitIndex);
  trace.add(lastApplied);
  trace.add(mix(mix(events, appends.length), refused.length));
  for (const message of messages) trace.add(hashMessage(message));
  for (const message of snapshots) trace.add(hashMessage(message));
}

/** A client is answered: by what is at an index, or by an error's code. */
export function traceAnswer(trace: Trace, what: string, index: number): void {
  trace.add(mix(hashText(what), index));
}

/** A fault strikes. */
export function traceFault(trace: Trace, number: number, kind: string): void {
  trace.add(mix(hashText(kind), number));
}

/** The run is over: what clients saw, how often the rare events happened, and what did not hold. */
export function traceEnd(
  trace: Trace,
  histories: readonly (readonly HistoryOperation[])[],
  coverage: readonly number[],
  violation: InvariantViolation | undefined,
): void {
  for (const history of histories) {
    trace.add(history.length);
    for (const { client, call, return: returned, input, output } of history) {
      trace.add(client);
      trace.add(call);
      trace.add(returned ?? -1);
      trace.add(hashValue(input));
      trace.add(hashValue(output));
    }
  }
  for (const count of coverage) trace.add(count);
  if (violation !== undefined) trace.add(hashText(violation.invariant));
}

/** The entries of a message have been hashed when its sender wrote them: here their number counts. */
function hashMessage(message: Message): number {
  let hash = hashText(message.type);
  hash = mix(hash, message.to);
  hash = mix(hash, message.term);
  hash = mix(hash, message.logTerm);
  hash = mix(hash, message.index);
  hash = mix(hash, message.commit);
  hash = mix(hash, message.entries.length);
  hash = mix(hash, message.reject ? 1 + message.rejectHint : 0);
  return message.context === undefined ? hash : hashBytes(message.context, hash);
}
