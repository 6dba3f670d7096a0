/**
 * `flaredb status`: asks every endpoint how it is.
 *
 * @module
 */

import { EtcdClient, EtcdError } from "../etcd/mod.ts";
import type { Command, Invocation } from "./command.ts";
import { CALL_OPTIONS, connectionOf, sentenceOf, timeoutOf } from "./endpoints.ts";
import { EXIT_CODE } from "./errors.ts";
import { byteSize, table } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/** The `status` command. */
export const statusCommand: Command = {
  name: "status",
  summary: "Show how each endpoint is",
  positionals: "",
  positionalCount: [0, 0],
  description:
    "Asks each endpoint for its own state. Exit code 1 when some did not answer, 3 when " +
    "none did.",
  options: {
    ...CALL_OPTIONS,
    json: { help: "write one line of JSON instead of a table" },
  },
  examples: ["flaredb status", "flaredb status --endpoints 127.0.0.1:2379,127.0.0.1:2381 --json"],
  run: runStatus,
};

/** What one endpoint said; `error` alone when it did not answer. */
interface EndpointReport {
  readonly endpoint: string;
  readonly error?: string;
  readonly memberId?: string;
  readonly isLeader?: boolean;
  readonly leaderId?: string;
  readonly version?: string;
  readonly dbSizeBytes?: number;
  readonly revision?: number;
  readonly raftTerm?: number;
  readonly raftIndex?: number;
  readonly raftAppliedIndex?: number;
  readonly errors?: readonly string[];
}

async function runStatus(invocation: Invocation, terminal: Terminal): Promise<number> {
  const deadlineMs = timeoutOf(invocation);
  const { endpoints, ...how } = connectionOf(invocation);
  const reports = await Promise.all(
    endpoints.map((endpoint) =>
      ask(endpoint, new EtcdClient({ ...how, endpoints: [endpoint], deadlineMs }))
    ),
  );
  terminal.out(invocation.has("json") ? JSON.stringify(reports) + "\n" : table(rows(reports)));
  const silent = reports.filter((report) => report.error !== undefined);
  for (const { error } of silent) terminal.error(`${error}\n`);
  if (silent.length === 0) return EXIT_CODE.ok;
  return silent.length === reports.length ? EXIT_CODE.unavailable : EXIT_CODE.failed;
}

/** Asks one endpoint, and closes its client. */
async function ask(endpoint: string, client: EtcdClient): Promise<EndpointReport> {
  try {
    const { header, leader, ...status } = await client.status();
    return {
      endpoint,
      memberId: header.memberId.toString(),
      isLeader: leader !== 0n && leader === header.memberId,
      leaderId: leader.toString(),
      version: status.version,
      dbSizeBytes: status.dbSizeBytes,
      revision: header.revision,
      raftTerm: status.raftTerm,
      raftIndex: status.raftIndex,
      raftAppliedIndex: status.raftAppliedIndex,
      errors: status.errors,
    };
  } catch (error) {
    if (error instanceof EtcdError) return { endpoint, error: sentenceOf(error, [endpoint]) };
    throw error;
  } finally {
    client.close();
  }
}

function rows(reports: readonly EndpointReport[]): string[][] {
  const heading = "ENDPOINT,MEMBER,ROLE,VERSION,DB SIZE,REVISION,TERM,INDEX,APPLIED,ERRORS";
  return [heading.split(","), ...reports.map(row)];
}

function row(report: EndpointReport): string[] {
  if (report.error !== undefined) {
    return [report.endpoint, ..."-".repeat(8).split(""), "does not answer"];
  }
  return [
    report.endpoint,
    report.memberId ?? "-",
    report.isLeader === true ? "leader" : report.leaderId === "0" ? "no leader" : "follower",
    report.version ?? "-",
    byteSize(report.dbSizeBytes ?? 0),
    String(report.revision),
    String(report.raftTerm),
    String(report.raftIndex),
    String(report.raftAppliedIndex),
    report.errors?.join("; ") || "-",
  ];
}
