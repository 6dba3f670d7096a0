import assert from "node:assert/strict";
import { test } from "node:test";
import { Peer, type PeerEffects, type PeerEvent } from "../../src/node/mod.ts";
import {
  createConfState,
  createEntry,
  createMessage,
  encodeConfChange,
  type Message,
} from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";

const CONF = createConfState({ voters: [1, 2, 3] });

/** A follower whose writes and applies are answered by hand. */
class Follower {
  readonly storage = new MemoryStorage({
    regionId: 1,
    peerId: 1,
    initial: { index: 1, term: 1, confState: CONF },
  });
  readonly peer: Peer;

  constructor(installsSnapshots: boolean) {
    this.peer = new Peer({
      id: 1,
      nodeId: 1,
      regionId: 1,
      storage: this.storage,
      lastApplied: 1,
      epoch: 1,
      random: () => 0,
      installsSnapshots,
    });
  }

  handle(...events: PeerEvent[]): PeerEffects {
    const effects = this.peer.handle(events, 0);
    assert.equal(effects.failure, undefined);
    for (const { write } of effects.appends) void this.storage.append(write);
    return effects;
  }

  receive(...messages: Message[]): PeerEffects {
    return this.handle({ type: "messages", messages });
  }

  written(effects: PeerEffects): PeerEffects {
    return this.handle(
      ...effects.appends.map(({ id }) => ({ type: "appended", id }) as const),
    );
  }
}

function append(index: number, count: number, commit: number): Message {
  const entries = Array.from(
    { length: count },
    (_, at) =>
      createEntry({ index: index + 1 + at, term: 2, command: Uint8Array.of(index + 1 + at) }),
  );
  const logTerm = index === 1 ? 1 : 2;
  return createMessage({
    type: "append",
    from: 2,
    to: 1,
    term: 2,
    index,
    logTerm,
    entries,
    commit,
  });
}

function snapshot(index: number): Message {
  const data = Uint8Array.of(index);
  const metadata = { index, term: 2, confState: CONF };
  return createMessage({ type: "snapshot", from: 2, to: 1, term: 2, snapshot: { metadata, data } });
}

test("a snapshot replaces what waits to be applied, after the batch under way", () => {
  const follower = new Follower(true);
  const first = follower.written(follower.receive(append(1, 2, 3)));
  assert.equal(first.apply?.type, "batch");
  // Committed while the first batch is being applied: it waits, and the snapshot stands for it.
  follower.written(follower.receive(append(3, 2, 5)));
  const installing = follower.receive(snapshot(9));
  assert.deepEqual(installing.appends.map(({ write }) => write.snapshot?.metadata.index), [9]);
  const finished = follower.handle({ type: "applied", results: [1, 2] });
  assert.equal(follower.peer.lastApplied, 3);
  assert.equal(finished.apply, undefined);
  const installed = follower.written(installing);
  assert.equal(follower.peer.lastApplied, 9);
  assert.deepEqual(
    installed.messages.map(({ type, index }) => [type, index]),
    [["append-response", 9]],
  );
  const next = follower.written(follower.receive(append(9, 1, 10)));
  assert.ok(next.apply?.type === "batch");
  assert.deepEqual(next.apply.batch.commands.map(({ index }) => index), [10]);
});

test("a batch that ends after the snapshot was installed does not take the applied index back", () => {
  const follower = new Follower(true);
  follower.written(follower.receive(append(1, 2, 3)));
  follower.written(follower.receive(snapshot(9)));
  assert.equal(follower.peer.lastApplied, 9);
  follower.handle({ type: "applied", results: [1, 2] });
  assert.equal(follower.peer.lastApplied, 9);
});

test("a configuration change that a snapshot includes is not applied to the core again", () => {
  const follower = new Follower(true);
  follower.written(follower.receive(append(1, 1, 2)));
  const command = encodeConfChange({ type: "add-node", peerId: 4, context: undefined });
  const change = createEntry({ index: 3, term: 2, type: "conf-change", command });
  const message = createMessage({
    type: "append",
    from: 2,
    to: 1,
    term: 2,
    index: 2,
    logTerm: 2,
    entries: [change],
    commit: 3,
  });
  follower.written(follower.receive(message));
  const installing = follower.receive(snapshot(9));
  assert.equal(follower.handle({ type: "applied", results: [1] }).apply, undefined);
  follower.written(installing);
  assert.deepEqual(follower.peer.status().voters, [1, 2, 3]);
});

test("a snapshot with a state is refused by a host that installs none", () => {
  const follower = new Follower(false);
  const { refused, appends } = follower.receive(snapshot(9));
  assert.deepEqual(refused.map(({ code }) => code), ["SNAPSHOT_UNSUPPORTED"]);
  assert.deepEqual(appends.filter(({ write }) => write.snapshot !== undefined), []);
});
