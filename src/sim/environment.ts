/**
 * The world of one run: how fast and how bad network and disks are, how the peers are configured, and
 * which faults happen how often. Drawn from the seed, so that a sweep meets quiet and wild worlds,
 * and such in which only few kinds of faults exist: those find what a mixture of all hides.
 *
 * @module
 */

import type { PeerLimits, SessionLimits } from "../node/mod.ts";
import type { ReadOnlyMode } from "../raft/mod.ts";
import type { Chance } from "./chance.ts";
import { STEERED_KINDS } from "./steered/mod.ts";
import { themedEnvironment, THEMES } from "./themes.ts";

/** The kinds of faults and disturbances, in the order of their weights. */
export const FAULT_KINDS = [
  "partition",
  "isolate-leader",
  "partial-partition",
  "asymmetric-partition",
  "flapping-link",
  "slow-link",
  "loss-burst",
  "replay",
  "reset",
  "cut-snapshots",
  "disk-stall",
  "disk-slow",
  "write-failure",
  "disk-full",
  "bit-flip",
  "wipe",
  "forget",
  "crash",
  "crash-leader",
  "crash-in-turn",
  "crash-all",
  "rolling-restart",
  "pause",
  "slow-machine",
  "clock-skew",
  "clock-jump",
  "transfer",
  "campaign",
  "compact",
  "add-learner",
  "promote",
  "demote",
  "remove",
  "replace",
  ...STEERED_KINDS,
] as const;

/** A kind of fault. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/** How often each kind is chosen, relative to the others; steered ones have worlds of their own. */
const WEIGHTS: Partial<Readonly<Record<FaultKind, number>>> = {
  "partition": 8,
  "isolate-leader": 8,
  "partial-partition": 5,
  "asymmetric-partition": 5,
  "flapping-link": 3,
  "slow-link": 4,
  "loss-burst": 4,
  "replay": 6,
  "reset": 4,
  "cut-snapshots": 4,
  "disk-stall": 5,
  "disk-slow": 3,
  "write-failure": 4,
  "disk-full": 2,
  "bit-flip": 2,
  "wipe": 2,
  "forget": 3,
  "crash": 8,
  "crash-leader": 8,
  "crash-in-turn": 8,
  "crash-all": 3,
  "rolling-restart": 2,
  "pause": 6,
  "slow-machine": 5,
  "clock-skew": 4,
  "clock-jump": 3,
  "transfer": 8,
  "campaign": 4,
  "compact": 10,
  "add-learner": 5,
  "promote": 5,
  "demote": 3,
  "remove": 4,
  "replace": 4,
};

/**
 * What changes the members, or makes it necessary. With neither pre-vote nor check-quorum nobody tells
 * a member that knows only removed peers that its higher term keeps it out of the group.
 */
const MEMBERSHIP_KINDS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "bit-flip",
  "wipe",
  "forget",
  "add-learner",
  "promote",
  "demote",
  "remove",
  "replace",
]);

/** What a run may be told about its faults; whatever is absent is drawn from the seed. */
export interface FaultOptions {
  /** Mean time between faults, in microseconds of virtual time; Infinity for none. */
  readonly intervalUs?: number;
  /** Weights of kinds; those that are absent never happen. */
  readonly weights?: Partial<Readonly<Record<FaultKind, number>>>;
  /** How many of a thousand packets are lost, and sent twice. */
  readonly lossPerMille?: number;
  /** Messages that arrive twice, of a thousand. */
  readonly duplicatePerMille?: number;
  /** Only the faults with these numbers happen; those of a run are numbered from 0. */
  readonly only?: readonly number[];
}

/** The world of one run. Times are microseconds of virtual time. */
export interface Environment {
  /** The length of a tick, in microseconds. */
  readonly tickUs: number;
  /** Ticks without a leader before a campaign. */
  readonly electionTick: number;
  /** Ticks between heartbeats. */
  readonly heartbeatTick: number;
  /** Whether votes are asked for without a new term first. */
  readonly preVote: boolean;
  /** Whether a leader without a quorum steps down. */
  readonly checkQuorum: boolean;
  /** Whether followers forward proposals. */
  readonly forwardProposals: boolean;
  /** Whether lost proposals are proposed again. */
  readonly repeatDropped: boolean;
  /** Whether a leader that is removed steps down. */
  readonly stepDownOnRemoval: boolean;
  /** How reads are confirmed. Where the leader's lease does it, the world keeps what leases need. */
  readonly readOnly: ReadOnlyMode;
  /** Whether the peers record members and used ids, and members change by way of requests. */
  readonly recordsMembers: boolean;
  /**
   * Whether members that are added always begin as learners, so that a peer that comes back without its
   * data is known by that. Where not, such peers never come back. Needs `recordsMembers` and
   * `streamsSnapshots`, as requests then make all changes that add a voter.
   */
  readonly beginsAsLearner: boolean;
  /** Whether clients propose through sessions, and repeat what is uncertain. */
  readonly usesSessions: boolean;
  /** The limits of sessions; null for those of every node, which no run reaches. */
  readonly sessionLimits: SessionLimits | null;
  /** How often the leader lets the clock of the sessions go on, in milliseconds. */
  readonly sessionClockMs: number;
  /** Whether messages travel as bytes, or as they are. */
  readonly encodesMessages: boolean;
  /** Whether snapshots are made when they are sent, as `Node` does, or come from the storage. */
  readonly streamsSnapshots: boolean;
  /** The limits of the replicas. */
  readonly limits: PeerLimits;
  /** The shortest time a message takes, in microseconds. */
  readonly delayMinUs: number;
  /** The longest. */
  readonly delayMaxUs: number;
  /** Messages that are lost, of a thousand. */
  readonly lossPerMille: number;
  /** Messages that arrive twice, of a thousand. */
  readonly duplicatePerMille: number;
  /** Whether packets of a link keep their order. */
  readonly inOrder: boolean;
  /** Whether the messages of a turn for one node travel together. */
  readonly batched: boolean;
  /** The shortest time a write takes, in microseconds. */
  readonly diskMinUs: number;
  /** The longest. */
  readonly diskMaxUs: number;
  /** How many writes share a transaction at most. */
  readonly transactionWritesMax: number;
  /** Whether reads of the storage show a write from the call on, or once it is durable. */
  readonly visibleAtCall: boolean;
  /** The longest time a batch takes to apply, in microseconds. */
  readonly applyMaxUs: number;
  /** How long arrivals may be collected before a turn; 0: no longer than a moment. */
  readonly turnMaxUs: number;
  /** How many of a thousand batches the state machine makes durable at once. */
  readonly checkpointPerMille: number;
  /** How many applied entries a log keeps when it is compacted by itself; Infinity: it never is. */
  readonly entriesKept: number;
  /** Pauses of a client between operations. */
  readonly thinkMaxUs: number;
  /** How long a request of a client may take. */
  readonly requestTimeoutMs: number;
  /** The time between faults, about, in microseconds. */
  readonly faultIntervalUs: number;
  /** A weight for each of `FAULT_KINDS`. */
  readonly faultWeights: readonly number[];
}

/**
 * A world of stalling disks and changing leaders in an otherwise fast cluster: writes are under way
 * while another leader replaces what they write.
 */
const STALLING_WEIGHTS: Partial<Readonly<Record<FaultKind, number>>> = {
  "isolate-leader": 5,
  "transfer": 3,
  "campaign": 3,
  "disk-stall": 9,
  "crash-leader": 3,
  "loss-burst": 2,
};

/** The same while members come and go, and the new ones need snapshots. */
const STALLING_MEMBERS_WEIGHTS: Partial<Readonly<Record<FaultKind, number>>> = {
  "disk-stall": 8,
  "wipe": 2,
  "add-learner": 3,
  "promote": 2,
  "remove": 1,
  "replace": 4,
  "compact": 3,
};

/**
 * A leader's lease is worth something only where clocks run alike and a leader that lives is heard:
 * it ends by itself up to two election timeouts after the last contact, and followers vote for another
 * one after a single timeout, or at once when leadership is transferred (thesis §6.4.1). These kinds
 * break none of that.
 */
const LEASE_KINDS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "cut-snapshots",
  "write-failure",
  "disk-full",
  "bit-flip",
  "wipe",
  "forget",
  "crash",
  "crash-leader",
  "crash-in-turn",
  "crash-all",
  "rolling-restart",
  "slow-machine",
  "compact",
  "add-learner",
  "promote",
  "demote",
  "remove",
  "replace",
]);

const SMALL_LIMITS: PeerLimits = {
  pendingProposalsMax: 2,
  proposalEntriesMax: 2,
  appendBytesMax: 120,
  inflightMessagesMax: 2,
  inflightBytesMax: 240,
  uncommittedBytesMax: 200,
  applyBytesMax: 150,
  pendingReadsMax: 2,
};

const SMALL_SESSION_LIMITS: SessionLimits = {
  sessionsMax: 3,
  sessionResultBytesMax: 250,
  resultBytesMax: 500,
};

/** How many of a thousand worlds have a theme. */
const THEMES_PER_MILLE = 180;

/** Draws a world. */
export function drawEnvironment(chance: Chance, faults: FaultOptions): Environment {
  const delayMinUs = chance.between(50, 800);
  const diskMinUs = chance.between(20, 500);
  const quiet = chance.hits(100);
  // How many of a thousand kinds of faults exist: all, half of them, or few.
  const kindsPerMille = chance.pick([1000, 550, 550, 200]);
  const preVote = chance.hits(750);
  const checkQuorum = chance.hits(750);
  const mayChangeMembers = preVote || checkQuorum;
  const stalling = chance.hits(150);
  const leases = checkQuorum && chance.hits(150);
  const stallingWeights = chance.hits(300) ? STALLING_MEMBERS_WEIGHTS : STALLING_WEIGHTS;
  const weights = faults.weights ?? (stalling ? stallingWeights : undefined);
  const recordsMembers = chance.hits(750);
  const streamsSnapshots = chance.hits(600);
  const beginsAsLearner = recordsMembers && streamsSnapshots && chance.hits(600);
  const drawn: Environment = {
    tickUs: 10_000,
    electionTick: chance.between(4, 10),
    heartbeatTick: chance.hits(800) ? 1 : 2,
    preVote,
    checkQuorum,
    forwardProposals: chance.hits(800),
    repeatDropped: chance.hits(700),
    stepDownOnRemoval: chance.hits(500),
    readOnly: "safe",
    recordsMembers,
    beginsAsLearner,
    usesSessions: chance.hits(600),
    sessionLimits: chance.hits(350) ? SMALL_SESSION_LIMITS : null,
    sessionClockMs: chance.skewed(20, 500),
    encodesMessages: chance.hits(350),
    streamsSnapshots,
    limits: chance.hits(300) ? SMALL_LIMITS : {},
    delayMinUs,
    delayMaxUs: delayMinUs + chance.skewed(100, 12_000),
    lossPerMille: faults.lossPerMille ?? (quiet ? 0 : chance.skewed(0, 80)),
    duplicatePerMille: faults.duplicatePerMille ?? (quiet ? 0 : chance.skewed(0, 80)),
    inOrder: chance.hits(400),
    batched: chance.hits(700),
    diskMinUs,
    diskMaxUs: diskMinUs + chance.skewed(100, chance.hits(300) ? 80_000 : 10_000),
    transactionWritesMax: Infinity,
    visibleAtCall: chance.hits(600),
    applyMaxUs: chance.skewed(50, 60_000),
    turnMaxUs: chance.hits(500) ? 0 : chance.skewed(50, 2_000),
    checkpointPerMille: chance.between(20, 500),
    entriesKept: chance.hits(300) ? chance.skewed(0, 20) : Infinity,
    thinkMaxUs: chance.skewed(2_000, 40_000),
    requestTimeoutMs: chance.between(100, 600),
    faultIntervalUs: faults.intervalUs ?? chance.between(10_000, 90_000),
    faultWeights: FAULT_KINDS.map((kind) => {
      const drawn = chance.hits(kindsPerMille) ? WEIGHTS[kind] ?? 0 : 0;
      if (!mayChangeMembers && MEMBERSHIP_KINDS.has(kind)) return 0;
      if (!beginsAsLearner && kind === "forget") return 0;
      return weights === undefined ? drawn : weights[kind] ?? 0;
    }),
  };
  // Drawn after all else, so that the worlds without a theme are as they would be without themes.
  const isDrawn = faults.weights === undefined && faults.intervalUs === undefined;
  if (chance.hits(THEMES_PER_MILLE) && isDrawn) {
    const theme = chance.pick(THEMES);
    const themed = themedEnvironment(drawn, theme, chance);
    return {
      ...themed,
      lossPerMille: faults.lossPerMille ?? themed.lossPerMille,
      faultWeights: FAULT_KINDS.map((kind) => theme.weights[kind] ?? 0),
    };
  }
  if (leases) return withLeases(drawn);
  if (!stalling) return drawn;
  const { intervalUs = 25_000 } = faults;
  return {
    ...drawn,
    electionTick: 5,
    delayMaxUs: drawn.delayMinUs + 3_000,
    diskMaxUs: drawn.diskMinUs + 3_000,
    thinkMaxUs: 3_000,
    faultIntervalUs: intervalUs,
  };
}

/** The same world with reads by lease, and without what would break them. */
function withLeases(drawn: Environment): Environment {
  const { tickUs, delayMinUs, diskMinUs } = drawn;
  return {
    ...drawn,
    readOnly: "lease-based",
    lossPerMille: 0,
    delayMaxUs: Math.min(drawn.delayMaxUs, delayMinUs + tickUs / 2),
    diskMaxUs: Math.min(drawn.diskMaxUs, diskMinUs + tickUs),
    faultWeights: drawn.faultWeights.map((weight, position) =>
      LEASE_KINDS.has(FAULT_KINDS[position]) ? weight : 0
    ),
  };
}
