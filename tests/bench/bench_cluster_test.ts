/** `deno task bench:cluster`: a short load on a real cluster, what it checks, and how it reports. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { parseArguments } from "../../scripts/bench_cluster/arguments.ts";
import { benchmark, type Measurement } from "../../scripts/bench_cluster/benchmark.ts";
import { flaredbSystem } from "../../scripts/bench_cluster/cluster.ts";
import { percentile } from "../../scripts/bench_cluster/measures.ts";
import { headingLine, markdown, measurementLine } from "../../scripts/bench_cluster/report.ts";
import { ClientWork } from "../../scripts/bench_cluster/workload.ts";
import { currentRuntime } from "../../scripts/package/runtimes.ts";
import { writePutResponse, writeRangeResponse } from "../../src/etcd/mod.ts";
import { ProtoReader, ProtoWriter, readPutRequest } from "../../src/kv/mod.ts";

const LONG = { timeout: 300_000 };

test(
  "64 clients share proposals, transactions, frames and rounds, and every value is right",
  LONG,
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "flaredb-bench-test-"));
    const { version } = currentRuntime();
    const system = flaredbSystem(currentRuntime(), process.execPath, version);
    const seen: Measurement[] = [];
    try {
      const result = await benchmark(system, {
        clients: [64],
        seconds: 1,
        warmupSeconds: 1,
        valueBytes: 256,
        target: "all",
        connectionsPerMember: 2,
        directory,
      }, (one) => seen.push(one));
      assert.deepEqual(seen, result.measurements);
      assert.deepEqual(seen.map(({ operation }) => operation), ["put", "get"]);
      const [puts, gets] = seen;
      assert.ok(puts!.calls > 0 && gets!.calls > 0);
      assert.ok(puts!.medianMs > 0 && puts!.percentile99Ms >= puts!.medianMs);
      assert.ok(puts!.batching!.entriesPerProposal > 2, JSON.stringify(puts));
      assert.ok(puts!.batching!.entriesPerTransaction > 2, JSON.stringify(puts));
      assert.ok(puts!.batching!.messagesPerFrame > 1.3, JSON.stringify(puts));
      assert.ok(gets!.batching!.messagesPerFrame > 1.3, JSON.stringify(gets));
      assert.ok(gets!.batching!.readsPerRound > 2, JSON.stringify(gets));
      assert.ok(result.pairsVerified >= 3 * 64);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

/** What a server that holds `value` answers to a read. */
function rangeResponse(key: Buffer, value: Uint8Array): Uint8Array {
  const writer = new ProtoWriter();
  const pair = { key, value, createRevision: 2, modRevision: 2, version: 1, lease: 0n };
  const header = { clusterId: 1n, memberId: 1n, revision: 2, raftTerm: 1 };
  writeRangeResponse(writer, { header, kvs: [pair], more: false, count: 1 });
  return writer.finish();
}

function putResponse(revision: number): Uint8Array {
  const writer = new ProtoWriter();
  const header = { clusterId: 1n, memberId: 1n, revision, raftTerm: 1 };
  writePutResponse(writer, { header, prevKv: undefined });
  return writer.finish();
}

test("a value that is stale, of another key, damaged or missing is noticed", () => {
  const work = new ClientWork("bench/2", 0, 2, 64);
  const values = [0, 1].map((version) => {
    const { value } = readPutRequest(new ProtoReader(work.putRequest(5)));
    work.acknowledge(5, putResponse(version + 1));
    return Uint8Array.from(value);
  });
  const name = work.nameOf(5);
  work.check(5, rangeResponse(name, values[1]!));
  assert.throws(
    () => work.check(5, rangeResponse(name, values[0]!)),
    /expected the value of write 2/,
  );
  const damaged = Uint8Array.from(values[1]!);
  damaged[63] ^= 1;
  assert.throws(() => work.check(5, rangeResponse(name, damaged)), /expected the value/);
  const other = readPutRequest(new ProtoReader(work.putRequest(6))).value;
  assert.throws(() => work.check(5, rangeResponse(name, other)), /expected the value/);
  assert.throws(() => work.check(5, new Uint8Array()), /expected 1 pair, found 0/);
});

test("a revision that does not rise is noticed", () => {
  const work = new ClientWork("bench/1", 0, 1, 16);
  work.acknowledge(1, putResponse(7));
  assert.throws(() => work.acknowledge(2, putResponse(7)), /revision 7 was given after revision 7/);
});

test("a key whose write failed is neither read nor written again", () => {
  const work = new ClientWork("bench/4", 0, 5_000, 16);
  assert.equal(work.keyToRead(), -1);
  work.acknowledge(0, putResponse(2));
  work.forget(0);
  for (let at = 0; at < 20; at++) assert.equal(work.keyToWrite(), 1);
  assert.equal(work.keyToRead(), -1);
  assert.throws(() => work.forget(1), /every key is uncertain/);
});

test("a percentile is the value that the share of calls does not exceed", () => {
  const ascending = Float64Array.from({ length: 100 }, (_, at) => at + 1);
  assert.equal(percentile(ascending, 0.5), 51);
  assert.equal(percentile(ascending, 0.99), 100);
  assert.ok(Number.isNaN(percentile(new Float64Array(), 0.5)));
});

test("the command line is read, and refused when it does not fit", () => {
  const given = parseArguments(["--runtime=node", "--clients=3,4", "--value-bytes=99", "--json"]);
  assert.ok(given !== "help");
  assert.deepEqual([given.runtimes, given.clients, given.valueBytes], [["node"], [3, 4], 99]);
  assert.deepEqual([given.output, given.etcd, given.target], ["json", "found", "all"]);
  assert.equal(parseArguments(["--help"]), "help");
  for (const wrong of ["--runtime=perl", "--clients=0", "--seconds=x", "--target=none", "--fast"]) {
    assert.throws(() => parseArguments([wrong]), wrong);
  }
});

test("a table has a cell for every column, in the terminal as in Markdown", () => {
  const measurement: Measurement = {
    operation: "put",
    clients: 64,
    calls: 1000,
    callsPerSecond: 12345.6,
    medianMs: 1.25,
    percentile99Ms: 9,
    serverSecondsPer1000: 0.125,
    serverCores: 1.5,
    loadCores: 0.25,
    batching: {
      entriesPerProposal: 10,
      entriesPerTransaction: 20,
      messagesPerFrame: 2,
      readsPerRound: NaN,
    },
    counted: {},
    failed: 2,
    firstFailure: "no leader",
  };
  assert.match(measurementLine(measurement), /12,346 .* 0\.125 .*–.*\(2 calls failed.*no leader\)/);
  assert.equal(headingLine().length, measurementLine({ ...measurement, failed: 0 }).length);
  const text = markdown("a machine", [
    { system: "FlareDB", measurements: [measurement], pairsVerified: 3000 },
    { system: "etcd", measurements: [{ ...measurement, batching: undefined }], pairsVerified: 1 },
  ]);
  const rows = text.split("\n").filter((line) => line.startsWith("|"));
  assert.deepEqual(rows.map((line) => line.split("|").length - 2), [12, 12, 12, 8, 8, 8]);
  assert.match(text, /^3,000 pairs were read back/m);
});
