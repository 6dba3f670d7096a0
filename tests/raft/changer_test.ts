/** The changer of configurations under random changes, and what restoring one accepts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  applyChange,
  applySimple,
  checkConfState,
  ConfChangeError,
  type ConfChangeSingle,
  type ConfChangeType,
  type ConfChangeV2,
  type ConfState,
  createConfState,
  enterJoint,
  leaveJoint,
  type Membership,
  RaftInvariantError,
  restoreMembership,
} from "../../src/raft/mod.ts";

const PEERS = { lastIndex: 10, limits: { countMax: 8, bytesMax: Infinity } };
const TYPES: readonly ConfChangeType[] = ["add-node", "remove-node", "add-learner", "update-node"];

const single: fc.Arbitrary<ConfChangeSingle> = fc.record({
  type: fc.constantFrom(...TYPES),
  peerId: fc.integer({ min: 0, max: 6 }),
});
const change: fc.Arbitrary<ConfChangeV2> = fc.record({
  transition: fc.constantFrom(
    "auto" as const,
    "joint-implicit" as const,
    "joint-explicit" as const,
  ),
  changes: fc.array(single, { maxLength: 5 }),
  context: fc.constant(undefined),
});

const restore = (fields: Partial<ConfState>): Membership =>
  restoreMembership(createConfState(fields), PEERS);

function attempt(from: Membership, what: ConfChangeV2): Membership | undefined {
  try {
    return applyChange(from, what, PEERS);
  } catch (error) {
    assert.ok(error instanceof ConfChangeError, String(error));
    return undefined;
  }
}

const isDisjoint = (a: readonly number[], b: readonly number[]) => !a.some((id) => b.includes(id));

function checkInvariants({ confState, progress }: Membership): void {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = confState;
  assert.ok(isDisjoint(voters, learners), "no learner votes");
  assert.ok(isDisjoint(votersOutgoing, learners), "no learner votes in the outgoing half");
  assert.ok(isDisjoint(learnersNext, voters), "who is to be a learner does not stay a voter");
  assert.ok(learnersNext.every((id) => votersOutgoing.includes(id)));
  if (votersOutgoing.length === 0) {
    assert.equal(learnersNext.length, 0);
    assert.equal(autoLeave, false);
  }
  assert.ok(voters.length > 0, "there is always a voter");
  const all = [...new Set([...voters, ...votersOutgoing, ...learners])].sort((a, b) => a - b);
  assert.deepEqual(
    [...progress.keys()].sort((a, b) => a - b),
    all,
    "exactly the peers are tracked",
  );
  for (const [id, state] of progress) assert.equal(state.isLearner, learners.includes(id));
}

/** Every set of voters that can decide alone. */
function quorums({ confState }: Membership): number[][] {
  const halves = [confState.voters, confState.votersOutgoing].filter((half) => half.length > 0);
  const universe = [...new Set(halves.flat())];
  const result: number[][] = [];
  for (let mask = 0; mask < 1 << universe.length; mask++) {
    const some = universe.filter((_, bit) => (mask >> bit) & 1);
    const decides = halves.every((half) =>
      half.filter((id) => some.includes(id)).length * 2 > half.length
    );
    if (decides) result.push(some);
  }
  return result;
}

test("every configuration that changes lead to keeps the invariants", () => {
  fc.assert(fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
    let membership = restore({ voters: [1, 2, 3] });
    for (const what of changes) membership = attempt(membership, what) ?? membership;
    checkInvariants(membership);
  }));
});

test("every quorum of a configuration meets every quorum of the next", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      let membership = restore({ voters: [1, 2, 3] });
      for (const what of changes) {
        const next = attempt(membership, what);
        if (next === undefined) continue;
        for (const before of quorums(membership)) {
          for (const after of quorums(next)) assert.ok(!isDisjoint(before, after));
        }
        membership = next;
      }
    }),
    { numRuns: 60 },
  );
});

test("a change leaves the membership it starts from as it was", () => {
  fc.assert(fc.property(fc.array(change, { maxLength: 6 }), change, (changes, last) => {
    let membership = restore({ voters: [1, 2, 3] });
    for (const what of changes) membership = attempt(membership, what) ?? membership;
    const picture = (m: Membership) =>
      structuredClone([m.confState, [...m.progress].map(([id, state]) => [id, { ...state }])]);
    const before = picture(membership);
    attempt(membership, last);
    assert.deepEqual(picture(membership), before);
  }));
});

test("restoring the configuration that changes led to gives it back", () => {
  fc.assert(fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
    let membership = restore({ voters: [1, 2, 3] });
    for (const what of changes) membership = attempt(membership, what) ?? membership;
    const restored = restoreMembership(membership.confState, PEERS);
    assert.deepEqual(restored.confState, membership.confState);
    checkInvariants(restored);
  }));
});

test("a joint change ends where the same simple changes end, one at a time", () => {
  const steps = fc.array(
    fc.record({
      type: fc.constantFrom<ConfChangeType>("add-node", "remove-node", "add-learner"),
      peerId: fc.integer({ min: 1, max: 6 }),
    }),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(fc.property(steps, (changes) => {
    const start = restore({ voters: [1, 2, 3] });
    let oneByOne: Membership = start;
    try {
      for (const step of changes) oneByOne = applySimple(oneByOne, [step], PEERS);
    } catch (error) {
      assert.ok(error instanceof ConfChangeError);
      return;
    }
    const joint = leaveJoint(enterJoint(start, false, changes, PEERS));
    assert.deepEqual(joint.confState, oneByOne.confState);
  }));
});

/** Every configuration over peers 1 to 3, sensible or not. */
function* everyConfState(): Generator<ConfState> {
  const subset = (mask: number) => [1, 2, 3].filter((id) => (mask >> (id - 1)) & 1);
  for (let i = 0; i < 8 ** 4 * 2; i++) {
    yield {
      voters: subset(i & 7),
      learners: subset((i >> 3) & 7),
      votersOutgoing: subset((i >> 6) & 7),
      learnersNext: subset((i >> 9) & 7),
      autoLeave: ((i >> 12) & 1) === 1,
    };
  }
}

test("restoring accepts exactly the configurations that changes can lead to", () => {
  const key = (confState: ConfState) => JSON.stringify(createConfState(confState));
  const empty = restore({});
  const reached = new Map([[key(empty.confState), empty]]);
  const singles: ConfChangeSingle[] = [];
  for (const type of TYPES) for (const peerId of [1, 2, 3]) singles.push({ type, peerId });
  const bundles = singles.flatMap((a) =>
    singles.flatMap((b) => [[a, b], ...singles.map((c) => [a, b, c])])
  );
  const waiting = [empty];
  const visit = (make: () => Membership) => {
    let next: Membership;
    try {
      next = make();
    } catch (error) {
      assert.ok(error instanceof ConfChangeError, String(error));
      return;
    }
    const name = key(next.confState);
    if (reached.has(name)) return;
    reached.set(name, next);
    waiting.push(next);
  };
  for (let from = waiting.pop(); from !== undefined; from = waiting.pop()) {
    const current = from;
    for (const step of singles) visit(() => applySimple(current, [step], PEERS));
    if (current.confState.votersOutgoing.length > 0) {
      visit(() => leaveJoint(current));
      continue;
    }
    if (current.confState.voters.length === 0) continue;
    for (const auto of [true, false]) {
      visit(() => enterJoint(current, auto, [], PEERS));
      for (const step of singles) visit(() => enterJoint(current, auto, [step], PEERS));
      for (const bundle of bundles) visit(() => enterJoint(current, auto, bundle, PEERS));
    }
  }
  for (const confState of everyConfState()) {
    let accepted = true;
    try {
      checkConfState(confState);
    } catch (error) {
      assert.ok(error instanceof ConfChangeError);
      accepted = false;
    }
    assert.equal(accepted, reached.has(key(confState)), key(confState));
  }
});

test("restoring refuses ids that are none, and ids named twice", () => {
  const refused: Partial<ConfState>[] = [
    { voters: [0] },
    { voters: [1.5] },
    { voters: [Number.MAX_SAFE_INTEGER] },
    { voters: [1], learners: [-1] },
    { voters: [1, 1] },
    { voters: [1], learners: [2, 2] },
  ];
  for (const fields of refused) assert.throws(() => restore(fields), ConfChangeError);
});

test("a peer that joins is probed from the end of the log and counts as active at first", () => {
  const next = applySimple(restore({ voters: [1] }), [{ type: "add-node", peerId: 2 }], PEERS);
  const state = next.progress.get(2);
  assert.equal(state?.nextIndex, 10);
  assert.equal(state?.matchIndex, 0);
  assert.equal(state?.recentActive, true);
});

test("a voter that is demoted in a joint configuration votes until it is left", () => {
  const demote = [{ type: "add-learner", peerId: 1 }, { type: "add-node", peerId: 4 }] as const;
  const joint = enterJoint(restore({ voters: [1, 2, 3] }), false, demote, PEERS);
  assert.deepEqual(joint.confState.learnersNext, [1]);
  assert.equal(joint.progress.get(1)?.isLearner, false);
  const left = leaveJoint(joint);
  assert.deepEqual(left.confState.learners, [1]);
  assert.equal(left.progress.get(1)?.isLearner, true);
});

test("what is known about a peer survives a change of the others and its own demotion", () => {
  const from = restore({ voters: [1, 2, 3] });
  const state = from.progress.get(2)!;
  state.matchIndex = 7;
  state.nextIndex = 9;
  state.becomeReplicate();
  const next = applySimple(from, [{ type: "add-learner", peerId: 2 }], PEERS);
  assert.equal(next.progress.get(2)?.matchIndex, 7);
  assert.equal(next.progress.get(2)?.state, "replicate");
  assert.equal(next.progress.get(2)?.isLearner, true);
});

test("changes that do not fit are refused with what is wrong", () => {
  const three = restore({ voters: [1, 2, 3] });
  const joint = enterJoint(three, false, [{ type: "add-node", peerId: 4 }], PEERS);
  const cases: [() => unknown, string][] = [
    [() => applySimple(joint, [{ type: "add-node", peerId: 5 }], PEERS), "joint config"],
    [() => enterJoint(joint, true, [], PEERS), "config is already joint"],
    [() => leaveJoint(three), "can't leave a non-joint config"],
    [() => enterJoint(restore({}), true, [], PEERS), "zero-voter"],
    [
      () => applySimple(restore({ voters: [1] }), [{ type: "remove-node", peerId: 1 }], PEERS),
      "removed all voters",
    ],
    [
      () =>
        applySimple(three, [{ type: "add-node", peerId: 4 }, {
          type: "remove-node",
          peerId: 1,
        }], PEERS),
      "more than one voter changed",
    ],
    [
      () => applySimple(three, [{ type: "none" as ConfChangeType, peerId: 4 }], PEERS),
      "unexpected conf type",
    ],
  ];
  for (const [make, what] of cases) {
    assert.throws(
      make,
      (error: unknown) => error instanceof ConfChangeError && error.message.includes(what),
      what,
    );
  }
});

test("a membership that contradicts itself is a bug, not a refusal", () => {
  const wrong: Membership = {
    confState: createConfState({ voters: [1, 2] }),
    progress: restore({ voters: [1] }).progress,
  };
  assert.throws(() => applySimple(wrong, [], PEERS), RaftInvariantError);
});
