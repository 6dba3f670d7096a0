/**
 * The world of an interaction trace: the nodes, and one ordered list of messages in flight. Its
 * methods are the steps that commands are made of; each prints what it does.
 *
 * @module
 */

import {
  APPEND_THREAD,
  APPLY_THREAD,
  createConfState,
  type HardState,
  isEmptyHardState,
  type Message,
  type MessageType,
  type PeerId,
  type SnapshotMetadata,
} from "../../src/raft/mod.ts";
import type { LogWrite } from "../../src/storage/mod.ts";
import type { Disks } from "./disks.ts";
import { CommandError } from "./errors.ts";
import { type CoreOptions, Member } from "./member.ts";
import { Output } from "./output.ts";
import { TraceFormatError } from "./parser.ts";
import { describeMessage, describeReady } from "./printing.ts";

/** Rounds after which `stabilize` gives up: messages go in circles. */
const STABILIZE_ROUNDS_MAX = 10_000;

/** A receiver of `deliver-msgs`. */
export interface Recipient {
  readonly id: PeerId;
  /** Whether its messages are dropped instead of stepped. */
  readonly drop: boolean;
}

/** The nodes of one trace and what is under way between them. */
export class Environment {
  readonly output = new Output();
  readonly members: Member[] = [];
  /** Messages under way, oldest first. */
  inFlight: Message[] = [];
  readonly #disks: Disks;

  constructor(disks: Disks) {
    this.#disks = disks;
  }

  /** The node with that id. @throws TraceFormatError when there is none. */
  member(id: PeerId): Member {
    const member = this.members[id - 1];
    if (member === undefined) throw new TraceFormatError(`there is no node ${id}`);
    return member;
  }

  /** Adds nodes, each started from a snapshot of `start`, or empty without it. */
  async addNodes(
    count: number,
    options: CoreOptions,
    start: SnapshotMetadata | undefined,
    content: Uint8Array,
  ): Promise<void> {
    if (start !== undefined && start.index <= 1) {
      throw new CommandError("index must be specified as > 1 due to bootstrap");
    }
    const metadata = start ?? { index: 0, term: 0, confState: createConfState() };
    for (let added = 0; added < count; added++) {
      const id = this.members.length + 1;
      const disk = await this.#disks.create(id, start);
      this.members.push(new Member(id, options, disk, { metadata, data: content }));
    }
  }

  /** Takes one Ready of a node and does what it asks. */
  async processReady(id: PeerId): Promise<void> {
    const member = this.member(id);
    const ready = member.core.ready();
    const messages = [...ready.messages, ...ready.messagesAfterAppend];
    this.output.write(describeReady(ready, messages));
    if (member.options.asyncStorageWrites === true) {
      for (const message of messages) this.#route(member, message);
      return;
    }
    await member.append(logWrite(ready));
    await member.apply(ready.committedEntries);
    this.inFlight.push(...messages);
    member.core.advance();
  }

  #route(member: Member, message: Message): void {
    if (message.to === APPEND_THREAD) member.appendQueue.push(message);
    else if (message.to === APPLY_THREAD) member.applyQueue.push(message);
    else this.inFlight.push(message);
  }

  /** Does the oldest item of a node's append queue. */
  async processAppendThread(id: PeerId): Promise<void> {
    const member = this.member(id);
    const message = member.appendQueue.shift();
    if (message === undefined) return this.output.write("no append work to perform");
    const { entries, snapshot, term, vote, commit } = message;
    await this.#processStorageMessage(message, async () => {
      const hardState = { currentTerm: term, votedFor: vote, commitIndex: commit };
      await member.append(logWrite({ entries, snapshot, hardState }));
    });
  }

  /** Does the oldest item of a node's apply queue. */
  async processApplyThread(id: PeerId): Promise<void> {
    const member = this.member(id);
    const message = member.applyQueue.shift();
    if (message === undefined) return this.output.write("no apply work to perform");
    await this.#processStorageMessage(message, () => member.apply(message.entries));
  }

  async #processStorageMessage(message: Message, work: () => Promise<void>): Promise<void> {
    const request = describeMessage({ ...message, responses: undefined });
    this.output.write(`Processing:\n${request}\n`);
    await work();
    const responses = message.responses ?? [];
    this.output.write("Responses:\n");
    for (const response of responses) this.output.write(describeMessage(response) + "\n");
    this.inFlight.push(...responses);
  }

  /**
   * Delivers or drops the messages in flight to each recipient in turn, oldest first, all or those
   * of one type. Returns how many there were.
   */
  deliver(recipients: readonly Recipient[], type?: MessageType): number {
    let handled = 0;
    for (const { id, drop } of recipients) {
      const messages = this.inFlight.filter((message) => concerns(message, id, drop, type));
      this.inFlight = this.inFlight.filter((message) => !messages.includes(message));
      for (const message of messages) {
        this.output.write(`${drop ? "dropped: " : ""}${describeMessage(message)}\n`);
        if (!drop) this.#step(message);
      }
      handled += messages.length;
    }
    return handled;
  }

  #step(message: Message): void {
    const refusal = this.member(message.to).core.step(message);
    if (refusal !== undefined) this.output.write(refusal.message + "\n");
  }

  /** Lets the listed nodes work and talk until nothing happens any more. */
  async stabilize(ids: readonly PeerId[]): Promise<void> {
    for (let round = 0; round < STABILIZE_ROUNDS_MAX; round++) {
      const worked = [
        await this.#handleReadies(ids),
        await this.#receiveMessages(ids),
        await this.#drain(ids, "appendQueue", "append", (id) => this.processAppendThread(id)),
        await this.#drain(ids, "applyQueue", "apply", (id) => this.processApplyThread(id)),
      ];
      if (!worked.includes(true)) return;
    }
    throw new Error(`the nodes did not settle within ${STABILIZE_ROUNDS_MAX} rounds`);
  }

  async #handleReadies(ids: readonly PeerId[]): Promise<boolean> {
    let worked = false;
    for (const id of ids) {
      if (!this.member(id).core.hasReady()) continue;
      this.output.write(`> ${id} handling Ready\n`);
      await this.output.indented(() => this.processReady(id));
      worked = true;
    }
    return worked;
  }

  async #receiveMessages(ids: readonly PeerId[]): Promise<boolean> {
    let worked = false;
    for (const id of ids) {
      if (!this.inFlight.some((message) => message.to === id)) continue;
      this.output.write(`> ${id} receiving messages\n`);
      await this.output.indented(() => void this.deliver([{ id, drop: false }]));
      worked = true;
    }
    return worked;
  }

  async #drain(
    ids: readonly PeerId[],
    queue: "appendQueue" | "applyQueue",
    name: string,
    process: (id: PeerId) => Promise<void>,
  ): Promise<boolean> {
    let worked = false;
    for (const id of ids) {
      if (this.member(id)[queue].length === 0) continue;
      this.output.write(`> ${id} processing ${name} thread\n`);
      while (this.member(id)[queue].length > 0) await this.output.indented(() => process(id));
      worked = true;
    }
    return worked;
  }
}

/** Whether a message is for `id` and may be handled so: local ones cannot be dropped. */
function concerns(message: Message, id: PeerId, drop: boolean, type?: MessageType): boolean {
  const local = message.from === message.to || message.from === APPEND_THREAD ||
    message.from === APPLY_THREAD;
  return message.to === id && !(drop && local) && (type === undefined || message.type === type);
}

/** What to write of a Ready or a storage message; what is empty stays as it is on disk. */
function logWrite(
  { entries, snapshot, hardState }: LogWrite & { readonly hardState: HardState | undefined },
): LogWrite {
  return {
    entries: entries ?? [],
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(hardState === undefined || isEmptyHardState(hardState) ? {} : { hardState }),
  };
}
