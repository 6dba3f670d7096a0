/**
 * Checks the public face with Deno's own tools: `deno doc --lint` on every exported module, which wants
 * a comment on every member and no private type in a public place; and `deno publish --dry-run`, which
 * wants types that need no inference. Neither needs a network.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import process from "node:process";
import { projectManifest } from "./package/manifest.ts";
import { PROJECT_ROOT } from "./project_files.ts";

function run(args: readonly string[]): boolean {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args], {
    cwd: PROJECT_ROOT,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  if (status !== 0) console.error(`deno ${args.join(" ")}\n${stdout}${stderr}`);
  return status === 0;
}

const modules = Object.values(projectManifest().exports);
const good = [
  run(["doc", "--quiet", "--lint", ...modules]),
  run(["publish", "--quiet", "--dry-run", "--allow-dirty"]),
];
if (good.includes(false)) process.exit(1);
console.log("exports: ok");
