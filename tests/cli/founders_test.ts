/** What a node is told whose data was made for other members than it is started with. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandFailedError } from "../../src/cli/errors.ts";
import { checkFounders } from "../../src/cli/founders.ts";
import { createConfState, createEntry } from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/mod.ts";

interface Data {
  readonly voters: readonly number[];
  readonly learners?: readonly number[];
  /** The term the node has reached, with an entry of it; none: it was never elected nor led. */
  readonly term?: number;
  /** Whether these voters are what a change in the log has made. */
  readonly changed?: boolean;
}

/** What node 1 is told that has this data, with these ids in `--members`; "" when it may start. */
async function start(data: Data, named: readonly number[], join = false): Promise<string> {
  const confState = createConfState({
    voters: [...data.voters],
    learners: [...data.learners ?? []],
  });
  const region = new MemoryStorage({
    regionId: 1,
    peerId: 1,
    initial: { index: 1, term: 1, confState },
  });
  const { hardState } = region.initialState();
  await region.append({ hardState: { ...hardState, currentTerm: data.term ?? 1 } });
  if (data.term !== undefined) {
    await region.append({ entries: [createEntry({ index: 2, term: data.term })] });
    if (data.changed) await region.saveConfState(confState, 2);
  }
  const members = named.map((nodeId) => ({
    nodeId,
    peer: { host: "h", port: nodeId },
    client: undefined,
  }));
  try {
    checkFounders({ nodeId: 1, data: "/data", members, join }, region);
    return "";
  } catch (error) {
    assert.ok(error instanceof CommandFailedError, String(error));
    assert.equal(error.exitCode, 1);
    return error.message;
  }
}

test("a first start that failed is not gone on with under other members", async () => {
  for (const [voters, named] of [[[1], [1, 2, 3]], [[1, 2, 3], [1]], [[1, 2], [1, 3]]]) {
    const text = await start({ voters }, named);
    assert.match(text, /data in \/data was made for the members/);
    assert.ok(
      text.includes(`members ${voters.join(", ")}, and --members names ${named.join(", ")}`),
    );
    assert.match(text, /Nothing was written or voted yet/);
  }
});

test("a cluster of one that has written does not become part of another one", async () => {
  const text = await start({ voters: [1], term: 2 }, [1, 2, 3]);
  assert.match(text, /add others with `flaredb member add`/);
});

test("the members that the data was made for start it again", async () => {
  assert.equal(await start({ voters: [1, 2, 3] }, [1, 2, 3]), "");
  assert.equal(await start({ voters: [1], term: 2 }, [1]), "");
  assert.equal(await start({ voters: [1], learners: [2], term: 2 }, [1, 2]), "");
});

test("once members may have changed --members is an address book, old or new", async () => {
  assert.equal(await start({ voters: [1, 2, 3], term: 2 }, [1, 3, 4]), "");
  assert.equal(await start({ voters: [1, 2, 3], term: 2 }, [1]), "");
  assert.equal(await start({ voters: [1], term: 2, changed: true }, [1, 2, 3]), "");
});

test("a node without --members, and one that joins, has nothing to compare", async () => {
  assert.equal(await start({ voters: [1, 2, 3] }, [1], true), "");
  assert.equal(await start({ voters: [] }, [1, 2, 3]), "");
});
