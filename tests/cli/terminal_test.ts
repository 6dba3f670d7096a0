/** What a command sees of the process around it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { untilAborted } from "../../src/cli/terminal.ts";

test("an input ends when the user asks to end, also while a read waits for more", async () => {
  const controller = new AbortController();
  async function* silentAfterOne() {
    yield Uint8Array.of(1);
    controller.abort();
    await new Promise(() => {});
  }
  const seen: Uint8Array[] = [];
  for await (const chunk of untilAborted(silentAfterOne(), controller.signal)) seen.push(chunk);
  assert.deepEqual(seen, [Uint8Array.of(1)]);
});

test("an input that ends by itself is passed on whole", async () => {
  async function* two() {
    yield await Promise.resolve(Uint8Array.of(1));
    yield Uint8Array.of(2);
  }
  const seen: Uint8Array[] = [];
  const { signal } = new AbortController();
  for await (const chunk of untilAborted(two(), signal)) seen.push(chunk);
  assert.deepEqual(seen, [Uint8Array.of(1), Uint8Array.of(2)]);
});
