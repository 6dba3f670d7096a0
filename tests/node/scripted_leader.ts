/** The leader of three, whose writes, applies and messages a test answers by hand. */

import assert from "node:assert/strict";
import { Peer, type PeerEffects, type PeerEvent } from "../../src/node/mod.ts";
import { createConfState, createMessage, type Message } from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";

export const ELECTION_TICK = 4;
const TERM = 1;

/** Peer 1 of three; it leads, and all has completed so far. */
export class ScriptedLeader {
  readonly storage = new MemoryStorage({
    regionId: 1,
    peerId: 1,
    initial: { index: 1, term: 1, confState: createConfState({ voters: [1, 2, 3] }) },
  });
  readonly peer = new Peer({
    id: 1,
    nodeId: 1,
    regionId: 1,
    storage: this.storage,
    lastApplied: 1,
    epoch: 1,
    random: () => 0,
    electionTick: ELECTION_TICK,
    preVote: false,
    checkQuorum: false,
    installsSnapshots: true,
    streamsSnapshots: true,
  });
  #now = 0;

  constructor() {
    this.finish(this.handle({ type: "campaign" }));
    this.finish(this.receive({ type: "vote-response", from: 2 }));
    assert.equal(this.peer.state, "leader");
    this.finish(this.receive({ type: "append-response", from: 2, index: 2 }));
    assert.equal(this.peer.lastApplied, 2);
  }

  handle(...events: PeerEvent[]): PeerEffects {
    const effects = this.peer.handle(events, this.#now++);
    assert.equal(effects.failure, undefined);
    for (const { write } of effects.appends) void this.storage.append(write);
    return effects;
  }

  receive(message: Partial<Message> & Pick<Message, "type" | "from">): PeerEffects {
    const messages = [createMessage({ to: 1, term: TERM, ...message })];
    return this.handle({ type: "messages", messages });
  }

  /** Everything that is asked for completes. */
  finish(effects: PeerEffects): PeerEffects {
    let last = effects;
    for (const { id } of effects.appends) last = this.finish(this.handle({ type: "appended", id }));
    if (effects.apply !== undefined) {
      last = this.finish(this.handle({ type: "applied", results: [] }));
    }
    return last;
  }
}
