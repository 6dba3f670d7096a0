/**
 * Records what a scripted process does to its files, through `strace`: every write, truncation, sync,
 * creation, removal and renaming, in order, together with what it acknowledged.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import type { DiskEvent } from "./disk_model.ts";
import { runProcess } from "./sweep.ts";

const CALLS = [
  ...["openat", "pwrite64", "write", "lseek", "ftruncate", "fsync", "fdatasync"],
  ...["unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat"],
];

/**
 * Runs `command`, which works on the files `names` of `directory` (`.` for that itself), writes what it
 * acknowledges to `<directory>.acks`, and prints `done` in the end.
 *
 * @throws when it fails, or a call is not understood.
 */
export async function record(
  directory: string,
  names: readonly string[],
  command: readonly string[],
): Promise<DiskEvent[]> {
  const trace = `${directory}.trace`;
  const paths = [...names.map((name) => `${directory}/${name}`), directory, `${directory}.acks`];
  const result = await runProcess([
    "strace",
    ...["-f", "-y", "-xx", "-s", "1000000", "-o", trace, "-e", `trace=${CALLS}`],
    ...paths.flatMap((path) => ["-P", path]),
    ...command,
  ]);
  if (result.lines.at(-1) !== "done") throw new Error(`the run failed: ${result.errors}`);
  return new Recording(directory).events(readFileSync(trace, "latin1"));
}

/** What the calls of a trace do to the files of a directory. */
class Recording {
  readonly #directory: string;
  /** Where files are written to that do not say so with each write. */
  readonly #positions = new Map<string, number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The events in the text of a trace. */
  events(trace: string): DiskEvent[] {
    const events: DiskEvent[] = [];
    const unfinished = new Map<string, string>();
    for (const line of trace.split("\n")) {
      const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
      if (rest === undefined || rest.startsWith("+++") || rest.startsWith("---")) continue;
      if (rest.endsWith("<unfinished ...>")) {
        unfinished.set(thread, rest.slice(0, -"<unfinished ...>".length));
        continue;
      }
      const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
      const call = resumed === null ? rest : unfinished.get(thread) + resumed[1];
      const [, name, parameters, result] = /^(\w+)\((.*)\) += (-?\d+)/.exec(call) ?? [];
      if (name === undefined) {
        throw new Error(`a line of the trace is unknown: ${call.slice(0, 200)}`);
      }
      if (Number(result) >= 0) events.push(...this.#eventsOf(name, parameters, Number(result)));
    }
    return events;
  }

  #eventsOf(call: string, parameters: string, result: number): DiskEvent[] {
    // Strings (of hexadecimal escapes) and the path behind a descriptor, then plain numbers.
    const texts = [...parameters.matchAll(/"([^"]*)"/g)].map(([, text]) => unescape(text));
    const last = Number(parameters.split(",").at(-1));
    const open = unescape(/<([^>]*)>/.exec(parameters)?.[1] ?? "").toString();
    const path = this.#relative(open);
    const [named, to] = texts.map((text) => this.#relative(text.toString()));
    switch (call) {
      case "openat":
        return this.#opened(named, parameters);
      case "unlink":
      case "unlinkat":
        return isInside(named) ? [{ kind: "remove", path: named }] : [];
      case "rename":
      case "renameat":
      case "renameat2":
        return [{ kind: "rename", path: named, to }];
      case "mkdir":
      case "mkdirat":
        return isInside(named) ? [{ kind: "make-directory", path: named }] : [];
      case "lseek":
        this.#positions.set(path, result);
        return [];
      case "write": {
        if (open === `${this.#directory}.acks`) return acknowledged(texts[0].toString());
        const at = this.#positions.get(path) ?? 0;
        this.#positions.set(path, at + result);
        return [{ kind: "write", path, at, bytes: texts[0].subarray(0, result) }];
      }
      case "pwrite64":
        return [{ kind: "write", path, at: last, bytes: texts[0].subarray(0, result) }];
      case "ftruncate":
        return [{ kind: "truncate", path, size: last }];
      case "fsync":
      case "fdatasync":
        return [{ kind: "sync", path }];
    }
    throw new Error(`an unexpected call of ${call} for ${path}${named}`);
  }

  #opened(path: string, parameters: string): DiskEvent[] {
    if (!isInside(path) || !parameters.includes("O_CREAT")) return [];
    this.#positions.delete(path);
    const created: DiskEvent = { kind: "create", path };
    return parameters.includes("O_TRUNC")
      ? [created, { kind: "truncate", path, size: 0 }]
      : [created];
  }

  #relative(path: string): string {
    return relative(this.#directory, path.replace(/ \(deleted\)$/, "")) || ".";
  }
}

function isInside(path: string): boolean {
  return path !== "." && !path.startsWith("..");
}

function acknowledged(line: string): DiskEvent[] {
  return /^\d/.test(line) ? [{ kind: "acknowledged", step: Number(line) }] : [];
}

function unescape(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}
