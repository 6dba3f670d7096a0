/**
 * The example of the browser, in headless Chromium: it plays a story through its own buttons. A leader
 * is stopped and restarted, another is cut off with a command that is lost, and all agree in the end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { servePage } from "../../examples/browser/serve.ts";
import { documentAt, IN_CHROMIUM } from "../chromium.ts";
import { until } from "../process/support.ts";

function resultIn(html: string) {
  const [, attribute] = /data-result="([^"]*)"/.exec(html)!;
  return JSON.parse(attribute.replaceAll("&quot;", '"'));
}

test(
  "three cores in a page elect, replicate, lose members and agree again",
  IN_CHROMIUM,
  async () => {
    const page = await servePage(0);
    try {
      const { html, log } = await documentAt(`${page.url}#story`);
      assert.match(html, /data-result=/, log);
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
    await until("a page that is gone", () => fetch(page.url).then(() => false, () => true));
  },
);
