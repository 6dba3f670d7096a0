/** The format of trace files: blocks, command lines, arguments, and what is malformed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Arguments } from "../../scripts/conformance/arguments.ts";
import { fromBytes, fromText, toBytes } from "../../scripts/conformance/byte_string.ts";
import {
  type Block,
  parseTrace,
  parseWords,
  TraceFormatError,
} from "../../scripts/conformance/parser.ts";

function onlyBlock(content: string): Block {
  const { blocks } = parseTrace(content);
  assert.equal(blocks.length, 1);
  return blocks[0];
}

function argumentsOf(commandLine: string): Arguments {
  return new Arguments(onlyBlock(`${commandLine}\n----\nok\n`));
}

test("a block has comments, a command, input lines and an expectation, with their lines", () => {
  const block = onlyBlock("\n# why\n# so\nsimple  a\nv1 l2\nr3\n----\none\n  two\n\n");
  assert.equal(block.problem, undefined);
  assert.equal(block.command, "simple");
  assert.equal(block.commandLine, "simple  a");
  assert.equal(block.line, 4);
  assert.deepEqual(block.input, ["v1 l2", "r3"]);
  assert.equal(block.expectedLine, 8);
  assert.deepEqual(block.expected, ["one", "  two"]);
});

test("blank lines separate blocks, however many there are", () => {
  const { blocks } = parseTrace("\n\na\n----\nok\n\n\n \nb\n----\nok");
  assert.deepEqual(blocks.map(({ command, line }) => [command, line]), [["a", 3], ["b", 9]]);
});

test("a block of comments alone is skipped", () => {
  assert.equal(parseTrace("# a story\n# of two lines\n\ncampaign 1\n----\nok\n").blocks.length, 1);
  assert.equal(parseTrace("# nothing else").blocks.length, 0);
  assert.equal(parseTrace("").blocks.length, 0);
});

test("a # within the expectation is part of it", () => {
  assert.deepEqual(onlyBlock("a\n----\n# text\n----\n").expected, ["# text", "----"]);
});

test("a block without a separator is malformed and keeps its line", () => {
  const block = onlyBlock("\ncampaign 1\nok\n");
  assert.match(block.problem ?? "", /needs a line "----"/);
  assert.equal(block.line, 2);
});

test("a separator must be exactly four dashes", () => {
  for (const separator of ["---", "-----", "---- ", " ----", "----\r"]) {
    assert.notEqual(onlyBlock(`campaign 1\n${separator}\nok`).problem, undefined, separator);
  }
});

test("a block without a command is malformed", () => {
  assert.match(onlyBlock("# why\n----\nok\n").problem ?? "", /needs a command line/);
});

test("arguments are bare words, single values and lists, with or without spaces", () => {
  const expected = [
    { key: "add-nodes", values: undefined },
    { key: "3", values: undefined },
    { key: "voters", values: ["1", "2", "3"] },
    { key: "learners", values: [] },
    { key: "index", values: ["10"] },
    { key: "content", values: [""] },
  ];
  for (const list of ["(1,2,3)", "(1, 2, 3)", "( 1 ,2,  3 )"]) {
    const words = parseWords(`add-nodes  3 voters=${list}\tlearners=() index=10 content=`);
    assert.deepEqual(words.map(({ key, values }) => ({ key, values })), expected);
  }
});

test("an unclosed list makes the block malformed", () => {
  assert.match(onlyBlock("vote cfg=(1,2\n----\nok").problem ?? "", /closing parenthesis/);
});

test("a list ends at the parenthesis that ends the word", () => {
  const [, , entries] = parseWords("step 2 entries=(1/12:f(x),1/13:y) term=1");
  assert.deepEqual(entries.values, ["1/12:f(x)", "1/13:y"]);
});

test("quotes and equal signs in data are bytes like any other", () => {
  for (const data of ['"foo"', "a=b", "=", "a=b=c", "\\", "#x"]) {
    const args = argumentsOf(`propose 1 ${data}`);
    assert.equal(args.integer("a node"), 1);
    assert.equal(args.text("data"), data);
    args.finish();
  }
});

test("bytes that are not valid UTF-8 reach the command unchanged", () => {
  const bytes = Uint8Array.from([0x66, 0xff, 0xc3, 0x28, 0x80]);
  const args = argumentsOf(`propose 1 ${fromBytes(bytes)}`);
  args.integer("a node");
  assert.deepEqual(toBytes(args.text("data")), bytes);
});

test("an argument that no command reads is refused", () => {
  const args = argumentsOf("add-nodes 1 votres=(1)");
  args.integer("a number");
  assert.throws(() => args.finish(), TraceFormatError);
});

test("an option that is given twice is refused", () => {
  assert.throws(() => argumentsOf("add-nodes 1 index=2 index=3"), TraceFormatError);
});

test("numbers must be safe integers", () => {
  for (const text of ["x", "1.5", "0x10", "1e3", "", "9007199254740992", "--1"]) {
    assert.throws(
      () => argumentsOf(`compact ${fromText(text)}`).integer("a node"),
      TraceFormatError,
    );
  }
  assert.equal(argumentsOf("set-priority -9007199254740991").integer("it"), -9007199254740991);
});

test("an option of one value refuses a list of several", () => {
  assert.throws(() => argumentsOf("a index=(1,2)").option("index"), TraceFormatError);
  assert.equal(argumentsOf("a index=(7)").integerOption("index"), 7);
});

test("booleans are true and false and their short forms", () => {
  assert.equal(argumentsOf("a v1=true").booleanOption("v1"), true);
  assert.equal(argumentsOf("a v1=0").booleanOption("v1"), false);
  assert.equal(argumentsOf("a").booleanOption("v1"), undefined);
  assert.throws(() => argumentsOf("a v1=yes").booleanOption("v1"), TraceFormatError);
});
