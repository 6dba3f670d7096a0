/**
 * The example of the browser, in headless Chromium: it plays a story through its own buttons. A leader
 * is stopped and restarted, another is cut off with a command that is lost, and all agree in the end.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { servePage } from "../../examples/browser/serve.ts";
import { until, within, withSandbox } from "../process/support.ts";

const DEADLINE_MS = 60_000;
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync);
}

/** The page after its script has run, as HTML. */
async function documentAt(chromium: string, url: string, profile: string): Promise<string> {
  const child = spawn(chromium, [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    `--user-data-dir=${profile}`,
    "--dump-dom",
    url,
  ], { stdio: ["ignore", "pipe", "pipe"] });
  let html = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text) => html += text);
  child.stderr.setEncoding("utf8").on("data", (text) => errors += text);
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  try {
    await within("the end of Chromium", ended, DEADLINE_MS);
  } finally {
    if (child.exitCode === null) child.kill("SIGKILL");
  }
  assert.match(html, /data-result=/, errors);
  return html;
}

function resultIn(html: string) {
  const [, attribute] = /data-result="([^"]*)"/.exec(html)!;
  return JSON.parse(attribute.replaceAll("&quot;", '"'));
}

const chromium = findChromium();

test("three cores in a page elect, replicate, lose members and agree again", {
  skip: chromium === undefined ? "Chromium is not installed" : false,
  timeout: 2 * DEADLINE_MS,
}, () =>
  withSandbox(async (sandbox) => {
    const page = await servePage(0);
    try {
      const html = await documentAt(
        chromium!,
        `${page.url}#story`,
        join(sandbox.folder, "profile"),
      );
      const { leaders, refused, uncommitted, applied } = resultIn(html);
      assert.equal(leaders.length, 4);
      for (const [at, { id, term }] of leaders.slice(1, 3).entries()) {
        assert.notEqual(id, leaders[at].id, "whoever is stopped or cut off leads no longer");
        assert.ok(term > leaders[at].term);
      }
      assert.equal(refused, 1);
      assert.deepEqual(uncommitted, ["lost"]);
      assert.deepEqual(applied, Array(3).fill(["apple", "bread", "cherry", "egg"]));
      for (const id of [1, 2, 3]) assert.match(html, new RegExp(`Replica ${id}</h2>`));
    } finally {
      await page.close();
    }
    // Chromium's helpers may outlive it for a moment, and write.
    await until("a page that is gone", () => fetch(page.url).then(() => false, () => true));
  }));
