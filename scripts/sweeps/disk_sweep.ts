/**
 * Un-synced writes lost: the scripted run is recorded by `strace`: every write, truncation, sync,
 * creation and removal of its files, in order, together with what it acknowledged. From this, images
 * of the disk are made as a power cut at many moments may leave it: what was synced is there; of the
 * rest every write may be there, be missing, or be there in part (sectors of 512 bytes), whatever its
 * order was; names in a directory likewise, in order. Each image must open, show exactly one of the
 * states of the run, and nothing acknowledged may be missing.
 *
 *     deno task disk:sweep --count 2000
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  commandOf,
  count as tally,
  Numbers,
  runAsTask,
  runProcess,
  straceMissing,
  type SweepReport,
  withDirectory,
} from "./sweep.ts";
import { expectedStates, stepOf } from "./workload.ts";

const STEPS = 40;
const SECTOR_BYTES = 512;
const CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat,mkdir";

/** What happened to the files, in order. */
type DiskEvent =
  | { readonly kind: "create" | "remove"; readonly name: string }
  | {
    readonly kind: "write";
    readonly name: string;
    readonly at: number;
    readonly bytes: Uint8Array;
  }
  | { readonly kind: "truncate"; readonly name: string; readonly size: number }
  | { readonly kind: "sync"; readonly name: string }
  | { readonly kind: "sync-names" }
  | { readonly kind: "acknowledged"; readonly step: number };

/** Makes and opens `count` images. @throws when one is misread or lacks something acknowledged. */
export function diskSweep(count: number, seed: number): Promise<SweepReport> {
  return withDirectory(async (parent) => {
    const states = await expectedStates(STEPS);
    const events = await record(parent);
    const numbers = new Numbers(seed);
    const report: SweepReport = { "recorded events": events.length };
    for (let image = 0; image < count; image++) {
      // Moments spread over the whole run; several ways to lose data at each when there are more.
      const moment = Math.floor((image + 1) / count * events.length);
      const directory = join(parent, "image");
      mkdirSync(directory);
      const { disk, acknowledged } = replay(events.slice(0, moment));
      const lost = disk.cutPower(directory, numbers);
      const where = `image ${image} at event ${moment}, ${lost} writes lost`;
      const step = await stepOf(directory, states).catch((cause) => {
        throw new Error(`${where}, does not open: ${cause}`, { cause });
      });
      if (step < acknowledged || step > acknowledged + 1) {
        throw new Error(`${where}: step ${acknowledged} was acknowledged, ${step} is shown`);
      }
      tally(report, lost === 0 ? "images with every write" : "images that lack writes");
      if (step > acknowledged) tally(report, "images with a step that was not acknowledged yet");
      rmSync(directory, { recursive: true });
    }
    return report;
  });
}

/** Runs the script under `strace`. */
async function record(parent: string): Promise<DiskEvent[]> {
  const directory = join(parent, "run");
  const trace = join(parent, "trace");
  const paths = ["", "/raft.db", "/raft.db-wal", "/raft.db-journal", ".acks"];
  const result = await runProcess([
    "strace",
    ...["-f", "-y", "-xx", "-s", "1000000", "-o", trace, "-e", `trace=${CALLS}`],
    ...paths.flatMap((path) => ["-P", directory + path]),
    ...commandOf("workload_process.ts", [directory, "direct", String(STEPS)]),
  ]);
  if (result.lines.at(-1) !== "done") throw new Error(`the run failed: ${result.errors}`);
  const events = eventsOf(readFileSync(trace, "latin1"), directory);
  if (!events.some((event) => event.kind === "acknowledged" && event.step === STEPS)) {
    throw new Error("the trace lacks what was acknowledged");
  }
  return events;
}

/** The events in the text of a trace. @throws when a call is not understood. */
function eventsOf(trace: string, directory: string): DiskEvent[] {
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
    if (Number(result) >= 0) events.push(...eventOf(name, parameters, directory));
  }
  return events;
}

function eventOf(call: string, parameters: string, directory: string): DiskEvent[] {
  // Strings (of hexadecimal escapes) and the path behind a descriptor, then plain numbers.
  const texts = [...parameters.matchAll(/"([^"]*)"/g)].map(([, text]) => unescape(text));
  const numbers = parameters.split(",").map((part) => Number(part));
  const path = unescape(/<([^>]*)>/.exec(parameters)?.[1] ?? "").toString();
  const name = basename(path);
  const named = texts.length > 0 ? texts[0].toString() : "";
  switch (call) {
    case "openat":
      return dirname(named) === directory && parameters.includes("O_CREAT")
        ? [{ kind: "create", name: basename(named) }]
        : [];
    case "unlink":
    case "unlinkat":
      return dirname(named) === directory ? [{ kind: "remove", name: basename(named) }] : [];
    case "write":
      if (path !== `${directory}.acks`) break;
      return /^\d/.test(named) ? [{ kind: "acknowledged", step: Number(named) }] : [];
    case "pwrite64":
      return [{ kind: "write", name, at: numbers.at(-1) as number, bytes: texts[0] }];
    case "ftruncate":
      return [{ kind: "truncate", name, size: numbers.at(-1) as number }];
    case "fsync":
    case "fdatasync":
      return [path === directory ? { kind: "sync-names" } : { kind: "sync", name }];
    case "mkdir":
      return [];
  }
  throw new Error(`an unexpected call of ${call} for ${path}${named}`);
}

function unescape(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}

type FileChange = Extract<DiskEvent, { kind: "write" | "truncate" }>;

/** A file: what is durable, and what was done since. */
class DiskFile {
  #durable: Uint8Array = new Uint8Array(0);
  #changes: FileChange[] = [];

  change(event: FileChange): void {
    this.#changes.push(event);
  }

  sync(): void {
    for (const change of this.#changes.splice(0)) this.#durable = changed(this.#durable, change);
  }

  /** Its content when the power is cut, and how many changes are missing from it. */
  cutPower(numbers: Numbers, keep: "all" | "none" | "some"): { content: Uint8Array; lost: number } {
    let content: Uint8Array = this.#durable.slice();
    let lost = 0;
    for (const change of this.#changes) {
      if (keep === "all" || (keep === "some" && numbers.once(2))) {
        content = changed(content, change);
      } else {
        lost++;
        if (keep === "some" && change.kind === "write" && numbers.once(4)) {
          content = changed(content, torn(change, numbers));
        }
      }
    }
    return { content, lost };
  }
}

function changed(content: Uint8Array, change: FileChange): Uint8Array {
  const size = change.kind === "truncate"
    ? change.size
    : Math.max(content.length, change.at + change.bytes.length);
  const result = new Uint8Array(size);
  result.set(content.subarray(0, size));
  if (change.kind === "write") result.set(change.bytes, change.at);
  return result;
}

/** A run of whole sectors from the beginning or the end of a write. */
function torn(change: Extract<FileChange, { kind: "write" }>, numbers: Numbers): FileChange {
  const { at, bytes } = change;
  const first = SECTOR_BYTES - at % SECTOR_BYTES;
  const cut = Math.min(bytes.length, first + SECTOR_BYTES * numbers.below(8));
  return numbers.once(2)
    ? { ...change, bytes: bytes.subarray(0, cut) }
    : { ...change, at: at + cut, bytes: bytes.subarray(cut) };
}

/** A directory of files, and how much of all of it is durable. */
class Disk {
  #durableNames = new Map<string, DiskFile>();
  #names = new Map<string, DiskFile>();
  /** The names after each change since they were last synced. */
  #history: Map<string, DiskFile>[] = [];

  apply(event: DiskEvent): void {
    switch (event.kind) {
      case "create":
        if (!this.#names.has(event.name)) {
          this.#rename((names) => names.set(event.name, new DiskFile()));
        }
        return;
      case "remove":
        return this.#rename((names) => names.delete(event.name));
      case "write":
      case "truncate":
        return this.#names.get(event.name)?.change(event);
      case "sync":
        return this.#names.get(event.name)?.sync();
      case "sync-names":
        this.#durableNames = this.#names;
        this.#history = [];
    }
  }

  /** Writes to `directory` what is left, and returns how many changes are lost. */
  cutPower(directory: string, numbers: Numbers): number {
    const kept = numbers.below(this.#history.length + 1);
    const names = kept === 0 ? this.#durableNames : this.#history[kept - 1];
    let lost = this.#history.length - kept;
    const keep = (["all", "none", "some", "some", "some"] as const)[numbers.below(5)];
    for (const [name, file] of names) {
      const result = file.cutPower(numbers, keep);
      writeFileSync(join(directory, name), result.content);
      lost += result.lost;
    }
    return lost;
  }

  #rename(change: (names: Map<string, DiskFile>) => void): void {
    this.#names = new Map(this.#names);
    change(this.#names);
    this.#history.push(this.#names);
  }
}

function replay(events: readonly DiskEvent[]): { disk: Disk; acknowledged: number } {
  const disk = new Disk();
  let acknowledged = 0;
  for (const event of events) {
    if (event.kind === "acknowledged") acknowledged = event.step;
    else disk.apply(event);
  }
  return { disk, acknowledged };
}

if (import.meta.main) {
  const missing = straceMissing();
  if (missing === false) await runAsTask("disk sweep", 2000, diskSweep);
  else console.log(`disk sweep: skipped, ${missing}`);
}
