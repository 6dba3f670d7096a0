/**
 * The commands of interaction traces: each reads its arguments and works on the environment.
 *
 * @module
 */

import {
  CompactedError,
  type ConfChange,
  type ConfChangeTransition,
  type ConfChangeV2,
  createMessage,
} from "../../src/raft/mod.ts";
import { addNodes, ELECTION_TICK, HEARTBEAT_TICK } from "./add_nodes.ts";
import { type Arguments, parseInteger } from "./arguments.ts";
import { toBytes } from "./byte_string.ts";
import { parseChanges } from "./conf_changes.ts";
import type { Environment, Recipient } from "./environment.ts";
import { CommandError } from "./errors.ts";
import { TraceFormatError } from "./parser.ts";
import { describeEntries, describeMessage, describeProgress, describeRole } from "./printing.ts";
import { readMessage, readMessageType } from "./step_message.ts";

/** One command; an error it throws is printed, or fails the block (see `isPrintedError`). */
export type Command = (environment: Environment, args: Arguments) => void | Promise<void>;

/** The commands of interaction traces, by name. */
export const INTERACTION_COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["add-nodes", addNodes],
  ["campaign", (environment, args) => only(environment, args).core.campaign()],
  ["forget-leader", (environment, args) => only(environment, args).core.forgetLeader()],
  ["request-snapshot", (environment, args) => only(environment, args).core.requestSnapshot()],
  ["restart", (environment, args) => only(environment, args).restart()],
  ["tick-election", (environment, args) => tick(environment, args, ELECTION_TICK)],
  ["tick-heartbeat", (environment, args) => tick(environment, args, HEARTBEAT_TICK)],
  ["set-randomized-election-timeout", setRandomizedElectionTimeout],
  ["propose", propose],
  ["propose-conf-change", proposeConfChange],
  ["read-index", readIndex],
  ["transfer-leadership", transferLeadership],
  ["report-unreachable", reportUnreachable],
  ["report-snapshot", reportSnapshot],
  ["send-snapshot", sendSnapshot],
  ["set-priority", setPriority],
  ["assign-commit-groups", assignCommitGroups],
  ["step", step],
  ["process-ready", processEach("handling Ready", (it, id) => it.processReady(id))],
  [
    "process-append-thread",
    processEach("processing append thread", (it, id) => it.processAppendThread(id)),
  ],
  [
    "process-apply-thread",
    processEach("processing apply thread", (it, id) => it.processApplyThread(id)),
  ],
  ["deliver-msgs", deliverMessages],
  ["stabilize", stabilize],
  ["compact", compact],
  ["raft-log", (environment, args) => printLog(environment, onlyId(args))],
  ["raft-state", printStates],
  ["status", printStatus],
  ["log-level", setLogLevel],
]);

const LOG_LEVELS: ReadonlySet<string> = new Set([
  "debug",
  "info",
  "warn",
  "error",
  "fatal",
  "none",
]);

function onlyId(args: Arguments): number {
  const id = args.integer("a node");
  args.finish();
  return id;
}

function only(environment: Environment, args: Arguments) {
  return environment.member(onlyId(args));
}

function tick(environment: Environment, args: Arguments, ticks: number): void {
  const { core } = only(environment, args);
  for (let done = 0; done < ticks; done++) core.tick();
}

function setRandomizedElectionTimeout(environment: Environment, args: Arguments): void {
  const timeout = args.integerOption("timeout");
  if (timeout === undefined || timeout < 1) {
    throw new TraceFormatError(`timeout must be at least one tick: found ${timeout}`);
  }
  only(environment, args).core.setRandomizedElectionTimeout(timeout);
}

function propose(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const command = toBytes(args.text("data"));
  args.finish();
  environment.member(id).core.propose(command);
}

function proposeConfChange(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const single = args.booleanOption("v1") ?? false;
  const transition = readTransition(args);
  args.finish();
  const changes = parseChanges(args.input);
  let change: ConfChange | ConfChangeV2 = { transition, changes, context: undefined };
  if (single) {
    if (changes.length > 1 || transition !== "auto") {
      throw new CommandError("v1 conf change can only have one operation and no transition");
    }
    const [first] = changes;
    if (first === undefined) throw new TraceFormatError("a v1 change needs an operation");
    change = { ...first, context: undefined };
  }
  environment.member(id).core.proposeConfChange(change);
}

function readTransition(args: Arguments): ConfChangeTransition {
  const transition = args.option("transition") ?? "auto";
  switch (transition) {
    case "auto":
      return "auto";
    case "implicit":
      return "joint-implicit";
    case "explicit":
      return "joint-explicit";
    default:
      throw new CommandError(`unknown transition ${transition}`);
  }
}

function readIndex(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const context = toBytes(args.text("a context"));
  args.finish();
  environment.member(id).core.readIndex(context);
}

function transferLeadership(environment: Environment, args: Arguments): void {
  const from = args.integerOption("from");
  const to = args.integerOption("to");
  args.finish();
  if (from === undefined || to === undefined) {
    throw new TraceFormatError("transfer-leadership needs from= and to=");
  }
  environment.member(from).core.transferLeader(to);
}

function reportUnreachable(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const peer = args.integer("a peer");
  args.finish();
  environment.member(id).core.reportUnreachable(peer);
}

function reportSnapshot(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const peer = args.integer("a peer");
  const outcome = args.word("finish or failure");
  args.finish();
  if (outcome !== "finish" && outcome !== "failure") {
    throw new TraceFormatError(`a report must be finish or failure: found ${outcome}`);
  }
  environment.member(id).core.reportSnapshot(peer, outcome);
}

function sendSnapshot(environment: Environment, args: Arguments): void {
  const from = args.integer("a sender");
  const to = args.integer("a receiver");
  args.finish();
  const { core, newestSnapshot: snapshot } = environment.member(from);
  const term = core.basicStatus().hardState.currentTerm;
  const message = createMessage({ type: "snapshot", from, to, term, snapshot });
  environment.inFlight.push(message);
  environment.output.write(describeMessage(message));
}

function setPriority(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const priority = args.integer("a priority");
  args.finish();
  environment.member(id).core.setPriority(priority);
}

/** `assign-commit-groups ID groups=(PEER:GROUP,…)`. */
function assignCommitGroups(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const groups = (args.list("groups") ?? []).map((pair): [number, number] => {
    const [peer, group, ...rest] = pair.split(":");
    if (peer === undefined || group === undefined || rest.length > 0) {
      throw new TraceFormatError(`a commit group must be PEER:GROUP: found ${pair}`);
    }
    return [parseInteger("a peer", peer), parseInteger("a group", group)];
  });
  args.finish();
  environment.member(id).core.assignCommitGroups(groups);
}

function step(environment: Environment, args: Arguments): void {
  const id = args.integer("a node");
  const message = readMessage(args, id);
  args.finish();
  const { core } = environment.member(id);
  environment.output.write(describeMessage(message) + "\n");
  const refusal = core.step(message);
  if (refusal !== undefined) throw refusal;
}

/** A command on each of several nodes; with one node alone, without header and indentation. */
function processEach(
  title: string,
  process: (environment: Environment, id: number) => Promise<void>,
): Command {
  return async (environment, args) => {
    const ids = args.integers("a node");
    args.finish();
    if (ids.length === 0) throw new TraceFormatError(`${args.command} needs a node: found none`);
    if (ids.length === 1) return await process(environment, ids[0]);
    for (const id of ids) {
      environment.output.write(`> ${id} ${title}\n`);
      await environment.output.indented(() => process(environment, id));
    }
  };
}

function deliverMessages(environment: Environment, args: Arguments): void {
  const type = readMessageType(args);
  const recipients = readRecipients(args);
  for (const { id, drop } of recipients) {
    if (!drop) environment.member(id);
    else if (recipients.some((other) => other.id === id && !other.drop)) {
      throw new TraceFormatError(`can't both deliver and drop messages to ${id}`);
    }
  }
  if (environment.deliver(recipients, type) === 0) environment.output.write("no messages\n");
}

/** Receivers and `drop=(…)`, in the order in which they are written. */
function readRecipients(args: Arguments): Recipient[] {
  const recipients: Recipient[] = [];
  for (let argument = args.next(); argument !== undefined; argument = args.next()) {
    const { key, values, text } = argument;
    if (values !== undefined && key !== "drop") {
      throw new TraceFormatError(`${args.command} does not take ${text}`);
    }
    for (const id of values ?? [key]) {
      recipients.push({ id: parseInteger("a node", id), drop: values !== undefined });
    }
  }
  return recipients;
}

async function stabilize(environment: Environment, args: Arguments): Promise<void> {
  const level = args.option("log-level");
  const listed = args.integers("a node");
  args.finish();
  const ids = listed.length > 0 ? listed : environment.members.map(({ id }) => id);
  const { output } = environment;
  const quietBefore = output.quiet;
  if (level !== undefined) output.quiet = isQuiet(level);
  try {
    await environment.stabilize(ids);
  } finally {
    output.quiet = quietBefore;
  }
}

function setLogLevel(environment: Environment, args: Arguments): void {
  const level = args.word("a level");
  args.finish();
  environment.output.quiet = isQuiet(level);
}

function isQuiet(level: string): boolean {
  if (!LOG_LEVELS.has(level.toLowerCase())) {
    throw new TraceFormatError(
      `a log level must be one of ${[...LOG_LEVELS].join(", ")}: found ${level}`,
    );
  }
  return level.toLowerCase() === "none";
}

async function compact(environment: Environment, args: Arguments): Promise<void> {
  const id = args.integer("a node");
  const index = args.integer("an index");
  args.finish();
  const member = environment.member(id);
  if (index < member.log.firstIndex()) throw new CompactedError();
  if (index > member.log.lastIndex()) {
    throw new TraceFormatError(
      `the log of node ${id} ends at ${member.log.lastIndex()}: found ${index}`,
    );
  }
  await member.compact(index);
  printLog(environment, id);
}

function printLog(environment: Environment, id: number): void {
  const { log } = environment.member(id);
  const first = log.firstIndex();
  const last = log.lastIndex();
  environment.output.write(
    last < first
      ? `log is empty: first index=${first}, last index=${last}`
      : describeEntries(log.entries(first, last + 1, Infinity)),
  );
}

function printStates(environment: Environment, args: Arguments): void {
  args.finish();
  for (const { id, core } of environment.members) {
    const { softState, hardState, confState } = core.status();
    const voter = confState.voters.includes(id) || confState.votersOutgoing.includes(id);
    environment.output.write(
      `${id}: ${describeRole(softState.role)} (${voter ? "Voter" : "Non-Voter"}) ` +
        `Term:${hardState.currentTerm} Lead:${softState.leader}\n`,
    );
  }
}

function printStatus(environment: Environment, args: Arguments): void {
  const { progress } = only(environment, args).core.status();
  for (const [id, peer] of [...progress ?? []].sort(([a], [b]) => a - b)) {
    environment.output.write(describeProgress(id, peer));
  }
}
