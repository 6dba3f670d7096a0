/**
 * The built package, without npm and without a network: what is in it, what its modules pull in, and
 * that TypeScript of others compiles against it.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { builtFiles, cachedBuild } from "../../scripts/package/cached_build.ts";
import { compileConsumer, linkPackage, writeConsumer } from "../../scripts/package/consumer.ts";
import { builtFile, projectManifest } from "../../scripts/package/manifest.ts";
import { moduleGraph } from "../../scripts/package/module_graph.ts";
import { PROJECT_ROOT } from "../../scripts/project_files.ts";

const LONG = { timeout: 300_000 };

const temporary = mkdtempSync(join(tmpdir(), "flaredb-package-"));
after(() => rmSync(temporary, { recursive: true, force: true }));

let folder = "";
let files: string[] = [];
const read = (path: string): string => readFileSync(join(folder, path), "utf8");

test("the package builds, with documents, the command and every exported module", LONG, () => {
  folder = cachedBuild();
  files = builtFiles(folder);
  const { exports, bin } = projectManifest();
  const expected = [
    "README.md",
    "LICENSE",
    "package.json",
    ...Object.values(exports).flatMap((path) => [builtFile(path), builtFile(path, "d.ts")]),
    ...Object.values(bin).map((path) => builtFile(path)),
  ];
  assert.deepEqual(expected.filter((path) => !existsSync(join(folder, path))), []);
});

test("the built manifest exports what the sources' manifest does, and the command is executable", () => {
  const built = JSON.parse(read("package.json"));
  const { exports, bin, version, dependencies } = projectManifest();
  const subpaths = [...Object.keys(exports), "./package.json"];
  assert.deepEqual(Object.keys(built.exports), subpaths);
  assert.equal(built.version, version);
  assert.deepEqual(built.dependencies, dependencies);
  assert.deepEqual(Object.keys(built.bin), Object.keys(bin));
  for (const path of Object.values(built.bin) as string[]) {
    assert.match(read(path), /^#!\/usr\/bin\/env node\n/);
    assert.equal(statSync(join(folder, path)).mode & 0o111, 0o111);
  }
});

test("the consensus core pulls in nothing, and neither it nor its neighbours gRPC or SQLite", () => {
  const core = moduleGraph(folder, "src/raft/mod.js");
  assert.deepEqual(core.external, []);
  assert.deepEqual(core.files.filter((path) => !path.startsWith("src/raft/")), []);
  for (const room of ["wire", "storage", "transport", "node", "sim"]) {
    const { external } = moduleGraph(folder, `src/${room}/mod.js`);
    assert.ok(!external.includes("node:sqlite"), `${room} pulls in SQLite`);
    assert.ok(!external.some((one) => one.startsWith("@grpc/")), `${room} pulls in gRPC`);
  }
});

test("a module pulls in nothing that the package does not bring", () => {
  const { exports, bin, dependencies } = projectManifest();
  const known = (one: string) =>
    one.startsWith("node:") || Object.keys(dependencies).some((name) => `${one}/`.startsWith(name));
  for (const source of [...Object.values(exports), ...Object.values(bin)]) {
    const { external } = moduleGraph(folder, builtFile(source));
    assert.deepEqual(external.filter((one) => !known(one)), [], source);
  }
});

test("files found by their URL, such as workers, are JavaScript that lies there", () => {
  for (const path of files.filter((one) => one.endsWith(".js"))) {
    for (const [, target] of read(path).matchAll(/new URL\(\s*["'`](\.[^"'`$]*)["'`]/g)) {
      const found = join(folder, dirname(path), target);
      assert.ok(!target.endsWith(".ts") && existsSync(found), `${path} asks for ${target}`);
    }
  }
});

test(
  "source maps hold their sources and name no folder of the machine that built them",
  () => {
    const maps = files.filter((path) => path.endsWith(".js.map"));
    assert.equal(maps.length, files.filter((path) => /^(mod|src\/.*)\.js$/.test(path)).length);
    for (const path of maps) {
      const map = JSON.parse(read(path));
      assert.equal(map.sourceRoot, undefined);
      assert.deepEqual(
        map.sources.filter((one: string) => !/^[a-z0-9_]+\.ts$/.test(one)),
        [],
        path,
      );
      assert.equal(map.sourcesContent.length, map.sources.length, path);
    }
    const naming = files.filter((path) => read(path).includes(PROJECT_ROOT));
    assert.deepEqual(naming, []);
  },
);

test("TypeScript that uses the package compiles under nodenext and under bundler", LONG, () => {
  const consumer = join(temporary, "consumer");
  writeConsumer(consumer);
  linkPackage(consumer, folder);
  assert.deepEqual(compileConsumer(consumer, "bundler"), []);
  assert.deepEqual(compileConsumer(consumer, "nodenext"), []);
});
