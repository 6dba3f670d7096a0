/** Quoting of bytes as Go's %q does it. The expectations are what Go prints. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { toText } from "../../scripts/conformance/byte_string.ts";
import { quote } from "../../scripts/conformance/quote.ts";

function quoted(data: string | readonly number[]): string {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : Uint8Array.from(data);
  return toText(quote(bytes));
}

test("printable ASCII is itself, in double quotes", () => {
  assert.equal(quoted(""), '""');
  assert.equal(quoted("prop_1 ~!'`"), '"prop_1 ~!\'`"');
});

test("quotes and backslashes are escaped", () => {
  assert.equal(quoted('"foo"'), '"\\"foo\\""');
  assert.equal(quoted("a\\b"), '"a\\\\b"');
});

test("control characters have their names or two hexadecimal digits", () => {
  assert.equal(quoted("\x07\b\t\n\v\f\r"), '"\\a\\b\\t\\n\\v\\f\\r"');
  assert.equal(quoted([0, 0x1b, 0x7f]), '"\\x00\\x1b\\x7f"');
});

test("printable characters beyond ASCII are themselves", () => {
  for (const text of ["é", "日本", "∞", "🦀", "Ω≤", "\ufffd"]) {
    assert.equal(quoted(text), `"${text}"`);
  }
});

test("characters that do not print are escaped by code point", () => {
  assert.equal(quoted("\u0085"), '"\\u0085"');
  assert.equal(quoted("\u00a0"), '"\\u00a0"');
  assert.equal(quoted("\u00ad"), '"\\u00ad"');
  assert.equal(quoted("\u200b"), '"\\u200b"');
  assert.equal(quoted("\u2028"), '"\\u2028"');
  assert.equal(quoted("\ufeff"), '"\\ufeff"');
  assert.equal(quoted("\ue000"), '"\\ue000"');
  assert.equal(quoted("\u{e0001}"), '"\\U000e0001"');
  assert.equal(quoted("\u{10ffff}"), '"\\U0010ffff"');
});

test("bytes that are not UTF-8 are escaped one by one", () => {
  assert.equal(quoted([0xff]), '"\\xff"');
  assert.equal(quoted([0x80, 0x41]), '"\\x80A"');
  assert.equal(quoted([0xc3, 0x28]), '"\\xc3("');
  assert.equal(quoted([0xe6, 0x97]), '"\\xe6\\x97"', "cut off");
  assert.equal(quoted([0xc0, 0xaf]), '"\\xc0\\xaf"', "overlong");
  assert.equal(quoted([0xe0, 0x80, 0xaf]), '"\\xe0\\x80\\xaf"', "overlong");
  assert.equal(quoted([0xf0, 0x80, 0x80, 0xaf]), '"\\xf0\\x80\\x80\\xaf"', "overlong");
  assert.equal(quoted([0xed, 0xa0, 0x80]), '"\\xed\\xa0\\x80"', "a surrogate");
  assert.equal(quoted([0xf4, 0x90, 0x80, 0x80]), '"\\xf4\\x90\\x80\\x80"', "beyond U+10FFFF");
  assert.equal(quoted([0xf8, 0x88, 0x80, 0x80, 0x80]), '"\\xf8\\x88\\x80\\x80\\x80"');
});

test("valid characters among invalid bytes stay whole", () => {
  assert.equal(quoted([0xff, 0xc3, 0xa9, 0xc3]), '"\\xffé\\xc3"');
});
