/**
 * What nodes ask each other about members, as bytes: JSON with a version, as these are rare. A node
 * that does not lead asks the leader to change the members; one that knows no leader asks the others
 * what became of it.
 *
 * @module
 */

import type { PeerId, RaftError } from "../raft/mod.ts";
import {
  MembershipError,
  type MembershipErrorCode,
  NotLeaderError,
  QuestionError,
  RequestError,
  TimedOutError,
} from "./errors.ts";
import type { Transport } from "../transport/contract.ts";
import { type MemberRecord, readMemberRecord } from "./member_book.ts";
import type { MemberChange } from "./member_changes.ts";
import type { MemberChangeResult } from "./options.ts";

/** What a replica is to its region, as another member sees it. */
export interface Standing {
  /** Its role in the configuration; `removed` when its id is used up, `none` when it is not known. */
  readonly role: "voter" | "learner" | "none" | "removed";
  /**
   * Up to where it was seen to have the log by the member that was asked, in any term that this one
   * has led since it runs; 0 when it was not.
   */
  readonly matchIndex: number;
  /** Where the members live, as the one that was asked has it. */
  readonly members: readonly MemberRecord[];
}

/**
 * Asks a node what a replica is to its region.
 *
 * @param deadlineMs how long the answer may take, in milliseconds.
 * @throws AskError by rejection, when there is no answer; QuestionError when it cannot be read.
 */
export async function askStanding(
  transport: Pick<Transport, "ask">,
  nodeId: number,
  regionId: number,
  peerId: PeerId,
  deadlineMs: number,
): Promise<Standing> {
  const question = encodeMemberQuestion({ ask: "standing", regionId, peerId });
  return decodeStanding(await transport.ask(nodeId, question, deadlineMs));
}

/** What is asked. */
export type MemberQuestion =
  | {
    readonly ask: "change";
    readonly regionId: number;
    readonly change: MemberChange;
    /** How long the change may take, in milliseconds. */
    readonly deadlineMs: number;
  }
  | { readonly ask: "standing"; readonly regionId: number; readonly peerId: PeerId };

const VERSION = 1;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Encodes a question. */
export function encodeMemberQuestion(question: MemberQuestion): Uint8Array {
  return encode({ ...question });
}

/** @throws QuestionError when it is none that this version can answer */
export function decodeMemberQuestion(bytes: Uint8Array): MemberQuestion {
  const { ask, regionId, peerId, change, deadlineMs } = decode(bytes);
  if (isId(regionId) && ask === "standing" && isId(peerId)) return { ask, regionId, peerId };
  if (isId(regionId) && ask === "change" && isId(deadlineMs)) {
    return { ask, regionId, deadlineMs, change: readChange(change) };
  }
  throw new QuestionError(`this version cannot answer the question ${JSON.stringify(ask)}`);
}

/** Encodes what a region's leader made of a change: a result, or why there is none. */
export function encodeChangeOutcome(outcome: MemberChangeResult | RequestError): Uint8Array {
  if (!(outcome instanceof RequestError)) {
    const { index, voters, learners } = outcome;
    return encode({ result: { index, voters, learners } });
  }
  const { code, message, mayHaveTakenEffect } = outcome;
  const leader = outcome instanceof NotLeaderError
    ? { leaderPeerId: outcome.leaderPeerId, leaderNodeId: outcome.leaderNodeId }
    : {};
  return encode({ error: { code, message, mayHaveTakenEffect, ...leader } });
}

/** @throws the error it holds; QuestionError when it cannot be read. */
export function decodeChangeOutcome(bytes: Uint8Array): MemberChangeResult {
  const { result, error } = decode(bytes) as Record<string, Record<string, unknown> | undefined>;
  if (error !== undefined) throw readError(error);
  if (isId(result?.index) && isIds(result.voters) && isIds(result.learners)) {
    return { index: result.index, voters: result.voters, learners: result.learners };
  }
  throw new QuestionError("the outcome of a change of members cannot be read");
}

/** Encodes a standing. */
export function encodeStanding(standing: Standing): Uint8Array {
  return encode({ ...standing });
}

/** @throws QuestionError when it cannot be read */
export function decodeStanding(bytes: Uint8Array): Standing {
  const { role, matchIndex, members } = decode(bytes);
  const records = Array.isArray(members)
    ? members.map((member) => readMemberRecord(member?.peerId, member))
    : [undefined];
  for (const one of ["voter", "learner", "none", "removed"] as const) {
    if (role !== one || !(matchIndex === 0 || isId(matchIndex)) || records.includes(undefined)) {
      continue;
    }
    return { role: one, matchIndex, members: records as MemberRecord[] };
  }
  throw new QuestionError(`unknown standing ${JSON.stringify({ role, matchIndex })}`);
}

function encode(value: Record<string, unknown>): Uint8Array {
  return encoder.encode(JSON.stringify({ version: VERSION, ...value }));
}

function decode(bytes: Uint8Array): Record<string, unknown> {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new QuestionError("what another node said is no JSON", { cause });
  }
  if (typeof value !== "object" || value?.version !== VERSION) {
    throw new QuestionError(`version must be ${VERSION}: found ${String(value?.version)}`);
  }
  return value;
}

function readChange(value: unknown): MemberChange {
  const change = (value ?? {}) as Record<string, unknown>;
  const { kind, peerId, removed, promoted } = change;
  if (kind === "add-learner" || kind === "update") return { kind, member: readMember(change) };
  if (kind === "promote" && isId(peerId)) return { kind, peerId };
  if (kind === "remove" && isId(peerId)) return { kind, peerId, force: change.force === true };
  if (kind === "swap" && isId(removed) && isId(promoted)) return { kind, removed, promoted };
  throw new QuestionError(`this version knows no such change of members: ${String(kind)}`);
}

function readMember({ member }: Record<string, unknown>): MemberRecord {
  const value = (member ?? {}) as Record<string, unknown>;
  const record = readMemberRecord(value.peerId, value);
  if (record === undefined) throw new QuestionError("a member that shall be added lacks its ids");
  return record;
}

function readError(error: Record<string, unknown>): RaftError {
  const { code, message, mayHaveTakenEffect } = error;
  if (code === "NOT_LEADER") {
    return new NotLeaderError(Number(error.leaderPeerId), Number(error.leaderNodeId));
  }
  const mayHave = mayHaveTakenEffect !== false;
  if (code === "TIMED_OUT") return new TimedOutError("change of members", mayHave);
  return new MembershipError(code as MembershipErrorCode, String(message), mayHave);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isId);
}
