/** The writes of a replica on their way to the disk. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { AppendQueue } from "../../src/node/append_queue.ts";
import type { AppendWork } from "../../src/node/mod.ts";
import { createPeerCounters } from "../../src/node/mod.ts";
import {
  APPEND_THREAD,
  createEntry,
  createMessage,
  type Message,
  RaftInvariantError,
} from "../../src/raft/mod.ts";

const HARD_STATE = { currentTerm: 3, votedFor: 1, commitIndex: 5 };
const VOTE = createMessage({ type: "vote-response", from: 1, to: 2, term: 4 });
const ACKNOWLEDGEMENT = createMessage({ type: "append-response", from: 1, to: 2, index: 6 });

function storageAppend(fields: Partial<Message>): Message {
  return createMessage({ type: "storage-append", from: 1, to: APPEND_THREAD, ...fields });
}

function newQueue(): AppendQueue {
  return new AppendQueue(HARD_STATE, createPeerCounters());
}

test("a vote is answered only when it is durable", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  const voted = storageAppend({ term: 4, vote: 2, commit: 5, responses: [VOTE] });
  assert.deepEqual(queue.push(voted, appends), []);
  assert.deepEqual(appends[0].write.hardState, { currentTerm: 4, votedFor: 2, commitIndex: 5 });
  assert.deepEqual(queue.complete(appends[0].id), [VOTE]);
});

test("a vote in the same term is a write too", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  queue.push(storageAppend({ term: 3, vote: 2, commit: 5, responses: [VOTE] }), appends);
  assert.equal(appends.length, 1);
});

test("a commit index rides with the next entries", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  queue.push(storageAppend({ term: 3, vote: 1, commit: 6 }), appends);
  assert.equal(appends.length, 0);
  const entries = [createEntry({ index: 7, term: 3 })];
  queue.push(storageAppend({ entries }), appends);
  assert.equal(appends.length, 1);
  assert.deepEqual(appends[0].write.entries, entries);
  assert.deepEqual(appends[0].write.hardState, { ...HARD_STATE, commitIndex: 6 });
});

test("a commit index leaves at a tick when the disk is idle", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  queue.push(storageAppend({ entries: [createEntry({ index: 6, term: 3 })] }), appends);
  queue.push(storageAppend({ term: 3, vote: 1, commit: 6 }), appends);
  assert.equal(queue.tick(), undefined);
  queue.complete(appends[0].id);
  assert.deepEqual(queue.tick()?.write, { hardState: { ...HARD_STATE, commitIndex: 6 } });
  assert.equal(queue.tick(), undefined);
});

test("an answer without a write waits for the writes before it", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  assert.deepEqual(queue.push(storageAppend({ responses: [ACKNOWLEDGEMENT] }), appends), [
    ACKNOWLEDGEMENT,
  ]);
  queue.push(storageAppend({ entries: [createEntry({ index: 6, term: 3 })] }), appends);
  assert.deepEqual(queue.push(storageAppend({ responses: [ACKNOWLEDGEMENT] }), appends), []);
  assert.equal(appends.length, 1);
  assert.deepEqual(queue.complete(appends[0].id), [ACKNOWLEDGEMENT]);
});

test("the age of the oldest write is counted in ticks", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  const write = () => queue.push(storageAppend({ entries: [createEntry({ index: 6 })] }), appends);
  queue.tick();
  assert.equal(queue.oldestTicks, 0);
  write();
  queue.tick();
  write();
  queue.tick();
  assert.equal(queue.oldestTicks, 2);
  queue.complete(appends[0].id);
  assert.equal(queue.oldestTicks, 1);
  queue.complete(appends[1].id);
  assert.equal(queue.oldestTicks, 0);
});

test("writes that complete out of order are a bug", () => {
  const queue = newQueue();
  const appends: AppendWork[] = [];
  for (const index of [6, 7]) {
    queue.push(storageAppend({ entries: [createEntry({ index })] }), appends);
  }
  assert.throws(() => queue.complete(appends[1].id), RaftInvariantError);
});
