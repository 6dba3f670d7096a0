import assert from "node:assert/strict";
import { test } from "node:test";
import { MEMBERS_MAX, parseMembers } from "../../src/cli/addresses.ts";
import { runCommandLine } from "../../src/cli/command_line.ts";
import { LINE_BYTES_MAX, readRecords } from "../../src/cli/load_records.ts";
import { FakeTerminal } from "./fake_terminal.ts";

test("a cluster may have 31 members, and no more", () => {
  const members = (count: number): string =>
    Array.from({ length: count }, (_, index) => `${index + 1}=a:${index + 1}`).join(",");
  assert.equal(MEMBERS_MAX, 31);
  assert.equal(parseMembers(members(31)).length, 31);
  assert.throws(() => parseMembers(members(32)), { code: "USAGE", message: /it names 32/ });
});

test("a load has up to 4,096 writes under way", async () => {
  const load = async (inFlight: number): Promise<number> =>
    await runCommandLine(["load", "/nowhere", "--in-flight", `${inFlight}`], new FakeTerminal());
  assert.equal(await load(4096), 1, "the file is missing");
  assert.equal(await load(4097), 2, "the command line is wrong");
});

test("a line of a load may have 16 MiB, and no more", async () => {
  const lengths = async (lineBytes: number): Promise<number[]> => {
    async function* input(): AsyncGenerator<Uint8Array> {
      const line = new Uint8Array(lineBytes + 1).fill(0x61);
      line[1] = 0x09;
      line[lineBytes] = 0x0a;
      for (let at = 0; at < line.length; at += 1 << 20) {
        yield await Promise.resolve(line.subarray(at, at + (1 << 20)));
      }
    }
    const found: number[] = [];
    for await (const { value } of readRecords(input(), "tsv")) found.push(value.length);
    return found;
  };
  assert.deepEqual(await lengths(LINE_BYTES_MAX), [LINE_BYTES_MAX - 2]);
  await assert.rejects(lengths(LINE_BYTES_MAX + 1), { code: "COMMAND_FAILED" });
});
