/** The runner itself: what makes it fail, what it prints then, and what --rewrite does. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { main } from "../../scripts/conformance/main.ts";

const INTERACTION = `# A lone voter commits what it proposes.
add-nodes 1 voters=(1) index=3
----
ok

campaign 1
----
ok

propose 1 "é"
----
raft proposal dropped

stabilize
----
> 1 handling Ready
  Ready MustSync=true:
  Lead:0 State:StateCandidate
  HardState Term:1 Vote:1 Commit:3
> 1 handling Ready
  Ready MustSync=true:
  Lead:1 State:StateLeader
  Entries:
  1/4 EntryNormal ""
> 1 handling Ready
  Ready MustSync=false:
  HardState Term:1 Vote:1 Commit:4
  CommittedEntries:
  1/4 EntryNormal ""
`;

const CHANGER = `simple
v1
----
voters=(1)
1: StateProbe match=0 next=1

enter-joint autoleave=true
l1 v10
----
voters=(a)&&(1) learners_next=(1) autoleave
1: StateProbe match=0 next=1
10: StateProbe match=0 next=1
`;

const QUORUM = `committed cfg=(1, 2, 3) idx=(5,_,7)
----
5

committed
----
∞

vote cfg=(1,2) cfgj=(2,3) votes=(y,n,_)
----
VoteLost
`;

/** A folder of its own for one test. */
async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "raft-runner-test-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(...parameters: string[]): Promise<{ status: number; printed: string }> {
  const lines: string[] = [];
  const status = await main(parameters, (line) => lines.push(line));
  return { status, printed: lines.join("\n") };
}

test("traces of all kinds pass, whatever their files are called", () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, "quorum"));
    await writeFile(join(folder, "quorum", "a trace"), INTERACTION);
    await writeFile(join(folder, "changer.txt"), QUORUM);
    await writeFile(join(folder, "z.golden"), CHANGER);
    const { status, printed } = await run(folder);
    assert.equal(printed, "3 passed, 0 failed");
    assert.equal(status, 0);
  }));

for (const [kind, content] of Object.entries({ INTERACTION, CHANGER, QUORUM })) {
  test(`changing any one character of an expectation fails and shows the line: ${kind}`, () =>
    inFolder(async (folder) => {
      const file = join(folder, "any-name");
      const lines = content.split("\n");
      let expectation = false;
      for (const [position, line] of lines.entries()) {
        if (line === "") expectation = false;
        for (let column = 0; expectation && column < line.length; column++) {
          const changed = line.slice(0, column) + (line[column] === "~" ? "-" : "~") +
            line.slice(column + 1);
          await writeFile(file, lines.with(position, changed).join("\n"));
          const { status, printed } = await run(file);
          assert.equal(status, 1);
          assert.ok(printed.includes(`${file}:${position + 1}: the first difference`), printed);
          assert.ok(printed.includes(`${changed}\n`), printed);
          assert.ok(printed.includes(`${line}\n`), printed);
          assert.ok(printed.endsWith("0 passed, 1 failed"), printed);
        }
        if (line === "----") expectation = true;
      }
    }));
}

test("a line too many, a line too few and a space at the end fail", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    const damaged = [
      QUORUM.replace("5\n", "5\n5\n"),
      QUORUM.replace("5\n", ""),
      QUORUM.replace("5\n", "5 \n"),
      QUORUM.replace("5\n", " 5\n"),
      QUORUM.replace("5\n", "5\r\n"),
    ];
    for (const content of damaged) {
      await writeFile(file, content);
      assert.equal((await run(file)).status, 1, content);
    }
  }));

test("the last line counts files, and a failing block does not hide those after it", () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, "1.txt"), QUORUM);
    await writeFile(join(folder, "2.txt"), QUORUM.replace("5\n", "6\n").replace("Lost", "Won"));
    const { status, printed } = await run(folder);
    assert.equal(status, 1);
    assert.match(printed, /2\.txt:1: committed cfg=\(1, 2, 3\)[^]*2\.txt:9: vote cfg=/);
    assert.match(printed, /expected:\n6\nactual:\n5\n/);
    assert.ok(printed.endsWith("\n1 passed, 1 failed"), printed);
  }));

test("an unknown command fails, even where its refusal is expected", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    for (const expected of ["ok", "unknown command", "unknown command: frobnicate"]) {
      await writeFile(file, `${QUORUM}\nfrobnicate 1\n----\n${expected}\n`);
      const { status, printed } = await run(file);
      assert.equal(status, 1);
      assert.ok(printed.includes(`${file}:13: frobnicate 1`), printed);
      assert.match(printed, /unknown command: frobnicate/);
    }
  }));

test("arguments that no command takes fail, as do nodes that do not exist", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    const commands = [
      "add-nodes 1 votres=(1) index=3",
      "add-nodes",
      "add-nodes x",
      "campaign 1",
      "campaign",
      "deliver-msgs 1",
      "deliver-msgs type=MsgFoo drop=(1)",
      "step 1 type=MsgApp",
      "log-level loud",
      "vote cfg=(1) votes=(x)",
      "vote cfg=(1) votes=(y,y)",
      "committed cfg=(1) idx=(a)",
      "simple now",
      "leave-joint autoleave=true",
    ];
    for (const command of commands) {
      await writeFile(file, `${command}\n----\nok\n`);
      const { status, printed } = await run(file);
      assert.equal(status, 1, command);
      assert.match(printed, /cannot run the block/, command);
    }
  }));

test("a block without a separator fails", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    await writeFile(file, `${QUORUM}\nvote\nVoteWon\n`);
    const { status, printed } = await run(file);
    assert.equal(status, 1);
    assert.ok(printed.includes(`${file}:13: vote`), printed);
  }));

test("a folder without traces, a missing path and a file without blocks fail", () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, "README.md"), "# Notes\n\nvote\n----\nVoteWon\n");
    const nothing = await run(folder);
    assert.equal(nothing.status, 1);
    assert.match(nothing.printed, /no trace found/);
    assert.equal((await run(join(folder, "missing.txt"))).status, 1);
    assert.equal((await run()).status, 1);
    const file = join(folder, "empty.txt");
    await writeFile(file, "# comments alone\n");
    const { status, printed } = await run(file);
    assert.equal(status, 1);
    assert.ok(printed.endsWith("0 passed, 1 failed"), printed);
  }));

test("an unknown storage or option fails", () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, "trace.txt"), QUORUM);
    assert.equal((await run(folder, "--storage=tape")).status, 1);
    assert.equal((await run(folder, "--loud")).status, 1);
    assert.equal((await run(folder, "--storage=sqlite")).status, 0);
  }));

test("a broken invariant fails the block, whatever it expects", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    // Nobody but the runner's user takes a Ready of a node whose last one was not concluded; here
    // applying a change that does not fit ends the Ready half-way.
    await writeFile(
      file,
      `add-nodes 1 voters=(1) index=3 disable-conf-change-validation=true
----
ok

campaign 1
----
ok

stabilize log-level=none
----
ok

propose-conf-change 1
r1
----
ok

stabilize log-level=none
----
removed all voters

process-ready 1
----
two accepted Ready structs without a call to advance
`,
    );
    const { status, printed } = await run(file);
    assert.equal(status, 1);
    assert.ok(printed.includes(`${file}:22: process-ready 1`), printed);
    assert.match(printed, /RaftInvariantError/);
    assert.ok(!printed.includes(`${file}:18:`), printed);
  }));

test("--rewrite records what is printed and leaves everything else as it is", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    const blank = `# Comment.\n\n\n${INTERACTION}\n\n`.replaceAll(/----\n(.+\n)+/g, "----\n");
    await writeFile(file, blank);
    assert.equal((await run(file)).status, 1);
    assert.equal((await run(file, "--rewrite")).status, 0);
    assert.equal(await readFile(file, "utf8"), `# Comment.\n\n\n${INTERACTION}\n\n`);
    assert.equal((await run(file)).status, 0);
    assert.equal((await run(file, "--rewrite")).printed, "");
  }));

test("--rewrite refuses to record an unknown command, and leaves the file as it is", () =>
  inFolder(async (folder) => {
    const file = join(folder, "trace.txt");
    const content = "vote\n----\nno idea\n\nfrobnicate\n----\n";
    await writeFile(file, content);
    const { status, printed } = await run(file, "--rewrite");
    assert.equal(status, 1);
    assert.ok(printed.includes(`${file}:5: cannot record`), printed);
    assert.equal(await readFile(file, "utf8"), content);
  }));
