/** Quorums against the definitions, computed the slow and obvious way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JointQuorum, MajorityQuorum, type PeerId } from "../../src/raft/mod.ts";

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 });
const acks = fc.array(fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }), {
  minLength: 10,
  maxLength: 10,
});
const groups = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 10, maxLength: 10 });
const ballots = fc.array(fc.option(fc.boolean(), { nil: undefined }), {
  minLength: 10,
  maxLength: 10,
});

/** The largest of the candidate indices that more than half of the voters have reached. */
function committedByDefinition(
  voters: readonly PeerId[],
  acked: readonly (number | undefined)[],
): number {
  if (voters.length === 0) return Infinity;
  let best = 0;
  for (let index = 0; index <= 6; index++) {
    const count = voters.filter((id) => (acked[id] ?? 0) >= index).length;
    if (count * 2 > voters.length) best = index;
  }
  return best;
}

/**
 * The largest index that a majority has reached and that is stored in two groups. Voters without a
 * group hold it back to what every voter has, when there is but one group.
 */
function groupCommittedByDefinition(
  voters: readonly PeerId[],
  acked: readonly (number | undefined)[],
  group: readonly number[],
): number {
  const majority = committedByDefinition(voters, acked);
  const named = new Set(voters.map((id) => group[id]).filter((g) => g !== 0));
  if (named.size >= 2) {
    let best = 0;
    for (let index = 0; index <= majority; index++) {
      const holders = new Set(
        voters.filter((id) => (acked[id] ?? 0) >= index).map((id) => group[id]).filter((g) =>
          g !== 0
        ),
      );
      if (holders.size >= 2) best = index;
    }
    return best;
  }
  const all = Math.min(...voters.map((id) => acked[id] ?? 0));
  return voters.some((id) => group[id] === 0) ? all : majority;
}

function outcomeByDefinition(
  voters: readonly PeerId[],
  votes: readonly (boolean | undefined)[],
): string {
  const yes = voters.filter((id) => votes[id] === true).length;
  const no = voters.filter((id) => votes[id] === false).length;
  if (yes * 2 > voters.length || voters.length === 0) return "won";
  // Lost once even all the missing votes could not make a majority.
  return (voters.length - no) * 2 > voters.length ? "pending" : "lost";
}

const asMap = (votes: readonly (boolean | undefined)[]) =>
  new Map(votes.flatMap((vote, id) => vote === undefined ? [] : [[id, vote] as const]));

test("a majority commits the largest index that more than half of the voters have reached", () => {
  fc.assert(fc.property(ids, acks, (voters, acked) => {
    const quorum = new MajorityQuorum(voters);
    assert.equal(quorum.committedIndex((id) => acked[id]), committedByDefinition(voters, acked));
  }));
});

test("a joint quorum commits what both halves commit", () => {
  fc.assert(fc.property(ids, ids, acks, (incoming, outgoing, acked) => {
    const quorum = new JointQuorum(new MajorityQuorum(incoming), new MajorityQuorum(outgoing));
    const expected = Math.min(
      committedByDefinition(incoming, acked),
      committedByDefinition(outgoing, acked),
    );
    assert.equal(quorum.committedIndex((id) => acked[id]), expected);
  }));
});

test("group commit wants a majority and two groups that hold the index", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 }),
    acks,
    groups,
    (voters, acked, group) => {
      const commit = new MajorityQuorum(voters).groupCommittedIndex(
        (id) => acked[id],
        (id) => group[id],
      );
      assert.equal(commit.index, groupCommittedByDefinition(voters, acked, group));
      const named = new Set(voters.map((id) => group[id]).filter((g) => g !== 0));
      assert.equal(commit.byGroups, named.size >= 2);
    },
  ));
});

test("group commit in a joint quorum holds in both halves", () => {
  fc.assert(fc.property(ids, ids, acks, groups, (incoming, outgoing, acked, group) => {
    const of = (voters: readonly PeerId[]) =>
      new MajorityQuorum(voters).groupCommittedIndex((id) => acked[id], (id) => group[id]);
    const joint = new JointQuorum(new MajorityQuorum(incoming), new MajorityQuorum(outgoing));
    assert.deepEqual(joint.groupCommittedIndex((id) => acked[id], (id) => group[id]), {
      index: Math.min(of(incoming).index, of(outgoing).index),
      byGroups: of(incoming).byGroups && of(outgoing).byGroups,
    });
  }));
});

test("an election is won by more than half, and lost once that cannot be reached", () => {
  fc.assert(fc.property(ids, ballots, (voters, votes) => {
    const result = new MajorityQuorum(voters).voteResult(asMap(votes));
    assert.equal(result, outcomeByDefinition(voters, votes));
  }));
});

test("a joint election is won in both halves, and lost once one has lost", () => {
  fc.assert(fc.property(ids, ids, ballots, (incoming, outgoing, votes) => {
    const halves = [outcomeByDefinition(incoming, votes), outcomeByDefinition(outgoing, votes)];
    const expected = halves.includes("lost")
      ? "lost"
      : halves.every((half) => half === "won")
      ? "won"
      : "pending";
    const joint = new JointQuorum(new MajorityQuorum(incoming), new MajorityQuorum(outgoing));
    assert.equal(joint.voteResult(asMap(votes)), expected);
  }));
});

test("the voters of a joint quorum are those of both halves, ascending and once", () => {
  fc.assert(fc.property(ids, ids, (incoming, outgoing) => {
    const joint = new JointQuorum(new MajorityQuorum(incoming), new MajorityQuorum(outgoing));
    const expected = [...new Set([...incoming, ...outgoing])].sort((a, b) => a - b);
    assert.deepEqual(joint.ids(), expected);
    for (let id = 1; id <= 9; id++) assert.equal(joint.has(id), expected.includes(id));
  }));
});

test("the empty quorum agrees to everything, so that the other half decides", () => {
  const empty = new MajorityQuorum();
  assert.equal(empty.committedIndex(() => 0), Infinity);
  assert.equal(empty.voteResult(new Map()), "won");
  assert.deepEqual(empty.groupCommittedIndex(() => 0, () => 0), {
    index: Infinity,
    byGroups: true,
  });
});

test("the votes of those who are no voters count for nothing", () => {
  const votes = new Map([[4, true], [5, true], [6, true]]);
  assert.equal(new MajorityQuorum([1, 2, 3]).voteResult(votes), "pending");
});
