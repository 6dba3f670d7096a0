import assert from "node:assert/strict";
import { test } from "node:test";
import { RawClient, withTransports } from "./grpc_support.ts";
import { until } from "./support.ts";

test("a transport takes as many connections as it is told, and again when one has ended", () =>
  withTransports(async (start) => {
    const { transport } = await start(1, { connectionsMax: 2 });
    const clients = [7, 8].map(() => new RawClient(transport.address()));
    const late: RawClient[] = [];
    try {
      await clients[0]!.open({ fromNode: 7 });
      await clients[1]!.open({ fromNode: 8 });
      const refused = new RawClient(transport.address());
      late.push(refused);
      refused.send(new Uint8Array(0));
      assert.equal((await refused.ended()).code, 14);
      assert.equal(transport.counters().connectionsAccepted, 2);
      clients[0]!.close();
      await until("room for another", () => {
        const last = late.at(-1)!;
        if (last.replies.length > 0) return true;
        if (last.status !== undefined) {
          const next = new RawClient(transport.address());
          late.push(next);
          void next.open({ fromNode: 9 }).catch(() => {});
        }
        return false;
      });
    } finally {
      for (const client of [...clients, ...late]) client.close();
    }
  }));

test("a transport needs room for two connections at least", async () => {
  await withTransports(async (start) => {
    await assert.rejects(start(1, { connectionsMax: 1 }), { code: "INVALID_CONFIG" });
    await start(1, { connectionsMax: 2 });
  });
});
