/** `Diagnostics.Counters`: its codec against the .proto, and the method served and asked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readCounters, writeCounters } from "../../src/etcd/mod.ts";
import { ProtoReader, ProtoWriter } from "../../src/kv/mod.ts";
import { reflect } from "../kv/reflection.ts";
import { withServer } from "./support.ts";

test("counters written are those that protobufjs reads, and those read back", () => {
  const type = reflect("flaredb.v1.CountersResponse");
  const names = fc.string({ minLength: 1, unit: "binary" }).filter((name) => name !== "__proto__");
  const counts = fc.dictionary(names, fc.maxSafeNat());
  fc.assert(fc.property(counts, (counters) => {
    const writer = new ProtoWriter();
    writeCounters(writer, counters);
    const bytes = writer.finish();
    const decoded = type.toObject(type.decode(bytes), { longs: Number, defaults: true });
    assert.deepEqual(
      decoded.counters ?? [],
      Object.entries(counters).map(([name, value]) => ({ name, value })),
    );
    assert.deepEqual(readCounters(new ProtoReader(bytes)), { ...counters });
  }));
});

test("a server answers with the counters it was given, as they are at that moment", () => {
  let count = 7;
  return withServer(async ({ client }) => {
    assert.deepEqual(await client.counters(), { "peer.reads": 7 });
    count = 8;
    assert.deepEqual(await client.counters(), { "peer.reads": 8 });
  }, { counters: () => ({ "peer.reads": count }) });
});

test("a server without counters answers with none", () =>
  withServer(async ({ client }) => assert.deepEqual(await client.counters(), {})));
