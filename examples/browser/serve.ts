/**
 * Builds the page and serves it on this machine only: `deno task example:browser [PORT]`, then open
 * the address that it prints.
 *
 * @module
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { compile } from "../../scripts/package/compile.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const HOST = "127.0.0.1";
const PORT_DEFAULT = 8080;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
};

/** A page that is being served. */
export interface ServedPage {
  /** Where it is found. */
  readonly url: string;
  close(): Promise<void>;
}

/** Builds and serves; port 0 takes a free one. */
export async function servePage(port: number): Promise<ServedPage> {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-browser-"));
  const scripts = compile({ entries: ["examples/browser/main.ts"], folder, declarations: false });
  const files = new Map<string, string>([
    ["/", join(HERE, "index.html")],
    ["/style.css", join(HERE, "style.css")],
    ...scripts.map((path): [string, string] => [`/${path}`, join(folder, path)]),
  ]);
  const server = await listen(files, port);
  const address = server.address();
  const boundPort = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://${HOST}:${boundPort}/`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function listen(files: ReadonlyMap<string, string>, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const file = files.get(new URL(request.url ?? "/", "http://page").pathname);
    if (file === undefined) {
      response.writeHead(404).end();
    } else {
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type }).end(readFileSync(file));
    }
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, () => resolve(server));
  });
}

if (import.meta.main) {
  const page = await servePage(Number(process.argv[2] ?? PORT_DEFAULT));
  console.log(`open ${page.url} (Ctrl-C ends it)`);
  process.once("SIGINT", () => void page.close().then(() => process.exit(0)));
}
