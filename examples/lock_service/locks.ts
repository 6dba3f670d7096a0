/**
 * Locks with fencing tokens, on an embedded `Node`. A lock's token is the log index of the command
 * that took it, so tokens grow from holder to holder, whichever node leads. Whoever protects a
 * resource with a lock sends the token along, and the resource refuses tokens lower than one it has
 * seen: a holder that slept through the loss of its lock can do no harm.
 *
 * No clock decides within the state machine. The leader watches how long a lock was not kept alive,
 * and proposes that it expires; that takes effect only if nothing was heard from the holder since. A
 * new leader begins to watch anew: a lock may live longer than asked for, but never shorter.
 *
 * @module
 */

import type { ApplyBatch, Node, StateMachine } from "../../src/node/mod.ts";

/** What is replicated. */
type LockCommand =
  & { readonly name: string }
  & (
    | { readonly kind: "acquire"; readonly owner: string; readonly ttlMs: number }
    | { readonly kind: "keepAlive"; readonly token: number }
    | { readonly kind: "release"; readonly token: number }
    | { readonly kind: "expire"; readonly token: number; readonly heardAt: number }
  );

/** A lock that is held. */
interface Holding {
  readonly owner: string;
  /** The log index at which it was taken. */
  readonly token: number;
  /** The log index at which its holder was last heard of. */
  readonly heardAt: number;
  readonly ttlMs: number;
}

/** Who holds which lock. Every command yields the token of the holding it concerned, or 0. */
export class LockMachine implements StateMachine<number> {
  locks = new Map<string, Holding>();
  #nodeState = new Map<string, Uint8Array>();
  #lastApplied = 0;

  apply({ commands, lastApplied, nodeState }: ApplyBatch): number[] {
    this.#lastApplied = lastApplied;
    for (const [key, value] of nodeState) {
      if (value === undefined) this.#nodeState.delete(key);
      else this.#nodeState.set(key, value);
    }
    return commands.map(({ index, bytes }) =>
      this.#run(index, JSON.parse(new TextDecoder().decode(bytes)))
    );
  }

  #run(index: number, command: LockCommand): number {
    const { name } = command;
    const held = this.locks.get(name);
    if (command.kind === "acquire") {
      const { owner, ttlMs } = command;
      if (held !== undefined && held.owner !== owner) return 0;
      const token = held?.token ?? index; // who asks again, after a lost answer, gets the same
      this.locks.set(name, { owner, token, heardAt: index, ttlMs });
      return token;
    }
    if (held?.token !== command.token) return 0;
    if (command.kind === "keepAlive") this.locks.set(name, { ...held, heardAt: index });
    else if (command.kind === "release" || held.heardAt === command.heardAt) {
      this.locks.delete(name);
    } else return 0; // its holder was heard of in the meantime
    return held.token;
  }

  lastApplied(): number {
    return this.#lastApplied;
  }
  durableIndex(): number {
    return 0; // Nothing is kept here: after a restart the log is applied again.
  }
  nodeState(): ReadonlyMap<string, Uint8Array> {
    return this.#nodeState;
  }
  async *snapshot(): AsyncIterable<Uint8Array> {
    const nodeState = [...this.#nodeState].map(([key, value]) => [key, [...value]]);
    const text = JSON.stringify({ locks: [...this.locks], nodeState });
    yield await Promise.resolve(new TextEncoder().encode(text));
  }
  async restore(chunks: AsyncIterable<Uint8Array>, lastApplied: number): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
    const { locks, nodeState } = JSON.parse(text);
    this.locks = new Map(locks);
    this.#nodeState = new Map(
      nodeState.map(([k, v]: [string, number[]]) => [k, new Uint8Array(v)]),
    );
    this.#lastApplied = lastApplied;
  }
}

/** The locks as one node offers them. Calls reject with the errors of `Node.propose`. */
export class LockService {
  readonly #node: Node;
  readonly #machine: LockMachine;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Since when, on this machine's clock, a holder has not been heard of. */
  #watched = new Map<string, { readonly heardAt: number; readonly sinceMs: number }>();

  /** @param watchMs how often the leader looks for locks that were not kept alive */
  constructor(node: Node, machine: LockMachine, watchMs = 50) {
    this.#node = node;
    this.#machine = machine;
    this.#timer = setInterval(() => this.#watch(performance.now()), watchMs);
  }

  /** Takes a lock. Resolves with its token, or with 0 while another owner holds it. */
  acquire(name: string, owner: string, ttlMs: number): Promise<number> {
    return this.#propose({ kind: "acquire", name, owner, ttlMs });
  }

  /** Tells that the holder lives. Resolves with 0 when it no longer holds the lock. */
  keepAlive(name: string, token: number): Promise<number> {
    return this.#propose({ kind: "keepAlive", name, token });
  }

  /** Gives a lock back. Resolves with 0 when it was not held any more. */
  release(name: string, token: number): Promise<number> {
    return this.#propose({ kind: "release", name, token });
  }

  /** Stops watching; the node goes on. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #propose(command: LockCommand): Promise<number> {
    const bytes = new TextEncoder().encode(JSON.stringify(command));
    return (await this.#node.propose<number>(bytes)).result;
  }

  #watch(nowMs: number): void {
    const before = this.#watched;
    this.#watched = new Map();
    if (this.#node.status().role !== "leader") return;
    for (const [name, { token, heardAt, ttlMs }] of this.#machine.locks) {
      const known = before.get(name);
      const watched = known?.heardAt === heardAt ? known : { heardAt, sinceMs: nowMs };
      this.#watched.set(name, watched);
      if (nowMs - watched.sinceMs < ttlMs) continue;
      // Should it be lost, with its leader or else, the next look proposes it again.
      this.#propose({ kind: "expire", name, token, heardAt }).catch(() => {});
    }
  }
}
