/** How keys, values, tables and log lines are written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../src/cli/errors.ts";
import { byteSize, jsonBytes, table } from "../../src/cli/format.ts";
import { lineLogger, parseLogLevel } from "../../src/cli/log.ts";

test("bytes are text in JSON when they are UTF-8, and base64 otherwise", () => {
  assert.deepEqual(jsonBytes("key", new TextEncoder().encode("äé\n")), { key: "äé\n" });
  assert.deepEqual(jsonBytes("key", new TextEncoder().encode("\ufeffa")), { key: "\ufeffa" });
  assert.deepEqual(jsonBytes("value", Uint8Array.of(0xff, 0)), { valueBase64: "/wA=" });
});

test("the columns of a table are aligned", () => {
  assert.equal(table([["A", "LONG"], ["long", "b"]]), "A     LONG\nlong  b\n");
});

test("sizes are written for people", () => {
  assert.deepEqual([0, 1023, 1536, 5 * 2 ** 30].map(byteSize), [
    "0 B",
    "1023 B",
    "1.5 KiB",
    "5.0 GiB",
  ]);
});

test("a log line has the time, the level and one line of text, from the chosen level on", () => {
  const lines: string[] = [];
  const at = new Date("2026-01-02T03:04:05.678Z");
  const logger = lineLogger("info", (line) => lines.push(line), () => at);
  logger.debug("quiet");
  logger.info("first\nsecond");
  logger.error("bad");
  assert.deepEqual(lines, [
    "03:04:05.678 info  first second\n",
    "03:04:05.678 error bad\n",
  ]);
  assert.throws(() => parseLogLevel("loud"), UsageError);
});
