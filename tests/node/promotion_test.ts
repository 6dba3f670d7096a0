/** How far behind a learner may be that is promoted, told entry by entry. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  INITIAL_TERM,
  MemberChangeRequest,
  Peer,
  type PeerEffects,
  type PeerEvent,
  PROMOTION_LAG_MAX,
  ProposalRequest,
} from "../../src/node/mod.ts";
import { createConfState, createMessage } from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { command } from "./machines.ts";

const DEADLINE = 60_000;
const LEARNER = 2;

/** The one voter of a region, which leads, and what it hears in the name of its learner. */
class Leader {
  readonly #storage: MemoryStorage;
  readonly #peer: Peer;

  constructor() {
    const confState = createConfState({ voters: [1], learners: [LEARNER] });
    const initial = { index: 1, term: INITIAL_TERM, confState };
    this.#storage = new MemoryStorage({ regionId: 1, peerId: 1, initial });
    this.#peer = new Peer({
      id: 1,
      nodeId: 1,
      regionId: 1,
      storage: this.#storage,
      lastApplied: 1,
      epoch: 1,
      random: () => 0,
      nodeState: new Map(),
    });
    this.handle({ type: "campaign" });
    assert.equal(this.#peer.state, "leader");
  }

  get lastIndex(): number {
    return this.#storage.lastIndex();
  }

  /** Handles an event and all that follows from it at once: writes and applies. */
  handle(event: PeerEvent): PeerEffects {
    const first = this.#peer.handle([event], 0);
    for (let effects = first; effects.appends.length > 0 || effects.apply !== undefined;) {
      const events: PeerEvent[] = [];
      for (const { write, id } of effects.appends) {
        void this.#storage.append(write);
        events.push({ type: "appended", id });
      }
      if (effects.apply?.type === "batch") {
        const results = effects.apply.batch.commands.map(() => undefined);
        events.push({ type: "applied", results });
      }
      effects = this.#peer.handle(events, 0);
    }
    return first;
  }

  /** The learner says that it has the log up to an index. */
  acknowledge(index: number): void {
    const term = this.#peer.term;
    const message = createMessage({ type: "append-response", from: LEARNER, to: 1, term, index });
    this.handle({ type: "messages", messages: [message] });
  }

  /** Writes so many entries, of which the learner says nothing. */
  propose(count: number): void {
    const proposals = Array.from(
      { length: count },
      () => new ProposalRequest(command("x"), DEADLINE),
    );
    this.handle({ type: "proposals", proposals });
  }

  /** Why the learner is not promoted, or undefined when it is about to be. */
  promote(): string | undefined {
    const request = new MemberChangeRequest({ kind: "promote", peerId: LEARNER }, [], DEADLINE);
    const { changesRejected } = this.handle({ type: "change-members", request });
    return changesRejected[0]?.error.message;
  }
}

test("a learner is promoted while it lacks 1,024 entries, and not while it lacks one more", () => {
  const leader = new Leader();
  const known = leader.lastIndex;
  leader.acknowledge(known);
  leader.propose(PROMOTION_LAG_MAX + 1);
  assert.equal(leader.lastIndex, known + 1_025);
  assert.match(leader.promote()!, /at most 1024 entries behind to be promoted: it is 1025 behind$/);
  leader.acknowledge(known + 1);
  assert.equal(leader.promote(), undefined);
  assert.equal(leader.lastIndex, known + 1_026);
});
