/** The engine of `flaredb load`: its bound, its order, its retries and its patience. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  initialLoadState,
  type LoadPumpOptions,
  type LoadState,
  pumpRecords,
} from "../../src/cli/load_pump.ts";
import type { LoadRecord } from "../../src/cli/load_records.ts";
import { CommandFailedError } from "../../src/cli/errors.ts";

async function* recordsOf(keys: string[]): AsyncGenerator<LoadRecord, void, void> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  for (const [index, key] of keys.entries()) {
    yield { key: bytes(key), value: bytes(`${index}`), line: index + 1, inputBytes: index + 1 };
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function pump(
  records: AsyncIterable<LoadRecord>,
  put: LoadPumpOptions["put"],
  options: Partial<LoadPumpOptions> = {},
): Promise<{ state: LoadState; acknowledged: string[]; failed: string[] }> {
  const state = initialLoadState();
  const acknowledged: string[] = [];
  const failed: string[] = [];
  await pumpRecords(records, state, {
    inFlight: 4,
    patienceMs: 60_000,
    signal: new AbortController().signal,
    put,
    mayPass: () => true,
    describe: (error) => (error as Error).message,
    acknowledged: ({ key }) => acknowledged.push(text(key)),
    failed: ({ key }) => failed.push(text(key)),
    now: () => 0,
    ...options,
  });
  return { state, acknowledged, failed };
}

const turnOfTheLoop = () => new Promise((resolve) => setTimeout(resolve, 0));

const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);

test("all records are written, and never more at once than the bound", async () => {
  let inFlight = 0;
  let most = 0;
  const { state, acknowledged } = await pump(recordsOf(keys), async () => {
    most = Math.max(most, ++inFlight);
    await turnOfTheLoop();
    inFlight -= 1;
  });
  assert.equal(most, 4);
  assert.deepEqual(acknowledged.sort(), [...keys].sort());
  assert.equal(state.acknowledged, 50);
  assert.equal(state.inputBytes, 50);
  assert.equal(state.failed + state.retried, 0);
});

test("writes to one key keep their order, also when the first is repeated", async () => {
  const written: string[] = [];
  await pump(recordsOf(["a", "a", "b", "a"]), async ({ key, value }, attempt) => {
    await Promise.resolve();
    if (text(value) === "0" && attempt < 2) throw new Error("in passing");
    if (text(key) === "a") written.push(text(value));
  });
  assert.deepEqual(written, ["0", "1", "3"]);
});

test("a failure that may pass is repeated, another is final and does not stop the rest", async () => {
  const { state, failed } = await pump(
    recordsOf(keys),
    ({ key }, attempt) => {
      if (text(key) === "key-7") return Promise.reject(new Error("refused"));
      return attempt === 0 && text(key) === "key-9"
        ? Promise.reject(new Error("in passing"))
        : Promise.resolve();
    },
    { mayPass: (error) => (error as Error).message === "in passing" },
  );
  assert.deepEqual(failed, ["key-7"]);
  assert.equal(state.acknowledged, 49);
  assert.equal(state.retried, 1);
  assert.equal(state.stoppedBecause, undefined);
});

test("the load ends when nothing was acknowledged for too long", async () => {
  let clock = 0;
  const { state, failed } = await pump(
    recordsOf(keys),
    () => Promise.reject(new Error("nobody answers")),
    { patienceMs: 1000, now: () => clock += 300 },
  );
  assert.equal(state.acknowledged, 0);
  assert.equal(failed.length, 4);
  assert.match(state.stoppedBecause ?? "", /^no write was acknowledged for \d+ s: nobody answers$/);
});

test("the user's wish to end stops the load", async () => {
  const controller = new AbortController();
  const { state } = await pump(
    recordsOf(keys),
    ({ key }) => {
      if (text(key) === "key-5") controller.abort();
      return Promise.resolve();
    },
    { signal: controller.signal },
  );
  assert.ok(state.acknowledged >= 6 && state.acknowledged < 50);
  assert.equal(state.stoppedBecause, "it was interrupted");
});

test("an input that the user's wish cut short does not pass for a whole one", async () => {
  const controller = new AbortController();
  async function* cut() {
    yield* recordsOf(["a"]);
    controller.abort();
  }
  const { state } = await pump(cut(), () => Promise.resolve(), { signal: controller.signal });
  assert.equal(state.stoppedBecause, "it was interrupted");
});

test("an input that cannot be read ends the load after the writes under way", async () => {
  async function* broken() {
    yield* recordsOf(["a", "b"]);
    throw new CommandFailedError("line 3: the key is empty");
  }
  const acknowledged: string[] = [];
  await assert.rejects(
    pump(broken(), () => Promise.resolve(), {
      acknowledged: ({ key }) => acknowledged.push(text(key)),
    }),
    /^CommandFailedError: line 3: the key is empty$/,
  );
  assert.deepEqual(acknowledged, ["a", "b"]);
});

test("a write that cannot be noted as acknowledged is counted as failed alone", async () => {
  const { state, failed } = await pump(recordsOf(["a", "b"]), () => Promise.resolve(), {
    mayPass: () => false,
    acknowledged: ({ key }) => {
      if (text(key) === "a") throw new Error("disk full");
    },
  });
  assert.deepEqual(failed, ["a"]);
  assert.equal(state.acknowledged, 1);
  assert.equal(state.failed, 1);
});
