/**
 * Builds the npm package: `deno task build:npm [FOLDER]` writes to `npm/`, or to another folder,
 * JavaScript with declarations and source maps in the layout of the sources, the documents, the
 * command `flaredb` and the manifest. With `--check`, the package is then packed, installed and
 * used as strangers would; see `package/check.ts`.
 *
 * @module
 */

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { PROJECT_ROOT, sourceFiles } from "./project_files.ts";
import { checkPackage } from "./package/check.ts";
import { compile } from "./package/compile.ts";
import { builtFile, builtManifest, projectManifest } from "./package/manifest.ts";

/** What is shipped as it is. */
export const DOCUMENTS: readonly string[] = ["README.md", "LICENSE", "CHANGELOG.md"];

/**
 * Builds the package into a folder, which is emptied before, and returns the sorted paths of its
 * files.
 *
 * @throws Error when the sources have type errors or a document is missing.
 */
export function buildPackage(folder: string): string[] {
  const project = projectManifest();
  const sources = sourceFiles("src");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const compiled = compile({ entries: ["mod.ts", ...sources], folder });
  const copied = [...DOCUMENTS, ...generatedFiles()];
  for (const path of copied) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(join(PROJECT_ROOT, path), join(folder, path));
  }
  for (const source of Object.values(project.bin)) {
    chmodSync(join(folder, builtFile(source)), 0o755);
  }
  const manifest = JSON.stringify(builtManifest(project), null, 2) + "\n";
  writeFileSync(join(folder, "package.json"), manifest);
  const files = [...compiled, ...copied, "package.json"].sort();
  const missing = files.filter((path) => !existsSync(join(folder, path)));
  if (missing.length > 0) throw new Error(`not written: ${missing.join(", ")}`);
  return files;
}

/** What lies among the sources as JavaScript already, with its declarations: it is shipped as it is. */
function generatedFiles(): string[] {
  return readdirSync(join(PROJECT_ROOT, "src"), { recursive: true, encoding: "utf8" })
    .map((path) => `src/${path.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".js") || path.endsWith(".d.ts"));
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const folder = resolve(args.find((arg) => !arg.startsWith("--")) ?? join(PROJECT_ROOT, "npm"));
  const files = buildPackage(folder);
  console.log(`${folder}: ${files.length} files`);
  if (args.includes("--check")) await checkPackage(folder);
}
