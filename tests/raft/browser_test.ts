/**
 * The core in a browser: its modules, with nothing but their types taken off, elect a leader among
 * three in headless Chromium. Skipped where there is no Chromium.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { documentAt, IN_CHROMIUM } from "../chromium.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PAGE = `<!doctype html><meta charset="utf-8"><body>
<script type="module" src="/tests/raft/browser_page.js"></script></body>`;

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

test("three replicas elect a leader and commit in a browser", IN_CHROMIUM, async () => {
  const server = await serve();
  try {
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const { html, log } = await documentAt(`http://127.0.0.1:${address.port}/`);
    const result = /result:(.*):end/.exec(html)?.[1];
    assert.ok(result !== undefined, `no result in the page: ${html}\n${log}`);
    const { leaders, followed, applied } = JSON.parse(result);
    assert.equal(leaders.length, 1);
    assert.deepEqual(followed, [leaders[0], leaders[0], leaders[0]]);
    assert.deepEqual(applied, Array(3).fill(["hello from a browser"]));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
