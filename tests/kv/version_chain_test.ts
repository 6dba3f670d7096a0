import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChainLink, jumpAfter, versionAt } from "../../src/kv/version_chain.ts";

interface Row extends ChainLink {
  readonly ordinal: number;
}

/** A chain of versions as the store builds it: one a revision, each revision `stride` apart. */
function buildChain(length: number, stride = 1): Map<number, Row> {
  const rows = new Map<number, Row>();
  let head: Row | undefined;
  for (let sequence = 1; sequence <= length; sequence++) {
    const jump: Row | undefined = head && rows.get(head.jump);
    const row: Row = {
      sequence,
      revision: sequence * stride,
      previous: head?.sequence ?? 0,
      ordinal: sequence,
      jump: head === undefined ? 0 : jumpAfter({
        sequence: head.sequence,
        ordinal: head.ordinal,
        jump: head.jump,
        jumpOrdinal: jump?.ordinal ?? null,
        jumpJump: jump?.jump ?? null,
        jumpJumpOrdinal: (jump && rows.get(jump.jump)?.ordinal) ?? null,
      }),
    };
    rows.set(sequence, row);
    head = row;
  }
  return rows;
}

test("every version is found, between revisions too, and none before the first", () => {
  const rows = buildChain(300, 3);
  for (let revision = 0; revision <= 900; revision++) {
    const found = versionAt(rows.get(300)!, revision, (sequence) => rows.get(sequence));
    assert.equal(found?.sequence ?? 0, Math.floor(revision / 3));
  }
});

test("a version among a hundred thousand is found in under a hundred steps", () => {
  const rows = buildChain(100_000);
  for (let revision = 1; revision <= 100_000; revision += 997) {
    let steps = 0;
    const found = versionAt(rows.get(100_000)!, revision, (sequence) => {
      steps++;
      return rows.get(sequence);
    });
    assert.equal(found?.sequence, revision);
    assert.ok(steps < 100, `revision ${revision} took ${steps} steps`);
  }
});

test("what may still be read is found after everything older was removed", () => {
  for (const compacted of [1, 2, 77, 128, 255, 499]) {
    const rows = buildChain(500);
    for (let sequence = 1; sequence < compacted; sequence++) rows.delete(sequence);
    for (let revision = compacted; revision <= 500; revision++) {
      const found = versionAt(rows.get(500)!, revision, (sequence) => rows.get(sequence));
      assert.equal(found?.sequence, revision);
    }
  }
});
