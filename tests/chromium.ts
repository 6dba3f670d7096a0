/**
 * Headless Chromium for the tests in a browser, which are skipped, and say so, where it is not
 * installed.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const DEADLINE_MS = 60_000;

const program = (process.env.PATH ?? "").split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync);

/** The options of a test that needs Chromium. */
export const IN_CHROMIUM: { readonly skip: string | false; readonly timeout: number } = {
  skip: program === undefined ? "Chromium is not installed (Debian: chromium)" : false,
  timeout: 2 * DEADLINE_MS,
};

/**
 * The page at `url` after its scripts have run, as HTML, and what Chromium wrote of it.
 *
 * @throws Error when Chromium does not end well within a minute.
 */
export async function documentAt(url: string): Promise<{ html: string; log: string }> {
  const profile = mkdtempSync(join(tmpdir(), "flaredb-chromium-"));
  try {
    return await dump(url, profile);
  } finally {
    // Its helpers may outlive it for a moment, and write.
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

async function dump(url: string, profile: string): Promise<{ html: string; log: string }> {
  const child = spawn(program!, [
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
  let [html, log] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => html += text);
  child.stderr.setEncoding("utf8").on("data", (text) => log += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).finally(() => clearTimeout(timer));
  if (code !== 0) throw new Error(`Chromium ended with ${code}: ${log}`);
  return { html, log };
}
