/**
 * The `add-nodes` command: the snapshot that nodes start from, and every option of their cores.
 *
 * @module
 */

import { createConfState } from "../../src/raft/mod.ts";
import type { ReadOnlyMode } from "../../src/raft/mod.ts";
import type { Arguments } from "./arguments.ts";
import { toBytes } from "./byte_string.ts";
import type { Environment } from "./environment.ts";
import { CommandError } from "./errors.ts";
import type { CoreOptions } from "./member.ts";
import { TraceFormatError } from "./parser.ts";

/** Ticks of an election timeout, unless a trace fixes another. */
export const ELECTION_TICK = 3;
/** Ticks between heartbeats. */
export const HEARTBEAT_TICK = 1;

const MAX_INFLIGHT_MESSAGES = 2 ** 31 - 1;

/** Runs `add-nodes N voters=(..) learners=(..) index=I …`. */
export async function addNodes(environment: Environment, args: Arguments): Promise<void> {
  const count = args.integer("a number of nodes");
  const voters = args.integerList("voters");
  const learners = args.integerList("learners");
  const index = args.integerOption("index");
  const content = args.option("content");
  const options = readCoreOptions(args);
  args.finish();
  if (count < 1) throw new TraceFormatError(`add-nodes needs at least one node: found ${count}`);
  const empty = [voters, learners, index, content].every((it) => it === undefined);
  const start = empty ? undefined : {
    index: index ?? 0,
    term: 1,
    confState: createConfState({ voters: voters ?? [], learners: learners ?? [] }),
  };
  await environment.addNodes(count, options, start, toBytes(content ?? ""));
}

function readCoreOptions(args: Arguments): CoreOptions {
  const maxSizePerMessage = args.integerOption("max-size-per-msg") ?? Infinity;
  return {
    electionTick: ELECTION_TICK,
    heartbeatTick: HEARTBEAT_TICK,
    maxSizePerMessage,
    maxInflightMessages: args.integerOption("inflight") ?? MAX_INFLIGHT_MESSAGES,
    maxInflightBytes: args.integerOption("max-inflight-bytes") ?? 0,
    maxUncommittedSize: args.integerOption("max-uncommitted-size") ?? 0,
    maxCommittedSizePerReady: args.integerOption("max-committed-size-per-ready") ?? 0,
    asyncStorageWrites: args.booleanOption("async-storage-writes") ?? false,
    preVote: args.booleanOption("prevote") ?? false,
    checkQuorum: args.booleanOption("checkquorum") ?? false,
    readOnly: readReadOnlyMode(args),
    disableConfChangeValidation: args.booleanOption("disable-conf-change-validation") ?? false,
    disableProposalForwarding: args.booleanOption("disable-proposal-forwarding") ?? false,
    stepDownOnRemoval: args.booleanOption("step-down-on-removal") ?? false,
    priority: args.integerOption("priority") ?? 0,
    groupCommit: args.booleanOption("group-commit") ?? false,
    commitByVote: args.booleanOption("commit-by-vote") ?? false,
  };
}

function readReadOnlyMode(args: Arguments): ReadOnlyMode {
  const mode = args.option("read-only") ?? "safe";
  if (mode === "safe" || mode === "lease-based") return mode;
  throw new CommandError(`invalid read-only option "${mode}"`);
}
