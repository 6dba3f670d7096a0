/**
 * The members of a region as its log has made them: where each peer lives, and which ids are used up.
 * It is kept in the node's own part of the state machine (`nodeState`), so that it is applied exactly
 * once, travels with snapshots, and is the same on every member.
 *
 * Keys are `member/<peer id>` and `removed/<peer id>`; the value of the first is a JSON object.
 *
 * @module
 */

import type { ConfChangeV2, PeerId } from "../raft/mod.ts";
import type { NodeStateDelta } from "./state_machine.ts";

/** Where a peer lives. */
export interface MemberRecord {
  /** The replica. */
  readonly peerId: PeerId;
  /** The node it lives on. */
  readonly nodeId: number;
  /** Where its node listens for other nodes, `host:port`, when that is known. */
  readonly address?: string;
  /** Where its node listens for clients, when that is known. */
  readonly clientAddress?: string;
  /** The leader makes this learner a voter as soon as it has caught up. */
  readonly becomesVoter?: boolean;
  /** The voter whose place this learner takes then, in the same step. */
  readonly replaces?: PeerId;
}

/** What the context of a configuration change says. */
export interface ChangeContext {
  /** Identifies the request: the peer that proposed it, its incarnation, a number. */
  readonly id: readonly [origin: PeerId, epoch: number, sequence: number];
  /** Members whose whereabouts are recorded with the change. */
  readonly members: readonly MemberRecord[];
}

const MEMBER = "member/";
const REMOVED = "removed/";
const CONTEXT_VERSION = 1;
const REMOVED_MARK = Uint8Array.of(1);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The members that are recorded. */
export class MemberBook {
  #members = new Map<PeerId, MemberRecord>();
  #removed = new Set<PeerId>();

  constructor(nodeState: ReadonlyMap<string, Uint8Array>) {
    this.replace(nodeState);
  }

  /** Those that are recorded, which first members are not before the first change. */
  get members(): ReadonlyMap<PeerId, MemberRecord> {
    return this.#members;
  }

  /** Whether an id belonged to a member that was removed; it must not be used again. */
  isRemoved(peerId: PeerId): boolean {
    return this.#removed.has(peerId);
  }

  /** A snapshot has replaced the state. */
  replace(nodeState: ReadonlyMap<string, Uint8Array>): void {
    this.#members = new Map();
    this.#removed = new Set();
    for (const [key, value] of nodeState) {
      if (key.startsWith(REMOVED)) this.#removed.add(Number(key.slice(REMOVED.length)));
      if (!key.startsWith(MEMBER)) continue;
      const peerId = Number(key.slice(MEMBER.length));
      const record = readMemberRecord(peerId, parse(value));
      if (record !== undefined) this.#members.set(peerId, record);
    }
  }

  /** Whether a committed change must have no effect, on any replica: it uses an id again. */
  voids(change: ConfChangeV2): boolean {
    return change.changes.some(({ type, peerId }) =>
      (type === "add-node" || type === "add-learner") && this.#removed.has(peerId)
    );
  }

  /** Records a change as it is applied; returns what to store with it. */
  record(change: ConfChangeV2): NodeStateDelta {
    if (this.voids(change)) return [];
    const delta: [string, Uint8Array | undefined][] = [];
    for (const record of decodeChangeContext(change.context)?.members ?? []) {
      if (this.#removed.has(record.peerId)) continue;
      const value = writeRecord(record);
      const before = this.#members.get(record.peerId);
      if (before !== undefined && decoder.decode(writeRecord(before)) === decoder.decode(value)) {
        continue;
      }
      this.#members.set(record.peerId, record);
      delta.push([MEMBER + record.peerId, value]);
    }
    for (const { type, peerId } of change.changes) {
      if (type !== "remove-node" || this.#removed.has(peerId)) continue;
      if (this.#members.delete(peerId)) delta.push([MEMBER + peerId, undefined]);
      this.#removed.add(peerId);
      delta.push([REMOVED + peerId, REMOVED_MARK]);
    }
    return delta;
  }
}

/** Encodes what goes with a change. */
export function encodeChangeContext({ id, members }: ChangeContext): Uint8Array {
  const list = members.map(({ peerId, ...record }) => ({ peerId, ...recordFields(record) }));
  return encoder.encode(JSON.stringify({ version: CONTEXT_VERSION, id, members: list }));
}

/** What goes with a change; undefined when it is nothing that this version wrote. */
export function decodeChangeContext(context: Uint8Array | undefined): ChangeContext | undefined {
  const value = context === undefined ? undefined : parse(context);
  if (value?.version !== CONTEXT_VERSION) return undefined;
  const { id, members } = value;
  if (!Array.isArray(id) || id.length !== 3 || !id.every(Number.isSafeInteger)) return undefined;
  if (!Array.isArray(members)) return undefined;
  const records = members.map((record) => readMemberRecord(record?.peerId, record));
  if (records.includes(undefined)) return undefined;
  return { id: [id[0], id[1], id[2]], members: records as MemberRecord[] };
}

function writeRecord(record: MemberRecord): Uint8Array {
  return encoder.encode(JSON.stringify(recordFields(record)));
}

/** The fields in one order: equal records have equal bytes. */
function recordFields(record: Omit<MemberRecord, "peerId">) {
  const { nodeId, address, clientAddress, becomesVoter, replaces } = record;
  return { nodeId, address, clientAddress, becomesVoter, replaces };
}

/** A record as it was written; undefined when its ids cannot be read. */
export function readMemberRecord(
  peerId: unknown,
  value: Record<string, unknown> | undefined,
): MemberRecord | undefined {
  const nodeId = value?.nodeId;
  if (!isId(peerId) || !isId(nodeId)) return undefined;
  return {
    peerId,
    nodeId,
    ...(typeof value!.address === "string" ? { address: value!.address } : {}),
    ...(typeof value!.clientAddress === "string" ? { clientAddress: value!.clientAddress } : {}),
    ...(value!.becomesVoter === true ? { becomesVoter: true } : {}),
    ...(isId(value!.replaces) ? { replaces: value!.replaces } : {}),
  };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function parse(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(decoder.decode(bytes));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
