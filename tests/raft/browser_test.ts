/**
 * The core in a browser: its modules, with nothing but their types taken off, elect a leader among
 * three in headless Chromium. Skipped where there is no Chromium.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const TIMEOUT_MS = 60_000;
const PAGE = `<!doctype html><meta charset="utf-8"><body>
<script type="module" src="/tests/raft/browser_page.js"></script></body>`;

function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync);
}

/** A module as a browser wants it. */
function withoutTypes(path: string): string {
  return ts.transpileModule(readFileSync(path, "utf8"), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ES2022,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
  }).outputText;
}

/** Serves the page and the modules of the core, and nothing else. */
function serve(): Promise<Server> {
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    if (path === "/") {
      response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    } else if (/^\/(src\/raft|tests\/raft)\/[a-z_/]+\.js$/.test(path)) {
      const source = join(ROOT, path.slice(1, -".js".length) + ".ts");
      response.writeHead(200, { "content-type": "text/javascript" }).end(withoutTypes(source));
    } else {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** The document after the page has run. */
function dump(chromium: string, url: string, profile: string): Promise<string> {
  const child = spawn(chromium, [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--user-data-dir=${profile}`,
    "--dump-dom",
    url,
  ], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.on("data", (data) => output += String(data));
  child.stderr.on("data", (data) => errors += String(data));
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(output);
      else reject(new Error(`Chromium ended with ${code}: ${errors}`));
    });
  });
}

const chromium = findChromium();

test("three replicas elect a leader and commit in a browser", {
  skip: chromium === undefined ? "Chromium is not installed" : false,
  timeout: 2 * TIMEOUT_MS,
}, async () => {
  const server = await serve();
  const profile = mkdtempSync(join(tmpdir(), "flaredb-chromium-"));
  try {
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const document = await dump(chromium!, `http://127.0.0.1:${address.port}/`, profile);
    const result = /result:(.*):end/.exec(document)?.[1];
    assert.ok(result !== undefined, `no result in the page: ${document}`);
    const { leaders, followed, applied } = JSON.parse(result);
    assert.equal(leaders.length, 1);
    assert.deepEqual(followed, [leaders[0], leaders[0], leaders[0]]);
    assert.deepEqual(applied, Array(3).fill(["hello from a browser"]));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
});
