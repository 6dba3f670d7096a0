/**
 * The client's side of exactly-once writes: a session that clients of the same cluster share, and one
 * write of it, which keeps its number over all its attempts. See `proto/sessions.proto`.
 *
 * @module
 */

import { SequenceNumbers } from "../node/sessions/sequence_numbers.ts";
import type { SessionPosition } from "../node/mod.ts";

/** A session on the servers, while it lasts. */
interface Lifetime {
  readonly numbers: SequenceNumbers;
  /** Its id, once it was asked for; undefined: the servers have no sessions. */
  id: Promise<string | undefined> | undefined;
}

/**
 * A session of writes that take effect once each, for one client of a cluster or several. It is opened
 * with the first write, and again when it has expired. Servers of etcd have none: they are written to as
 * ever, and a write in doubt is not repeated there.
 */
export class EtcdSession {
  #lifetime: Lifetime = { numbers: new SequenceNumbers(), id: undefined };
  #waiting: (() => void)[] = [];

  /** Begins a write, to be ended. At most 4,096 are under way; further ones wait for their turn. */
  async begin(): Promise<SessionWrite> {
    while (!this.#lifetime.numbers.hasNext) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return new SessionWrite(this);
  }

  /**
   * Gives the session up; `close` tells its id to a server, so that its place is free at once.
   */
  async end(close: (id: string) => Promise<unknown>): Promise<void> {
    const id = await this.#lifetime.id;
    this.#lifetime = { numbers: new SequenceNumbers(), id: undefined };
    if (id !== undefined) await close(id);
  }

  /** For writes: a number of the session as it is now. */
  enter(): { readonly lifetime: Lifetime; readonly sequence: number } {
    const lifetime = this.#lifetime;
    return { lifetime, sequence: lifetime.numbers.begin() };
  }

  /** For writes: a number is not used any more. */
  leave(lifetime: Lifetime, sequence: number): void {
    lifetime.numbers.end(sequence);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** For writes: a session has expired; the next one takes its place, once. */
  expired(lifetime: Lifetime): void {
    if (this.#lifetime !== lifetime) return;
    this.#lifetime = { numbers: new SequenceNumbers(), id: undefined };
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** One write of a session, however often it is attempted. */
export class SessionWrite {
  /** Whether an attempt may have taken effect. */
  isInDoubt = false;
  readonly #session: EtcdSession;
  #lifetime: Lifetime;
  #sequence: number;
  #ended = false;

  /** For the session. */
  constructor(session: EtcdSession) {
    this.#session = session;
    ({ lifetime: this.#lifetime, sequence: this.#sequence } = session.enter());
  }

  /**
   * Its place in the session, which is opened first if need be; undefined when the servers have no
   * sessions.
   *
   * @param open opens one and resolves with its id, or with undefined when there are none; what it
   *   rejects with is passed on, and it is called again the next time.
   */
  async position(
    open: () => Promise<string | undefined>,
  ): Promise<SessionPosition | undefined> {
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

  /** Its session has expired, and no attempt has taken effect: it goes on in another one. */
  renew(): void {
    this.#session.leave(this.#lifetime, this.#sequence);
    this.#session.expired(this.#lifetime);
    ({ lifetime: this.#lifetime, sequence: this.#sequence } = this.#session.enter());
  }

  /** Its session has expired, and its outcome stays unknown. */
  expire(): void {
    this.#session.expired(this.#lifetime);
  }

  /** It was answered, or is given up: it is not attempted again. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#session.leave(this.#lifetime, this.#sequence);
  }
}
