/** A leader takes each forwarded proposal once, in the term it is meant for. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeProposalId } from "../../src/node/envelope.ts";
import { ForwardedProposals } from "../../src/node/forwarded.ts";
import { Random } from "../../src/node/mod.ts";
import { createEntry, createMessage, type Message } from "../../src/raft/mod.ts";

function propose(term: number, sequences: number[], origin = 2, epoch = 77): Message {
  return createMessage({
    type: "propose",
    from: origin,
    to: 1,
    entries: sequences.map((sequence) =>
      createEntry({ context: encodeProposalId(origin, epoch, sequence, term) })
    ),
  });
}

test("a fresh message passes as it is, a repeated one does not", () => {
  const forwarded = new ForwardedProposals();
  const message = propose(5, [1, 2, 3]);
  assert.equal(forwarded.filter(message, 5), message);
  assert.equal(forwarded.filter(message, 5), undefined);
});

test("what is fresh in a message passes without the rest", () => {
  const forwarded = new ForwardedProposals();
  forwarded.filter(propose(5, [2]), 5);
  const rest = forwarded.filter(propose(5, [1, 2, 3]), 5)!;
  assert.deepEqual(rest.entries, propose(5, [1, 3]).entries);
});

test("a proposal for another term does not pass", () => {
  const forwarded = new ForwardedProposals();
  assert.equal(forwarded.filter(propose(4, [1]), 5), undefined);
  assert.equal(forwarded.filter(propose(6, [1]), 5), undefined);
});

test("a proposal may be made again for a later term, and by another incarnation or peer", () => {
  const forwarded = new ForwardedProposals();
  assert.ok(forwarded.filter(propose(5, [1]), 5));
  assert.ok(forwarded.filter(propose(5, [1], 2, 78), 5));
  assert.ok(forwarded.filter(propose(5, [1], 3), 5));
  assert.ok(forwarded.filter(propose(6, [1]), 6));
  assert.equal(forwarded.filter(propose(5, [9]), 6), undefined);
});

test("an entry without a proposal id passes", () => {
  const forwarded = new ForwardedProposals();
  const change = createMessage({
    type: "propose",
    entries: [createEntry({ type: "conf-change" })],
  });
  assert.equal(forwarded.filter(change, 5), change);
  assert.equal(forwarded.filter(change, 5), change);
});

test("a sequence number passes at most once, however they are ordered", () => {
  const forwarded = new ForwardedProposals();
  const random = new Random(1);
  const passed = new Set<number>();
  let highest = 0;
  for (let at = 0; at < 150_000; at++) {
    const sequence = 1 + Math.floor(at / 2) +
      random.below(1_000) * (random.below(20_000) === 0 ? 90 : 1);
    const fresh = forwarded.filter(propose(5, [sequence]), 5) !== undefined;
    if (fresh) assert.ok(!passed.has(sequence), `${sequence} passed twice`);
    else assert.ok(passed.has(sequence) || sequence <= highest - 65_536);
    if (fresh) passed.add(sequence);
    highest = Math.max(highest, sequence);
  }
  assert.ok(passed.size > 25_000);
});

test("beyond 512 incarnations in one term proposals are dropped", () => {
  const forwarded = new ForwardedProposals();
  for (let epoch = 0; epoch < 512; epoch++) {
    assert.ok(forwarded.filter(propose(5, [1], 2, epoch), 5));
  }
  assert.equal(forwarded.filter(propose(5, [1], 2, 512), 5), undefined);
  assert.ok(forwarded.filter(propose(6, [1], 2, 512), 6));
});
