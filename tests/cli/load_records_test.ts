/** The input of `flaredb load`: from bytes, however they are cut, to records. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { CommandFailedError, UsageError } from "../../src/cli/errors.ts";
import { type LoadFormat, parseFormat, readRecords } from "../../src/cli/load_records.ts";

async function read(chunks: Uint8Array[], format: LoadFormat): Promise<[string, string][]> {
  const found: [string, string][] = [];
  async function* input() {
    yield* chunks;
  }
  for await (const { key, value } of readRecords(input(), format)) {
    found.push([Buffer.from(key).toString("utf8"), Buffer.from(value).toString("utf8")]);
  }
  return found;
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

test("a TSV line is a key, a tab and a value, which may hold tabs", async () => {
  assert.deepEqual(await read([bytes("a\t1\nb\t2\t3\nc\n\nd\t\r\n")], "tsv"), [
    ["a", "1"],
    ["b", "2\t3"],
    ["c", ""],
    ["d", ""],
  ]);
});

test("a last line without an end counts", async () => {
  assert.deepEqual(await read([bytes("a\t1\nb\t2")], "tsv"), [["a", "1"], ["b", "2"]]);
});

test("JSON lines give texts or bytes", async () => {
  const text = `{"key":"ä","value":""}\n{"keyBase64":"Yg==","valueBase64":"Mg=="}\n`;
  assert.deepEqual(await read([bytes(text)], "jsonl"), [["ä", ""], ["b", "2"]]);
});

test("a line that cannot be read is named by its number", async () => {
  const cases: [string, LoadFormat, RegExp][] = [
    ["a\n\t1\n", "tsv", /^line 2: the key is empty$/],
    [`{"key":"a","value":"1"}\n{`, "jsonl", /^line 2 is not JSON: /],
    [`{"key":"a"}\n`, "jsonl", /^line 1 must have a text "value", or bytes as "valueBase64"$/],
    [`{"key":1,"value":""}\n`, "jsonl", /^line 1 must have a text "key"/],
    [`7\n`, "jsonl", /^line 1 must be a JSON object/],
  ];
  for (const [text, format, message] of cases) {
    await assert.rejects(read([bytes(text)], format), (error: Error) => {
      assert.ok(error instanceof CommandFailedError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("a JSON line that no bytes stand for is refused, not mended", async () => {
  const cases: [Uint8Array, RegExp][] = [
    [bytes(`{"keyBase64":"YQ=!=","value":""}`), /^line 1: "keyBase64" is not base64 with padding$/],
    [bytes(`{"key":"a","valueBase64":"YQ"}`), /^line 1: "valueBase64" is not base64 with padding$/],
    [bytes(`{"key":"\\ud800","value":""}`), /^line 1: "key" holds half a surrogate pair$/],
    [Uint8Array.of(...bytes(`{"key":"`), 0xff, ...bytes(`","value":""}`)), /^line 1 is not JSON: /],
  ];
  for (const [line, message] of cases) {
    await assert.rejects(read([line], "jsonl"), (error: Error) => {
      assert.ok(error instanceof CommandFailedError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("the records do not depend on how the input is cut", async () => {
  const cell = fc.stringMatching(/^[a-z]{1,8}$/);
  const rows = fc.array(fc.tuple(cell, cell), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(rows, fc.array(fc.nat(300), { maxLength: 20 }), async (rows, cuts) => {
      const all = bytes(rows.map(([key, value]) => `${key}\t${value}\n`).join(""));
      const places = [0, ...cuts.filter((at) => at < all.length).sort((a, b) => a - b), all.length];
      const chunks = places.slice(1).map((end, index) => all.slice(places[index], end));
      assert.deepEqual(await read(chunks, "tsv"), rows);
    }),
  );
});

test("the bytes of the input are counted up to each record", async () => {
  const seen: number[] = [];
  async function* input() {
    yield bytes("a\t1\n\nbb\t2\n");
  }
  for await (const record of readRecords(input(), "tsv")) seen.push(record.inputBytes);
  assert.deepEqual(seen, [4, 10]);
});

test("the format follows the file's name unless it is given", () => {
  assert.equal(parseFormat(undefined, "a.jsonl"), "jsonl");
  assert.equal(parseFormat(undefined, "words"), "tsv");
  assert.equal(parseFormat("tsv", "a.jsonl"), "tsv");
  assert.throws(() => parseFormat("csv", "a"), UsageError);
});
