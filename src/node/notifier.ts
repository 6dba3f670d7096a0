/**
 * Tells the logger and the observer of a node what happens. What an observer throws is logged and
 * goes no further; what can happen for every message is logged for the first of its kind.
 *
 * @module
 */

import type { Logger, RaftError, Role } from "../raft/mod.ts";
import type { LeaderState } from "./events.ts";
import type { ObservedPeer, Observer } from "./observer.ts";
import type { Peer } from "./peer.ts";
import type { ApplyBatch } from "./state_machine.ts";

const ONCE_MAX = 1_024;

/** The logger and the observer of a node. */
export class Notifier {
  readonly #nodeId: number;
  readonly #logger: Logger;
  readonly #observer: Observer;
  readonly #once = new Set<string>();
  /** By region: what the observer was told last. */
  readonly #roles = new Map<number, Role>();
  readonly #leaders = new Map<number, string>();

  constructor(nodeId: number, logger: Logger, observer: Observer) {
    this.#nodeId = nodeId;
    this.#logger = logger;
    this.#observer = observer;
  }

  /** Logs a warning, the first time `key` is used; at most 1,024 different ones. */
  warnOnce(key: string, text: string): void {
    if (this.#once.has(key) || this.#once.size >= ONCE_MAX) return;
    this.#once.add(key);
    this.#logger.warn(`node ${this.#nodeId}: ${text}`);
  }

  messageRefused(peer: Peer, error: RaftError): void {
    this.warnOnce(
      `refused ${peer.regionId}/${error.code}`,
      `region ${peer.regionId} peer ${peer.id} refused a message: ${error.message}`,
    );
    this.#tell(() => this.#observer.messageRefused?.(observed(peer), error));
  }

  applied(peer: Peer, batch: ApplyBatch): void {
    const { commands, lastApplied } = batch;
    this.#tell(() =>
      this.#observer.applied?.(observed(peer), { commands: commands.length, lastApplied })
    );
  }

  leaderState(peer: Peer, state: LeaderState, leaderNodeId: number): void {
    const { leaderPeerId, role, term } = state;
    if (this.#roles.get(peer.regionId) !== role) {
      this.#roles.set(peer.regionId, role);
      this.#tell(() => this.#observer.roleChanged?.(observed(peer), role, term));
    }
    const leader = `${leaderPeerId}/${leaderPeerId === 0 ? 0 : term}`;
    if (this.#leaders.get(peer.regionId) === leader) return;
    this.#leaders.set(peer.regionId, leader);
    this.#logger.info(
      leaderPeerId === 0
        ? `region ${peer.regionId} peer ${peer.id}: no leader is known in term ${term}`
        : `region ${peer.regionId} peer ${peer.id}: peer ${leaderPeerId} leads in term ${term}`,
    );
    this.#tell(() =>
      this.#observer.leaderChanged?.(observed(peer), { leaderPeerId, leaderNodeId, term })
    );
  }

  removed(peer: Peer): void {
    this.#logger.warn(
      `region ${peer.regionId} peer ${peer.id}: was removed from its region, and takes no part any more`,
    );
    this.#tell(() => this.#observer.removed?.(observed(peer)));
  }

  failed(error: RaftError): void {
    this.#logger.error(`node ${this.#nodeId} stops: ${error.code}: ${error.message}`);
  }

  stopped(error: RaftError | undefined): void {
    this.#tell(() => this.#observer.stopped?.(this.#nodeId, error));
  }

  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#logger.error(`node ${this.#nodeId}: an observer threw: ${error}`);
    }
  }
}

function observed(peer: Peer): ObservedPeer {
  return { nodeId: peer.nodeId, regionId: peer.regionId, peerId: peer.id };
}
