/**
 * A deterministic network of replicas for tests of the core: `RawNode`s over memory storage, driven by
 * hand, with messages that wait in a queue until they are delivered, and may be lost on the way.
 */
import assert from "node:assert/strict";
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type Config,
  type ConfState,
  createConfState,
  createMessage,
  decodeConfChange,
  type Message,
  type MessageType,
  type PeerId,
  type RaftError,
  type RaftLogEntry,
  RawNode,
  type ReadState,
  type Ready,
  type Snapshot,
} from "../../src/raft/mod.ts";
import { MemoryStorage } from "../../src/storage/mod.ts";

/** The options of a member, besides those the network fills in. */
export type MemberOptions = Partial<Omit<Config, "id" | "storage">>;

/** A generator of integers below a bound that always gives the same ones for a seed (mulberry32). */
export function seededRandom(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * bound);
  };
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);

/** A storage whose log begins at index 1, or after the given snapshot. */
export function newStorage(
  id: PeerId,
  confState: ConfState,
  initial: { index: number; term: number } = { index: 0, term: 0 },
): MemoryStorage {
  return new MemoryStorage({ regionId: 1, peerId: id, initial: { ...initial, confState } });
}

/** Writes, and fails at once when the storage refuses: the core must never ask for a wrong write. */
export function write(storage: MemoryStorage, parts: Parameters<MemoryStorage["append"]>[0]): void {
  storage.append(parts).catch(() => {});
  const entries = parts.entries ?? [];
  const last = entries[entries.length - 1]?.index ?? parts.snapshot?.metadata.index;
  if (last === undefined) return;
  assert.equal(storage.lastIndex(), last, "the storage refused the write");
  if (entries.length > 0) assert.equal(storage.term(last), entries[entries.length - 1].term);
}

/** One replica with its storage, its state machine (a list) and what its host keeps across a restart. */
export class Member {
  readonly id: PeerId;
  readonly storage: MemoryStorage;
  readonly options: MemberOptions;
  node: RawNode;
  /** Every entry that was applied, in order, across restarts. A snapshot leaves a gap. */
  applied: RaftLogEntry[] = [];
  appliedIndex: number;
  /** Every configuration that was applied. */
  configurations: ConfState[] = [];
  readStates: ReadState[] = [];
  /** Everything it wanted to send, in order. */
  sent: Message[] = [];
  /** Refusals that `step` returned. */
  refusals: RaftError[] = [];
  /** With asynchronous writes: work that the storage threads have not done yet. */
  appendQueue: Message[] = [];
  applyQueue: Message[] = [];
  /** Whether the storage threads wait for `workAppend` and `workApply`. */
  holdStorage = false;
  /** Whether nothing is taken from it, as of a process that is down. */
  down = false;

  constructor(id: PeerId, storage: MemoryStorage, options: MemberOptions = {}) {
    this.id = id;
    this.storage = storage;
    this.options = options;
    this.appliedIndex = storage.firstIndex() - 1;
    this.node = this.#newNode();
  }

  #newNode(): RawNode {
    return new RawNode({
      random: () => 0,
      applied: this.appliedIndex,
      ...this.options,
      id: this.id,
      storage: this.storage,
    });
  }

  /** Starts over from what is on disk. What was not written is lost. */
  restart(): void {
    this.appendQueue = [];
    this.applyQueue = [];
    this.sent = [];
    this.down = false;
    this.node = this.#newNode();
  }

  get role(): string {
    return this.node.basicStatus().softState.role;
  }

  get leader(): PeerId {
    return this.node.basicStatus().softState.leader;
  }

  get term(): number {
    return this.node.basicStatus().hardState.currentTerm;
  }

  get vote(): PeerId {
    return this.node.basicStatus().hardState.votedFor;
  }

  get commit(): number {
    return this.node.basicStatus().hardState.commitIndex;
  }

  get lastIndex(): number {
    return this.node.basicStatus().lastIndex;
  }

  /** The commands that were applied, empty ones left out. */
  commands(): string[] {
    return this.applied
      .filter((entry) => entry.type === "normal" && entry.command.length > 0)
      .map((entry) => text(entry.command));
  }

  /** The terms of the log as it is stored, from its first index. */
  storedTerms(): number[] {
    const { storage } = this;
    const terms: number[] = [];
    for (let i = storage.firstIndex(); i <= storage.lastIndex(); i++) terms.push(storage.term(i));
    return terms;
  }

  /** Carries out every Ready there is, and returns the messages for others. */
  drive(): Message[] {
    const out: Message[] = [];
    if (this.down) return out;
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      if (this.options.asyncStorageWrites === true) this.#carryOutAsync(ready, out);
      else this.#carryOut(ready, out);
    }
    this.sent.push(...out);
    return out;
  }

  #carryOut(ready: Ready, out: Message[]): void {
    out.push(...ready.messages);
    write(this.storage, {
      snapshot: ready.snapshot,
      entries: ready.entries,
      hardState: ready.hardState,
    });
    out.push(...ready.messagesAfterAppend);
    if (ready.snapshot !== undefined) this.#install(ready.snapshot);
    this.readStates.push(...ready.readStates);
    this.apply(ready.committedEntries);
    this.node.advance();
  }

  #carryOutAsync(ready: Ready, out: Message[]): void {
    this.readStates.push(...ready.readStates);
    for (const message of ready.messages) {
      if (message.to === APPEND_THREAD) this.appendQueue.push(message);
      else if (message.to === APPLY_THREAD) this.applyQueue.push(message);
      else out.push(message);
    }
    if (this.holdStorage) return;
    while (this.appendQueue.length > 0) out.push(...this.workAppend());
    while (this.applyQueue.length > 0) out.push(...this.workApply());
  }

  /** Does the oldest write; returns the messages for others that waited for it. */
  workAppend(): Message[] {
    const message = this.appendQueue.shift();
    if (message === undefined) return [];
    const { entries, snapshot, term, vote, commit, responses } = message;
    const hasState = term !== 0 || vote !== 0 || commit !== 0;
    write(this.storage, {
      snapshot,
      entries,
      hardState: hasState ? { currentTerm: term, votedFor: vote, commitIndex: commit } : undefined,
    });
    if (snapshot !== undefined) this.#install(snapshot);
    return this.#deliver(responses ?? []);
  }

  /** Applies the oldest batch. */
  workApply(): Message[] {
    const message = this.applyQueue.shift();
    if (message === undefined) return [];
    this.apply(message.entries);
    return this.#deliver(message.responses ?? []);
  }

  #deliver(responses: readonly Message[]): Message[] {
    const out: Message[] = [];
    for (const response of responses) {
      if (response.to === this.id) this.step(response);
      else out.push(response);
    }
    return out;
  }

  #install(snapshot: Snapshot): void {
    this.appliedIndex = snapshot.metadata.index;
  }

  apply(entries: readonly RaftLogEntry[]): void {
    for (const entry of entries) {
      // Entries below a snapshot that came in between are part of it.
      if (entry.index <= this.appliedIndex) continue;
      assert.equal(entry.index, this.appliedIndex + 1, "entries are applied in order");
      this.appliedIndex = entry.index;
      this.applied.push(entry);
      if (entry.type === "normal") continue;
      const confState = this.node.applyConfChange(decodeConfChange(entry.type, entry.command));
      this.configurations.push(confState);
      this.storage.saveConfState(confState, entry.index).catch(() => {});
    }
  }

  step(message: Message): RaftError | undefined {
    if (this.down) return undefined;
    const refusal = this.node.step(message);
    if (refusal !== undefined) this.refusals.push(refusal);
    return refusal;
  }
}

/** Replicas and the messages between them. */
export class Network {
  readonly members = new Map<PeerId, Member>();
  /** Messages on their way, oldest first. */
  wire: Message[] = [];
  /** Whether a message is lost; asked when it is sent. */
  loses: (message: Message) => boolean = () => false;
  readonly #cut = new Set<string>();

  /** Members 1 to `count`, all voters, with the same options. */
  static of(count: number, options: MemberOptions = {}): Network {
    const ids = Array.from({ length: count }, (_, i) => i + 1);
    return Network.with({ voters: ids }, options);
  }

  /** The members of a configuration. */
  static with(fields: Partial<ConfState>, options: MemberOptions = {}): Network {
    const network = new Network();
    const confState = createConfState(fields);
    const ids = new Set([
      ...confState.voters,
      ...confState.votersOutgoing,
      ...confState.learners,
    ]);
    for (const id of [...ids].sort((a, b) => a - b)) {
      network.add(new Member(id, newStorage(id, confState), options));
    }
    return network;
  }

  add(member: Member): Member {
    this.members.set(member.id, member);
    return member;
  }

  member(id: PeerId): Member {
    const member = this.members.get(id);
    assert.ok(member !== undefined, `no member ${id}`);
    return member;
  }

  node(id: PeerId): RawNode {
    return this.member(id).node;
  }

  /** Cuts the links between two groups, in both directions. */
  cut(some: readonly PeerId[], others: readonly PeerId[]): void {
    for (const a of some) {
      for (const b of others) {
        this.#cut.add(`${a}-${b}`);
        this.#cut.add(`${b}-${a}`);
      }
    }
  }

  isolate(id: PeerId): void {
    this.cut([id], [...this.members.keys()].filter((other) => other !== id));
  }

  heal(): void {
    this.#cut.clear();
    this.loses = () => false;
  }

  /** Loses messages of these kinds from now on. */
  lose(...types: MessageType[]): void {
    this.loses = (message) => types.includes(message.type);
  }

  /** Carries out what `id` has to do; its messages are then on their way. */
  drive(id: PeerId): void {
    this.send(this.member(id).drive());
  }

  driveAll(): void {
    for (const id of this.members.keys()) this.drive(id);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.#cut.has(`${message.from}-${message.to}`) || this.loses(message)) continue;
      this.wire.push(message);
    }
  }

  /** Delivers everything, in order, until nothing is on its way and nobody has anything to do. */
  settle(): void {
    this.driveAll();
    for (let steps = 0; this.wire.length > 0; steps++) {
      assert.ok(steps < 100_000, "the network does not come to rest");
      this.deliverAt(0);
    }
  }

  /** Delivers the message at a position of the queue, and carries out what follows from it. */
  deliverAt(position: number): RaftError | undefined {
    const [message] = this.wire.splice(position, 1);
    const receiver = this.members.get(message.to);
    if (receiver === undefined) return undefined;
    const refusal = receiver.step(message);
    this.drive(receiver.id);
    return refusal;
  }

  tick(id: PeerId, count = 1): void {
    for (let i = 0; i < count; i++) {
      this.node(id).tick();
      this.drive(id);
    }
  }

  /** Lets `id` win an election, and everything that follows settle. */
  elect(id: PeerId): Member {
    this.node(id).campaign();
    this.settle();
    assert.equal(this.member(id).role, "leader", `${id} did not win`);
    return this.member(id);
  }

  propose(id: PeerId, ...commands: string[]): void {
    for (const command of commands) this.node(id).propose(bytes(command));
    this.settle();
  }

  leaders(): PeerId[] {
    return [...this.members.values()].filter((m) => m.role === "leader").map((m) => m.id);
  }
}

/** A message to replica `to`, for tests that speak to one replica directly. */
export function message(type: MessageType, fields: Partial<Message> = {}): Message {
  return createMessage({ type, to: 1, from: 2, ...fields });
}

/** One replica on its own, member 1 of `fields` (voters 1, 2 and 3 by default). */
export function single(
  options: MemberOptions = {},
  fields: Partial<ConfState> = { voters: [1, 2, 3] },
): Member {
  return new Member(1, newStorage(1, createConfState(fields)), options);
}

/** Makes a lone member leader by answering for the others. Its messages are discarded. */
export function makeLeader(member: Member): Member {
  member.node.campaign();
  member.drive();
  const { voters, votersOutgoing } = member.node.status().confState;
  const others = [...voters, ...votersOutgoing].filter((id) => id !== member.id);
  for (const id of others) {
    if (member.role === "precandidate") {
      const term = member.term + 1;
      member.step(message("pre-vote-response", { from: id, term }));
      member.drive();
    }
  }
  for (const id of others) {
    if (member.role === "leader") break;
    member.step(message("vote-response", { from: id, term: member.term }));
    member.drive();
  }
  assert.equal(member.role, "leader");
  member.sent = [];
  return member;
}

/** All that can be seen of a replica from outside, for comparing before and after. */
export function visibleState(node: RawNode): unknown {
  return structuredClone({ status: node.status(), hasReady: node.hasReady() });
}
