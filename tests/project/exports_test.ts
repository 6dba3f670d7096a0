/** The two manifests agree with each other, and with the files that exist. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROJECT_ROOT } from "../../scripts/project_files.ts";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Record<string, string>;
  readonly bin: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly imports?: unknown;
}

function manifest(name: string): Manifest {
  return JSON.parse(readFileSync(join(PROJECT_ROOT, name), "utf8"));
}

const packageJson = manifest("package.json");
const denoJson = manifest("deno.json");

test("package.json and deno.json export the same modules under the same name and version", () => {
  for (const field of ["name", "version", "license", "exports"] as const) {
    assert.deepEqual(denoJson[field], packageJson[field], field);
  }
});

test("deno.json has no list of dependencies of its own", () => {
  assert.equal(denoJson.imports, undefined);
});

test("every exported module and command exists", () => {
  const paths = [...Object.values(packageJson.exports), ...Object.values(packageJson.bin)];
  const missing = paths.filter((path) => !existsSync(join(PROJECT_ROOT, path)));
  assert.deepEqual(missing, []);
});

test("dependencies are pinned to exact versions", () => {
  const all = { ...packageJson.dependencies, ...packageJson.devDependencies };
  const loose = Object.entries(all).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
  assert.deepEqual(loose, []);
});

test("the lockfiles name the pinned versions and no download address", () => {
  const npmLock = readFileSync(join(PROJECT_ROOT, "package-lock.json"), "utf8");
  const denoLock = readFileSync(join(PROJECT_ROOT, "deno.lock"), "utf8");
  assert.doesNotMatch(npmLock, /"resolved"/);
  assert.doesNotMatch(denoLock, /"tarball"|"redirects"|"remote"/);
  const locked = JSON.parse(npmLock).packages as Record<string, { version: string }>;
  const { specifiers } = JSON.parse(denoLock) as { specifiers: Record<string, string> };
  const all = { ...packageJson.dependencies, ...packageJson.devDependencies };
  for (const [name, version] of Object.entries(all)) {
    assert.equal(locked[`node_modules/${name}`]?.version, version, `${name} in package-lock.json`);
    // What follows an underscore are the versions of its peer dependencies.
    const [resolved] = (specifiers[`npm:${name}@${version}`] ?? "").split("_");
    assert.equal(resolved, version, `${name} in deno.lock`);
  }
});
