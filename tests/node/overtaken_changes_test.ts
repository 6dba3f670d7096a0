/** Answers to changes of the members that a snapshot of a later leader overtakes, step by step. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  INITIAL_TERM,
  type MemberChange,
  MemberChangeRequest,
  Peer,
  type PeerEffects,
  type PeerEvent,
} from "../../src/node/mod.ts";
import {
  createConfState,
  createEntry,
  createMessage,
  type Message,
  type PeerId,
} from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";

const DEADLINE = 60_000;
const ANOTHER = 2;
const LEARNER = 4;
const CHANGE_INDEX = 3;

/** Peer 1 of the voters 1, 2 and 3 and the learner 4, which leads, and what it hears from others. */
class Leader {
  /** Whether batches are left with the state machine. */
  holdsBatches = false;
  readonly #storage: MemoryStorage;
  readonly #peer: Peer;
  #heldBatch: PeerEvent | undefined;

  constructor(nodeState: ReadonlyMap<string, Uint8Array> = new Map()) {
    const confState = createConfState({ voters: [1, 2, 3], learners: [LEARNER] });
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
      preVote: false,
      installsSnapshots: true,
      nodeState,
    });
    this.#handle({ type: "campaign" });
    this.#hear({ type: "vote-response", from: ANOTHER });
    assert.equal(this.#peer.state, "leader");
    this.acknowledge();
  }

  get term(): number {
    return this.#peer.term;
  }

  /** Others have all of the log. */
  acknowledge(): PeerEffects[] {
    const index = this.#storage.lastIndex();
    return [ANOTHER, LEARNER]
      .flatMap((from) => this.#hear({ type: "append-response", from, index }));
  }

  /** A caller asks for a change, which others then have in their logs. */
  change(change: MemberChange): PeerEffects[] {
    const request = new MemberChangeRequest(change, [], DEADLINE);
    return [...this.#handle({ type: "change-members", request }), ...this.acknowledge()];
  }

  /** The leader of the next term has compacted its log up to `index`, where others are the members. */
  overtake(index: number, voters: readonly PeerId[], learners: readonly PeerId[]): PeerEffects[] {
    const confState = createConfState({ voters, learners });
    const metadata = { index, term: this.term, confState };
    const snapshot = { metadata, data: new Uint8Array(0) };
    return this.#hear({ type: "snapshot", from: ANOTHER, term: this.term + 1, snapshot });
  }

  /** The leader of this term sends one more entry, committed. */
  follow(index: number, logTerm: number): PeerEffects[] {
    const entries = [createEntry({ index: index + 1, term: this.term })];
    return this.#hear({
      type: "append",
      from: ANOTHER,
      index,
      logTerm,
      entries,
      commit: index + 1,
    });
  }

  /** The state machine is done with the batch that was left with it. */
  finishBatch(): PeerEffects[] {
    assert.ok(this.#heldBatch !== undefined);
    this.holdsBatches = false;
    return this.#handle(this.#heldBatch);
  }

  #hear(fields: Partial<Message> & Pick<Message, "type">): PeerEffects[] {
    const message = createMessage({ to: 1, term: this.term, ...fields });
    return this.#handle({ type: "messages", messages: [message] });
  }

  /** Handles an event and all that follows from it at once; returns all that came out. */
  #handle(event: PeerEvent): PeerEffects[] {
    const all: PeerEffects[] = [];
    for (let events = [event]; events.length > 0;) {
      const effects = this.#peer.handle(events, 0);
      assert.equal(effects.failure, undefined);
      all.push(effects);
      events = this.#carryOut(effects);
    }
    return all;
  }

  #carryOut({ appends, apply }: PeerEffects): PeerEvent[] {
    const events: PeerEvent[] = [];
    for (const { write, id } of appends) {
      void this.#storage.append(write);
      const nodeState = write.snapshot && new Map<string, Uint8Array>();
      events.push({ type: "appended", id, nodeState });
    }
    if (apply?.type === "configuration") {
      void this.#storage.saveConfState(apply.confState, apply.index);
      events.push({ type: "configuration-saved" });
    } else if (apply !== undefined) {
      const results = apply.batch.commands.map(() => undefined);
      this.#heldBatch = { type: "applied", results };
      if (!this.holdsBatches) events.push(this.#heldBatch);
    }
    return events;
  }
}

/** What callers are told: where their change is, or why there is none. */
function answers(all: readonly PeerEffects[]): (number | string)[] {
  return all.flatMap(({ changed, changesRejected }) => [
    ...changed.map(({ index }) => index),
    ...changesRejected.map(({ error }) => error.code),
  ]);
}

test("a change whose second step came in a snapshot took effect, whatever was changed after it", () => {
  const leader = new Leader();
  const { term } = leader;
  const asked = leader.change({ kind: "swap", removed: 3, promoted: LEARNER });
  assert.deepEqual(answers(asked), []);
  // The member that was promoted was removed again.
  assert.deepEqual(answers(leader.overtake(9, [1, 2], [])), []);
  assert.deepEqual(answers(leader.follow(9, term)), [CHANGE_INDEX]);
});

test("a change that is being applied when a snapshot comes took effect, whatever was changed after it", () => {
  const leader = new Leader();
  leader.holdsBatches = true;
  const member = { peerId: 5, nodeId: 5 };
  assert.deepEqual(answers(leader.change({ kind: "add-learner", member })), []);
  assert.deepEqual(answers(leader.overtake(9, [1, 2, 3], [LEARNER])), []);
  assert.deepEqual(answers(leader.finishBatch()), [CHANGE_INDEX]);
});

test("a change that was void on all replicas is answered as one without effect", () => {
  const leader = new Leader(new Map([[`removed/${LEARNER}`, Uint8Array.of(1)]]));
  assert.deepEqual(answers(leader.change({ kind: "promote", peerId: LEARNER })), ["PEER_ID_USED"]);
});
