/** The order of the rooms holds, and the check that says so can see violations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allRoomViolations, roomViolations } from "../../scripts/check_rooms.ts";

test("the sources keep the order of the rooms", () => {
  assert.deepEqual(allRoomViolations(), []);
});

test("an import up the list is found with its line", () => {
  const text = `import { x } from "../raft/mod.ts";\nimport type { Node } from "../node/mod.ts";\n`;
  assert.deepEqual(roomViolations("src/storage/a.ts", text), [
    "src/storage/a.ts:2: storage may not import src/node/mod.ts",
  ]);
});

test("entering a room past its face is found", () => {
  const text = `export { x } from "../raft/types.ts";`;
  assert.deepEqual(roomViolations("src/wire/a.ts", text), [
    "src/wire/a.ts:1: src/raft/types.ts is not the face of a room",
  ]);
});

test("a dynamic import, a package and a built-in module are found in the core", () => {
  const text = `const a = await import("node:fs");\nimport b from "long";\n`;
  assert.deepEqual(roomViolations("src/raft/a.ts", text), [
    "src/raft/a.ts:1: raft uses no built-in module: node:fs",
    "src/raft/a.ts:2: raft uses no package long",
  ]);
});

test("an import out of the sources is found", () => {
  const text = `import { x } from "../../scripts/project_files.ts";`;
  assert.deepEqual(roomViolations("src/node/a.ts", text), [
    "src/node/a.ts:1: scripts/project_files.ts lies outside the rooms",
  ]);
});
