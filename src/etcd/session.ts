/**
 * The client's side of exactly-once writes: a session that clients of the same cluster share, and one
 * write of it, which keeps its number over all its attempts. See `proto/sessions.proto`.
 *
 * @module
 */

import { SequenceNumbers } from "../node/sessions/sequence_numbers.ts";
import type { SessionPosition } from "../node/mod.ts";

/** One write of a session, however often it is attempted. */
export interface SessionWrite {
  /** Whether an attempt may have taken effect; set by the client that attempts it. */
  isInDoubt: boolean;
  /**
   * Its place in the session, which is opened first if need be; undefined when the servers have no
   * sessions.
   *
   * @param open opens one and resolves with its id, or with undefined when there are none; what it
   *   rejects with is passed on, and it is called again the next time.
   */
  position(open: () => Promise<string | undefined>): Promise<SessionPosition | undefined>;
  /** Its session has expired, and no attempt has taken effect: it goes on in another one. */
  renew(): void;
  /** Its session has expired, and its outcome stays unknown. */
  expire(): void;
  /** It was answered, or is given up: it is not attempted again. Idempotent. */
  end(): void;
}

/**
 * A session of writes that take effect once each, for one client of a cluster or several. It is opened
 * with the first write, and again when it has expired. Servers of etcd have none: they are written to as
 * ever, and a write in doubt is not repeated there.
 */
export class EtcdSession {
  readonly #lifetimes = new Lifetimes();

  /** Begins a write, to be ended. At most 4,096 are under way; further ones wait for their turn. */
  async begin(): Promise<SessionWrite> {
    const lifetimes = this.#lifetimes;
    // Each looks for itself, right before it begins: others may have begun meanwhile.
    while (!lifetimes.current.numbers.hasNext) await lifetimes.change();
    return new Write(lifetimes);
  }

  /**
   * Gives the session up; `close` tells its id to a server, so that its place is free at once. Writes
   * that are begun later open another one.
   *
   * @throws what `close` rejects with.
   */
  async end(close: (id: string) => Promise<unknown>): Promise<void> {
    const { current } = this.#lifetimes;
    this.#lifetimes.expire(current);
    const id = await current.id?.catch(() => undefined);
    if (id !== undefined) await close(id);
  }
}

/** A session on the servers, while it lasts. */
interface Lifetime {
  readonly numbers: SequenceNumbers;
  /** Its id, once it was asked for; undefined: the servers have no sessions. */
  id: Promise<string | undefined> | undefined;
}

/** The sessions on the servers that take each other's place. */
class Lifetimes {
  current: Lifetime = { numbers: new SequenceNumbers(), id: undefined };
  #waiting: (() => void)[] = [];

  /** Resolves when a write has ended, or a session has. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  leave(lifetime: Lifetime, sequence: number): void {
    lifetime.numbers.end(sequence);
    this.#wake();
  }

  /** A session has expired; the next one takes its place, once. */
  expire(lifetime: Lifetime): void {
    if (this.current !== lifetime) return;
    this.current = { numbers: new SequenceNumbers(), id: undefined };
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

class Write implements SessionWrite {
  isInDoubt = false;
  readonly #lifetimes: Lifetimes;
  #lifetime: Lifetime;
  #sequence: number;
  #ended = false;

  constructor(lifetimes: Lifetimes) {
    this.#lifetimes = lifetimes;
    this.#lifetime = lifetimes.current;
    this.#sequence = this.#lifetime.numbers.begin();
  }

  async position(open: () => Promise<string | undefined>): Promise<SessionPosition | undefined> {
    const lifetime = this.#lifetime;
    const opening = lifetime.id ??= open();
    let id: string | undefined;
    try {
      id = await opening;
    } catch (error) {
      if (lifetime.id === opening) lifetime.id = undefined;
      throw error;
    }
    const { acknowledged } = lifetime.numbers;
    return id === undefined ? undefined : { id, sequence: this.#sequence, acknowledged };
  }

  renew(): void {
    this.#lifetimes.leave(this.#lifetime, this.#sequence);
    this.#lifetimes.expire(this.#lifetime);
    this.#lifetime = this.#lifetimes.current;
    this.#sequence = this.#lifetime.numbers.begin();
  }

  expire(): void {
    this.#lifetimes.expire(this.#lifetime);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lifetimes.leave(this.#lifetime, this.#sequence);
  }
}
