/**
 * The client sessions of one replica: its table, its clock, and how results are kept. Whoever drives a
 * peer uses them by plain events:
 *
 * - in: `ProposalRequest`s with a `session` operation, in `proposals` events as any other; ticks;
 * - out: `effects.applied` (with `isDuplicate`), or `effects.rejected` with a `SessionError`;
 * - the batch's `sessionState`, by `nodeStateOf(batch, results)`, which the state machine commits with
 *   the batch; after a restart `PeerOptions.sessions.nodeState` brings it back, after the installation
 *   of a snapshot the `nodeState` of the `appended` event;
 * - `counters` say how often duplicates were answered, and sessions expired or were evicted.
 *
 * @module
 */

import { ProposalDroppedError, type RawNode } from "../../raft/mod.ts";
import type { PeerSessionOptions } from "../peer_options.ts";
import type { ResultCodec } from "../state_machine.ts";
import { SessionClock } from "./clock.ts";
import { encodeSessionClock } from "./envelope.ts";
import { SESSION_CLOCK_MS_DEFAULT } from "./limits.ts";
import { type SessionCounters, SessionTable } from "./table.ts";

const NO_COMMAND = new Uint8Array(0);

/** The sessions of a peer. */
export class PeerSessions {
  readonly table: SessionTable;
  readonly codec: ResultCodec;
  readonly #clock: SessionClock;

  /** @throws EnvelopeError when the state is of a version that this one cannot read. */
  constructor(options: PeerSessionOptions, counters: SessionCounters) {
    this.table = new SessionTable(options.nodeState, counters, options.limits);
    this.codec = options.resultCodec;
    this.#clock = new SessionClock(options.clockMs ?? SESSION_CLOCK_MS_DEFAULT);
  }

  /** A tick has passed: a leader lets the clock of the sessions go on. */
  tick(now: number, core: RawNode): void {
    const { softState, hardState } = core.basicStatus();
    const leads = softState.role === "leader" && this.table.size > 0;
    const elapsedMs = this.#clock.tick(now, leads ? hardState.currentTerm : 0);
    if (elapsedMs === 0) return;
    try {
      core.proposeBatch([{ command: NO_COMMAND, context: encodeSessionClock(elapsedMs) }]);
    } catch (error) {
      // That time does not pass, as nobody takes proposals now.
      if (!(error instanceof ProposalDroppedError)) throw error;
    }
  }
}
