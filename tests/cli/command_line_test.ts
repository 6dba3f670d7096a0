/** The command line as a whole: its help, its exit codes, and what it says when it is used wrongly. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { COMMANDS, EXIT_CODE, runCommandLine, VERSION } from "../../src/cli/mod.ts";
import { runtimeWarning } from "../../src/cli/runtime.ts";
import { FakeTerminal } from "./fake_terminal.ts";

async function run(args: string[], input = ""): Promise<FakeTerminal & { code: number }> {
  const terminal = new FakeTerminal(input);
  const code = await runCommandLine(args, terminal);
  return Object.assign(terminal, { code });
}

test("the version is that of the package", async () => {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  assert.equal(VERSION, JSON.parse(manifest).version);
  const { code, output } = await run(["--version"]);
  assert.equal(code, EXIT_CODE.ok);
  assert.match(output, new RegExp(`^flaredb ${VERSION.replaceAll(".", "\\.")} \\(\\w+ [\\d.]+`));
});

test("the help names every command, and each command has a help that names its options", async () => {
  const { code, output } = await run(["--help"]);
  assert.equal(code, EXIT_CODE.ok);
  for (const command of COMMANDS) {
    assert.match(output, new RegExp(`^  ${command.name} `, "m"));
    for (const args of [[command.name, "--help"], ["help", command.name]]) {
      const help = await run(args);
      assert.equal(help.code, EXIT_CODE.ok);
      assert.match(help.output, new RegExp(`^Usage: flaredb ${command.name}`, "m"));
      for (const option of Object.keys(command.options)) {
        assert.match(help.output, new RegExp(`^  --${option}( [A-Z:]+)?  `, "m"));
      }
    }
  }
});

test("no line of the help is wider than 100 columns, but for examples", async () => {
  for (const args of [["--help"], ...COMMANDS.map(({ name }) => [name, "--help"])]) {
    const { output } = await run(args);
    const wide = output.split("Examples:")[0].split("\n").filter((line) => line.length > 100);
    assert.deepEqual(wide, []);
  }
});

test("a wrong command line ends with exit code 2, says what is wrong and writes no output", async () => {
  const members = ["--members", "1=127.0.0.1:1,2=127.0.0.1:2"];
  const data = ["--data", "/nonexistent/data"];
  const cases: [string[], RegExp][] = [
    [[], /^A replicated/],
    [["fly"], /no such command: "fly"/],
    [["put"], /arguments are missing: expected KEY \[VALUE\]/],
    [["put", "a", "b", "c"], /too many arguments/],
    [["put", "", "b"], /KEY must not be empty/],
    [["dev", "now"], /dev takes no arguments: found "now"/],
    [["get"], /a KEY is missing/],
    [["get", "a", "--limit", "-1"], /limit/],
    [["get", "a", "--limit", "many"], /--limit must be an integer from 0 to \d+: it is "many"/],
    [["get", "a", "--rev", "9007199254740993"], /--rev must be an integer/],
    [
      ["get", "a", "--keys-only", "--print-value-only"],
      /--keys-only and --print-value-only exclude/,
    ],
    [["get", "a", "--colour"], /Unknown option '--colour'/],
    [["get", "a", "--endpoints"], /--endpoints/],
    [["get", "a", "--endpoints", "--json"], /'--endpoints' argument is ambiguous\. `flaredb get/],
    [["get", "a", "--endpoints", "nowhere"], /--endpoints must be HOST:PORT.*"nowhere"/],
    [["get", "a", "--limit", "1", "--limit", "2"], /--limit is given twice/],
    [["load", "a", "--format", "csv"], /--format must be tsv or jsonl/],
    [["load", "a", "--in-flight", "0"], /--in-flight must be an integer from 1/],
    [["dev", "--log-level", "loud"], /--log-level must be one of debug, info, warn, error/],
    [["start", "--id", "1"], /--data is required/],
    [["start", "--id", "1", ...data], /--members is required at the first start/],
    [["start", "--id", "1", "--join", ...data], /--members is required: it says where the others/],
    [["start", "--id", "one", ...members], /--id must be an integer from 1/],
    [["start", "--id", "3", ...members, ...data], /--id 3 is none of the ids .* \(1, 2\).*--join/],
    [["start", "--id", "3", "--join", ...members, ...data], /--peer-listen is required/],
    [["start", "--id", "1", ...members, ...data], /--cluster-id is required/],
    [["start", "--id", "1", ...members, "--cluster-id", "c"], /--data is required/],
  ];
  for (const [args, message] of cases) {
    const { code, output, errors } = await run(args);
    assert.equal(code, EXIT_CODE.usage, args.join(" "));
    assert.match(errors, message, args.join(" "));
    assert.equal(output, "", args.join(" "));
  }
});

test("an endpoint that refuses the connection ends a command with exit code 3 and a hint", async () => {
  const [port] = await reservePorts(1);
  const options = ["--endpoints", `127.0.0.1:${port}`, "--timeout-ms", "1000"];
  for (const args of [["get", "a"], ["put", "a", "b"], ["del", "a"]]) {
    const { code, errors } = await run([...args, ...options]);
    assert.equal(code, EXIT_CODE.unavailable, errors);
    assert.match(
      errors,
      new RegExp(`cannot connect to 127\\.0\\.0\\.1:${port}. Is a node running`),
    );
    assert.doesNotMatch(errors, /may have taken effect/);
  }
  const status = await run(["status", ...options]);
  assert.equal(status.code, EXIT_CODE.unavailable);
  assert.match(status.output, /does not answer/);
});

test("a load that reaches nobody gives up, says why, and reports the failed record", async () => {
  const [port] = await reservePorts(1);
  const options = ["--endpoints", `127.0.0.1:${port}`, "--patience-ms", "200", "--json"];
  const { code, errors } = await run(["load", "-", ...options], "a\t1\n");
  assert.equal(code, EXIT_CODE.failed);
  assert.match(errors, /line 1 failed: cannot connect/);
  assert.match(errors, /0 keys acknowledged .* 1 failed/);
  assert.match(errors, /stopped before the end of the input: no write was acknowledged for/);
});

test("a file that does not exist is named before anything is written", async () => {
  const { code, errors } = await run(["load", "/nowhere/words.tsv"]);
  assert.equal(code, EXIT_CODE.failed);
  assert.match(errors, /cannot open \/nowhere\/words\.tsv/);
});

test("only the releases of Deno that abort under gRPC are warned about", () => {
  for (const name of ["Deno 2.9.4", "Deno 2.9.5", "Deno 2.9.6"]) {
    assert.match(runtimeWarning(name) ?? "", /denoland\/deno#36788/);
  }
  for (const name of ["Deno 2.9.3", "Deno 2.9.7", "Node 24.1.0", "Bun 1.4.5", "Deno 2.10.4"]) {
    assert.equal(runtimeWarning(name), undefined);
  }
});
