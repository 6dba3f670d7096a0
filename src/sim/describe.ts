/**
 * Turns of peers as lines of the readable trace.
 *
 * @module
 */

import type { PeerEffects, PeerEvent } from "../node/mod.ts";
import type { Message } from "../raft/mod.ts";
import type { Replica } from "./replica.ts";

/** What came in, what the peer is afterwards, and what it wants done. */
export function describeTurn(
  replica: Replica,
  events: readonly PeerEvent[],
  effects: PeerEffects,
): string {
  const peer = replica.peer!;
  const came = events.map((event) => describeEvent(event)).join(", ");
  const sent = [...effects.messages, ...effects.snapshots].map((message) =>
    describeMessage(message)
  ).join(", ");
  const wrote = effects.appends.map(({ write }) => {
    const { entries = [], hardState, snapshot } = write;
    const range = entries.map((entry) => `${entry.term}/${entry.index}`).join(" ");
    const state = hardState && `term ${hardState.currentTerm} vote ${hardState.votedFor}`;
    return [snapshot && `snapshot ${snapshot.metadata.index}`, range, state]
      .filter(Boolean).join(" ");
  }).join("; ");
  return `${replica.name} ${peer.state} t${peer.term} c${peer.commitIndex} a${peer.lastApplied} ` +
    `<- ${came}${sent && ` -> ${sent}`}${wrote && ` | writes ${wrote}`}`;
}

function describeEvent(event: PeerEvent): string {
  return event.type === "messages"
    ? event.messages.map((message) => `from ${message.from} ${describeMessage(message)}`).join(", ")
    : event.type;
}

function describeMessage(message: Message): string {
  const { type, to, term, index, logTerm, entries, commit, reject } = message;
  const range = entries.length === 0
    ? ""
    : ` [${entries.map((entry) => `${entry.term}/${entry.index}`).join(" ")}]`;
  return `${type} to ${to} t${term} ${logTerm}/${index}${range} c${commit}${reject ? " no" : ""}`;
}
