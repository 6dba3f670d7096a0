/**
 * `flaredb storage verify`: the report about a node's data, as text or JSON.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { KV_FILE } from "../kv/mod.ts";
import {
  type RegionReport,
  type StorageReport,
  type VerifyOptions,
  verifyStorage,
} from "../storage/sqlite/mod.ts";
import type { Invocation } from "./command.ts";
import { EXIT_CODE } from "./errors.ts";
import { byteSize, table } from "./format.ts";
import type { FoundStore } from "./storage_store.ts";
import type { Terminal } from "./terminal.ts";

/** The report about a node's data: its log, and its key-value store where it has one. */
type NodeReport = StorageReport & { readonly store: FoundStore | undefined };

/**
 * Verifies and writes the report; the exit code says whether the data is sound.
 *
 * @param foundStore the key-value store, once `options` had it looked at.
 */
export function runVerify(
  options: VerifyOptions,
  foundStore: () => FoundStore | undefined,
  invocation: Invocation,
  terminal: Terminal,
): number {
  const report = { ...verifyStorage(options), store: foundStore() };
  const text = (): string => describe(report, invocation.has("log-only"));
  terminal.out(invocation.has("json") ? JSON.stringify(report) + "\n" : text());
  return report.sound ? EXIT_CODE.ok : EXIT_CODE.failed;
}

function describe(report: NodeReport, logOnly: boolean): string {
  const { problems, problemsOmitted } = report;
  const lines = [report.directory];
  if (!report.locked) lines.push(...describeFiles(report, logOnly));
  if (report.regions.length > 0) lines.push("", describeRegions(report.regions).trimEnd());
  lines.push("");
  if (report.sound) lines.push("sound: everything holds");
  else {
    for (const problem of problems) lines.push(`! ${problem}`);
    if (problemsOmitted > 0) lines.push(`! … and ${problemsOmitted} more`);
    const count = problems.length + problemsOmitted;
    if (!report.locked) lines.push(`not sound: ${count} ${count === 1 ? "problem" : "problems"}`);
  }
  return lines.join("\n") + "\n";
}

function describeFiles(report: NodeReport, logOnly: boolean): string[] {
  const { identity, formatVersion, wal } = report;
  const free = report.freeBytes === undefined ? "" : `, ${byteSize(report.freeBytes)} of it free`;
  const owner = identity === undefined
    ? "unknown"
    : `node ${identity.nodeId} of cluster "${identity.clusterId}", format ${formatVersion}`;
  return [
    `  belongs to       ${owner}`,
    `  database         ${byteSize(report.databaseBytes)}${free}`,
    `  write-ahead log  ${byteSize(report.walBytes)}` + (wal === undefined ? "" : describeWal(wal)),
    ...(logOnly ? [] : describeStore(report)),
  ];
}

function describeStore({ directory, store }: NodeReport): string[] {
  if (store === undefined) {
    const found = existsSync(join(directory, KV_FILE)) ? "could not be read" : "there is none";
    return [`  key-value store  ${found}`];
  }
  const lines = [`  key-value store  ${describeRows(store)}`];
  if (store.logDamage !== undefined) {
    lines.push(`                   ${store.logDamage}): what follows is dropped, and applied anew`);
  }
  return lines;
}

function describeRows({ layout, appliedIndex, revision, keys, versions }: FoundStore): string {
  if (revision !== undefined) return `revision ${revision}, ${keys} keys in ${versions} versions`;
  if (layout > 0) return `of layout ${layout}, its rows were not read`;
  return appliedIndex === 0 ? "has no tables yet" : "could not be read";
}

function describeWal(wal: NonNullable<StorageReport["wal"]>): string {
  if (wal.frames === 0 && wal.tornFrame === 0) return "";
  const torn = wal.tornFrame === 0
    ? ""
    : `; a last transaction is torn at frame ${wal.tornFrame} and will be dropped, as a crash ` +
      "before it was acknowledged leaves it";
  return `, ${wal.transactions} transactions in ${wal.frames} frames${torn}`;
}

function describeRegions(regions: readonly RegionReport[]): string {
  const heading = "  REGION,PEER,TERM,VOTE,LOG,LAST TERM,COMMIT,APPLIED,SNAPSHOT,VOTERS,LEARNERS";
  return table([heading.split(","), ...regions.map(row)]);
}

function row(region: RegionReport): string[] {
  const { hardState, confState, firstIndex, lastIndex } = region;
  const old = confState.votersOutgoing.length === 0 ? "" : ` from ${confState.votersOutgoing}`;
  return [
    `  ${region.regionId}`,
    String(region.peerId),
    String(hardState.currentTerm),
    hardState.votedFor === 0 ? "-" : String(hardState.votedFor),
    firstIndex > lastIndex ? `empty, after ${lastIndex}` : `${firstIndex}..${lastIndex}`,
    String(region.lastTerm),
    String(hardState.commitIndex),
    String(region.appliedIndex ?? "-"),
    String(region.snapshotIndex ?? "-"),
    (confState.voters.join(" ") || "-") + old,
    [...confState.learners, ...confState.learnersNext].join(" ") || "-",
  ];
}
