/**
 * Three real processes behind the loopback fault proxy, with clients whose history is checked; and the
 * proof that the check would notice a stale read. `deno task torture` does the same for an hour.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TortureCluster } from "../../scripts/torture/cluster.ts";
import { untilAllServe } from "../../scripts/torture/convergence.ts";
import { FAULT_KINDS, held } from "../../scripts/torture/faults.ts";
import { GET, type KeyInput } from "../../scripts/torture/model.ts";
import { perform, readVersion } from "../../scripts/torture/operation.ts";
import { Recorder } from "../../scripts/torture/recorder.ts";
import { torture } from "../../scripts/torture/run.ts";
import { EtcdClient } from "../../src/etcd/mod.ts";
import { DEADLINE_MS, until, withSandbox } from "./support.ts";

const LONG = { timeout: 300_000 };

test(
  "three processes under partitions, delays, cuts, pauses and kills stay linearizable",
  LONG,
  async () => {
    const report = await torture({ seed: 5, seconds: 30, roundSeconds: 30, clients: 10, keys: 6 });
    assert.ok(report.answered > 50, `only ${report.answered} operations were answered`);
    assert.ok(report.elections > 1, `only ${report.elections} elections`);
    assert.ok(report.snapshotsToNew > 0, "no snapshots");
    for (const kind of FAULT_KINDS) assert.ok(report.faults[kind] > 0, `no ${kind}`);
  },
);

test(
  "a stale read, as a member cut off serves it when asked not to be linearizable, is noticed",
  LONG,
  () =>
    withSandbox(async ({ folder }) => {
      const cluster = await TortureCluster.start(folder, 3);
      const { endpoints, network, ids } = cluster;
      const client = new EtcdClient({ endpoints });
      try {
        await untilAllServe({ endpoints, deadlineMs: DEADLINE_MS, check: () => cluster.check() });
        const recorder = new Recorder();
        const ask = async (input: KeyInput, id: number, serializable: boolean): Promise<number> => {
          const open = recorder.call(id, input);
          const call = { endpoint: endpoints[id - 1], deadlineMs: 5_000, serializable };
          const answer = await perform(client, input, call);
          recorder.answered(open, answer);
          return answer.output.value;
        };
        const put = (value: number): KeyInput => ({
          key: "k",
          then: { type: "put", value },
          else: GET,
        });
        const get: KeyInput = { key: "k", then: GET, else: GET };
        const { leader } = cluster;
        const stale = ids.find((id) => id !== leader)!;

        await ask(put(1), leader, false);
        await until("the value on the follower", async () => await ask(get, stale, false) === 1);
        const others = ids.filter((id) => id !== stale);
        network.apply(others.flatMap((id) => [held(id, stale), held(stale, id)]));
        await ask(put(2), leader, false);
        await assert.rejects(
          client.get("k", { endpoint: endpoints[stale - 1], deadlineMs: 500 }),
          { name: "EtcdError" },
        );
        const problem = async (): Promise<string | undefined> =>
          (await recorder.check((key, revision) => readVersion(client, key, revision))).problem;
        assert.equal(await problem(), undefined);

        assert.equal(await ask(get, stale, true), 1);
        assert.equal(await problem(), "the history of key k is not linearizable");
      } finally {
        client.close();
        await cluster.close();
      }
    }),
);
