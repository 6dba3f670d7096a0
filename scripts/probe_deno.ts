/**
 * Tells whether a version of Deno is sound under gRPC: `deno task probe:deno VERSION`. That Deno serves
 * in a child, while this process makes many unary calls and closes its client, upon which Deno 2.9.4 to
 * 2.9.6 abort natively (denoland/deno#36788). Fetches the version from npm.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import { findRuntime } from "./package/runtimes.ts";
import { ECHO } from "./probe/echo.ts";
import { PROJECT_ROOT } from "./project_files.ts";

const SERVER = join(PROJECT_ROOT, "scripts/probe/server.ts");
const CLIENTS = 3;
const CALLS = 4_000;
const IN_FLIGHT = 64;
const DEADLINE_MS = 120_000;

/** What a probe found: no problem, or how the server ended and what it wrote last. */
export type Verdict =
  | { readonly sound: true }
  | { readonly sound: false; readonly reason: string };

/** Probes a runtime, given its program and the arguments with which it runs another. */
export async function probe(program: string, args: readonly string[]): Promise<Verdict> {
  const child = spawn(program, [...args, SERVER], { stdio: ["pipe", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  child.stdin.on("error", () => {});
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => errors += text);
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(line));
  const ended = endOf(child);
  try {
    await Promise.race([once(reader, "line"), ended]);
    for (let count = 0; count < CLIENTS && child.exitCode === null; count++) {
      await callAndClose(Number(lines[0]));
    }
    child.stdin.end();
    const how = await ended;
    if (how === "exit code 0" && lines.at(-1) === "closed") return { sound: true };
    return { sound: false, reason: `${how}: ${errors.trim().split("\n").slice(-3).join("\n")}` };
  } finally {
    clearTimeout(timer);
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => {
      resolve(signal === null ? `exit code ${code}` : `signal ${signal}`);
    });
  });
}

/** Makes the calls of one client; those to a server that is gone fail, and its end is the verdict. */
async function callAndClose(port: number): Promise<void> {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  let left = CALLS;
  let failed = false;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0 && !failed) {
      await call(client, new Uint8Array(256)).catch(() => failed = true);
    }
  }));
  client.close();
}

function call(client: grpc.Client, request: Uint8Array): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = ECHO;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      },
    );
  });
}

async function main(version: string | undefined): Promise<void> {
  if (version === undefined) throw new Error("which version? deno task probe:deno 2.9.7");
  const found = findRuntime({ name: "deno", version });
  if ("missing" in found) throw new Error(found.missing);
  const verdict = await probe(found.path, ["run", "-A"]);
  console.log(`Deno ${version}: ${verdict.sound ? "sound" : `not sound, ${verdict.reason}`}`);
  if (!verdict.sound) process.exitCode = 1;
}

if (import.meta.main) await main(process.argv[2]);
