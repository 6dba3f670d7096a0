/**
 * The sessions of clients: when they open, use, keep and close one. A client has one session at a time
 * and one command of it under way; now and then it acknowledges results late, or goes on without its
 * session.
 *
 * @module
 */

import { SESSION_WINDOW, type SessionKey, type SessionOperation } from "../node/mod.ts";
import type { ClientSession } from "./calls.ts";
import type { Chance } from "./chance.ts";
import type { Environment } from "./environment.ts";

const USED_PER_MILLE = 800;
const KEPT_PER_MILLE = 30;
const CLOSED_PER_MILLE = 20;
const ACKNOWLEDGED_LATE_PER_MILLE = 300;
const LATE_MAX = 3;
/** How many of a thousand commands have a number too far ahead, and are refused. */
const SKIPPED_PER_MILLE = 5;

/** The sessions of all clients of a region. */
export class ClientSessions {
  readonly #environment: Environment;
  readonly #chance: Chance;
  readonly #sessions = new Map<number, ClientSession>();

  constructor(environment: Environment, chance: Chance) {
    this.#environment = environment;
    this.#chance = chance;
  }

  /**
   * What a client does about its session before its next operation: opens one when it has none, keeps
   * it alive or closes it at times; undefined: nothing.
   */
  prepare(client: number): SessionOperation | undefined {
    if (!this.#environment.usesSessions) return undefined;
    const session = this.#sessions.get(client);
    if (session === undefined) return this.#chance.hits(USED_PER_MILLE) ? this.#open() : undefined;
    if (this.#chance.hits(KEPT_PER_MILLE)) return { kind: "keep-alive", session: session.key };
    if (!this.#chance.hits(CLOSED_PER_MILLE)) return undefined;
    this.#sessions.delete(client);
    return { kind: "close", session: session.key };
  }

  /** The next command of a client's session, if it has one. */
  command(client: number): SessionOperation | undefined {
    const session = this.#sessions.get(client);
    if (session === undefined) return undefined;
    const late = this.#chance.hits(ACKNOWLEDGED_LATE_PER_MILLE) ? this.#chance.below(LATE_MAX) : 0;
    session.acknowledged = Math.max(session.acknowledged, session.sequence - late);
    session.sequence += this.#chance.hits(SKIPPED_PER_MILLE) ? SESSION_WINDOW + LATE_MAX + 1 : 1;
    return {
      kind: "command",
      session: session.key,
      sequence: session.sequence,
      acknowledged: session.acknowledged,
    };
  }

  /** A session was opened for a client. */
  opened(client: number, key: SessionKey): void {
    this.#sessions.set(client, { key, sequence: 0, acknowledged: 0 });
  }

  /** A session is gone. */
  lost(client: number, key: SessionKey): void {
    if (this.#sessions.get(client)?.key.index === key.index) this.#sessions.delete(client);
  }

  #open(): SessionOperation {
    const timeoutMs = this.#chance.skewed(60, 4_000);
    return { kind: "open", nonce: this.#chance.epoch(), timeoutMs };
  }
}
