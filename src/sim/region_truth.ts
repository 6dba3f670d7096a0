/**
 * What is true of a region, told by one who sees everything: which entries exist, which are
 * committed, who leads which term, what each configuration and each state is. Every step of every
 * replica is checked against it, each at the cost of what the step brought.
 *
 * @module
 */

import type { ConfState, PeerId, RaftLogEntry } from "../raft/mod.ts";
import type { ApplyBatch, SessionOperation } from "../node/mod.ts";
import { violated } from "./errors.ts";
import { OpenChanges } from "./open_changes.ts";
import { markCommand, markOf } from "./replicated_state.ts";
import { everyQuorumOverlaps, sameConfState } from "./quorums.ts";
import { RequestTruth } from "./request_truth.ts";
import type { SessionFate, SessionTruth } from "./session_truth.ts";
import { hashBytes, hashValue, mix } from "./trace.ts";

/** One entry that was written somewhere. Another entry of the same index has another term. */
export interface KnownEntry {
  readonly entry: RaftLogEntry;
  /** The term of the entry before it. */
  readonly previousTerm: number;
  /** Of its contents. */
  readonly hash: number;
}

/** A command that a client proposed, and what became of it. */
export interface Attempt {
  /** The command as it is proposed: marked, so that no other is equal. */
  readonly command: Uint8Array;
  /** What it does to client sessions. */
  readonly session: SessionOperation | undefined;
  /** The index it is committed at; 0 while it is not. */
  committedIndex: number;
  /** The same when its command is applied there, as no earlier one of its session is the same. */
  appliedIndex: number;
  /** Whether the caller was told that it will never take effect. */
  withoutEffect: boolean;
}

/** The whole truth about a region. */
export class RegionTruth {
  /** Leaders by term. */
  readonly leaders = new Map<number, PeerId>();
  /** What became of requests to change the members. */
  readonly requests: RequestTruth = new RequestTruth();
  readonly #known: KnownEntry[][] = [];
  readonly #committed: (KnownEntry | undefined)[] = [];
  /** The highest index that a leader of each term committed. */
  readonly #committedBy = new Map<number, number>();
  readonly #configurations = new Map<number, ConfState>();
  readonly #digests: (number | undefined)[] = [];
  readonly #results: (number | undefined)[] = [];
  /** Attempts by the number that marks their commands. */
  readonly #attempts: Attempt[] = [];
  readonly #removed = new Set<PeerId>();
  readonly #openChanges = new OpenChanges();
  readonly #sessions: SessionTruth;
  /** What each committed entry comes to. */
  readonly #fates: (SessionFate | undefined)[] = [];
  #decidedIndex: number;
  #lastConfiguration = 0;
  #commitIndex: number;

  constructor(initialIndex: number, initial: ConfState, sessions: SessionTruth) {
    this.#commitIndex = this.#decidedIndex = initialIndex;
    this.#sessions = sessions;
    this.#configurations.set(initialIndex, initial);
    this.#lastConfiguration = initialIndex;
  }

  /** The highest index that is committed. */
  get commitIndex(): number {
    return this.#commitIndex;
  }

  /**
   * Whether every change of the configuration that was ever written is committed or replaced: one that
   * is neither may still arrive from somewhere, and be committed.
   */
  get changesAreDecided(): boolean {
    const commitTerm = this.committedTerm(this.#commitIndex) ?? 0;
    return this.#openChanges.areDecided(this.#commitIndex, commitTerm);
  }

  /** The newest configuration that any replica has applied. */
  get configuration(): ConfState {
    return this.#configurations.get(this.#lastConfiguration)!;
  }

  /** The index whose application made it. */
  get configurationIndex(): number {
    return this.#lastConfiguration;
  }

  /** Whether an id belonged to a member that was removed. */
  isRemoved(peerId: PeerId): boolean {
    return this.#removed.has(peerId);
  }

  /** Ids of members that were removed, in the order of their removal. */
  get removed(): readonly PeerId[] {
    return [...this.#removed];
  }

  /** Notes a command that a client proposes. */
  propose(command: Uint8Array, session?: SessionOperation): Attempt {
    const attempt = {
      command: markCommand(command, this.#attempts.length),
      session,
      committedIndex: 0,
      appliedIndex: 0,
      withoutEffect: false,
    };
    this.#attempts.push(attempt);
    return attempt;
  }

  /** Checks an answer: `index` and result are those of the one time that the command was applied. */
  answered(attempt: Attempt, index: number, result: unknown, isDuplicate: boolean): void {
    const fate = this.#fates[attempt.committedIndex];
    const expected = fate?.type === "duplicate" ? fate.index : attempt.committedIndex;
    if (
      index !== expected || fate?.type === "refused" ||
      isDuplicate !== (index < attempt.committedIndex)
    ) {
      violated(
        "exactly-once",
        `a write is answered with index ${index}; it is committed at ${attempt.committedIndex}, and ` +
          `is ${fate?.type ?? "not applied"} there`,
      );
    }
    if (fate?.type === "duplicate" && !this.#sessions.keeps(index)) {
      violated("exactly-once", `the result of index ${index} is kept, and is too large for that`);
    }
    const isApplied = attempt.session === undefined || attempt.session.kind === "command";
    if (!isApplied || this.#results[index] === hashValue(result)) return;
    violated("exactly-once", `the answer for index ${index} is not the result of its command`);
  }

  /** Checks that a request through a session was refused for good reason. */
  refused(attempt: Attempt, code: string): void {
    const fate = this.#fates[attempt.committedIndex];
    if (fate?.type === "refused" && fate.reason === code) return;
    const isForgotten = fate?.type === "duplicate" && !this.#sessions.keeps(fate.index);
    if (isForgotten && code === "RESULT_FORGOTTEN") return;
    violated(
      "exactly-once",
      `a request committed at ${attempt.committedIndex} is refused as ${code}, and is ` +
        `${fate?.type ?? "not committed"}`,
    );
  }

  /** Notes that a caller was told its command will never take effect. */
  dropped(attempt: Attempt): void {
    attempt.withoutEffect = true;
    if (attempt.committedIndex === 0) return;
    violated(
      "exactly-once",
      `the command at index ${attempt.committedIndex} was reported without effect, and is committed`,
    );
  }

  /** Election safety. Returns whether the leader is new. */
  leads(peer: PeerId, term: number): boolean {
    const leader = this.leaders.get(term);
    if (leader === peer) return false;
    if (leader !== undefined) {
      violated("election-safety", `term ${term} has two leaders: ${leader} and ${peer}`);
    }
    this.leaders.set(term, peer);
    return true;
  }

  /** Log matching: an entry is written after one of `previousTerm`. Returns a hash of its contents. */
  written(entry: RaftLogEntry, previousTerm: number): number {
    const variants = this.#known[entry.index] ??= [];
    for (const known of variants) {
      if (known.entry.term !== entry.term) continue;
      if (known.previousTerm !== previousTerm) {
        violated(
          "log-matching",
          `entry ${entry.term}/${entry.index} follows term ${previousTerm} here and term ` +
            `${known.previousTerm} elsewhere`,
        );
      }
      if (known.entry !== entry && entryHash(entry) !== known.hash) {
        violated("log-matching", `entry ${entry.term}/${entry.index} differs between replicas`);
      }
      return known.hash;
    }
    const hash = entryHash(entry);
    variants.push({ entry, previousTerm, hash });
    if (entry.type !== "normal") this.#openChanges.add(entry);
    return hash;
  }

  /** Whether an entry is what was written, as its checksum tells. */
  isIntact(entry: RaftLogEntry): boolean {
    const known = this.#find(entry.index, entry.term);
    return known !== undefined && (known.entry === entry || known.hash === entryHash(entry));
  }

  /**
   * State-machine safety: a replica holds the entry of `term` at `index` to be committed. Returns
   * whether that is news.
   */
  commits(index: number, term: number): boolean {
    const committed = this.#committed[index];
    if (committed !== undefined) {
      if (committed.entry.term === term) return false;
      violated(
        "state-machine-safety",
        `at index ${index} the entries of terms ${committed.entry.term} and ${term} are committed`,
      );
    }
    const known = this.#find(index, term);
    if (known === undefined) {
      violated("log-matching", `entry ${term}/${index} is committed and was never written`);
    }
    this.#committed[index] = known;
    this.#commitIndex = Math.max(this.#commitIndex, index);
    this.#checkAttempt(known.entry);
    this.#decide();
    return true;
  }

  /** Notes that a leader of `term` committed up to `index`. */
  committedBy(term: number, index: number): void {
    this.#committedBy.set(term, Math.max(index, this.#committedBy.get(term) ?? 0));
  }

  /** Leader completeness: a leader of `term` has what was committed in earlier terms. */
  checkComplete(
    leader: PeerId,
    term: number,
    log: { truncatedIndex: number; termAt(index: number): number },
  ): void {
    let index = 0;
    for (const [earlier, committed] of this.#committedBy) {
      if (earlier < term) index = Math.max(index, committed);
    }
    if (index <= log.truncatedIndex) return;
    const expected = this.#committed[index]?.entry.term;
    if (log.termAt(index) === expected) return;
    violated(
      "leader-completeness",
      `leader ${leader} of term ${term} has term ${log.termAt(index)} at index ${index}, where ` +
        `term ${expected} is committed`,
    );
  }

  /** The term committed at `index`; undefined when nothing is. */
  committedTerm(index: number): number | undefined {
    return this.#committed[index]?.entry.term;
  }

  /** A batch carries exactly the committed commands after `lastApplied`. */
  checkBatch(batch: ApplyBatch, lastApplied: number): void {
    let position = 0;
    for (let index = lastApplied + 1; index <= batch.lastApplied; index++) {
      const entry = this.#committed[index]?.entry;
      if (entry === undefined) violated("index-order", `index ${index} is applied uncommitted`);
      if (this.#fates[index]?.type !== "applied") continue;
      const command = batch.commands[position++];
      if (command?.index !== index || command.term !== entry.term) {
        violated(
          "state-machine-safety",
          `entry ${entry.term}/${index} is committed, ${command?.term}/${command?.index} is applied`,
        );
      }
      if (
        command.bytes !== entry.command && hashBytes(command.bytes) !== hashBytes(entry.command)
      ) {
        violated("state-machine-safety", `another command is applied at index ${index}`);
      }
    }
    if (position === batch.commands.length && batch.lastApplied >= lastApplied) return;
    violated(
      "exactly-once",
      `a batch up to ${batch.lastApplied} after ${lastApplied} has ${batch.commands.length} ` +
        `commands: expected ${position}`,
    );
  }

  /** Equal applied index, equal results and state. Returns a hash of both. */
  checkState(batch: ApplyBatch, results: readonly unknown[], digest: number): number {
    let hash = digest;
    for (let position = 0; position < batch.commands.length; position++) {
      const { index } = batch.commands[position];
      const result = hashValue(results[position]);
      hash = mix(hash, result);
      if (this.#results[index] === undefined) this.#sessions.applied(index, results[position]);
      if ((this.#results[index] ??= result) !== result) {
        violated("equal-state", `the command at index ${index} has different results`);
      }
    }
    this.checkDigest(batch.lastApplied, digest);
    return hash;
  }

  /** Equal applied index, equal state. */
  checkDigest(index: number, digest: number): void {
    if ((this.#digests[index] ??= digest) === digest) return;
    violated("equal-state", `replicas differ in their state at index ${index}`);
  }

  /** A configuration is applied at `index`. Returns whether that is news. */
  configured(index: number, confState: ConfState): boolean {
    const known = this.#configurations.get(index);
    if (known !== undefined) {
      if (sameConfState(known, confState)) return false;
      violated("equal-state", `replicas differ in the configuration of index ${index}`);
    }
    if (index > this.#lastConfiguration) {
      if (!everyQuorumOverlaps(this.configuration, confState)) {
        violated(
          "overlapping-quorums",
          `voters ${this.configuration.voters}|${this.configuration.votersOutgoing} are followed ` +
            `by ${confState.voters}|${confState.votersOutgoing} at index ${index}`,
        );
      }
      this.#checkIds(this.configuration, confState, index);
      this.#lastConfiguration = index;
      const made = this.#committed[index];
      if (made !== undefined) this.requests.configured(made.entry);
    }
    this.#configurations.set(index, confState);
    return true;
  }

  /** An id of a member that was removed is never a member's again. */
  #checkIds(before: ConfState, after: ConfState, index: number): void {
    const members = new Set([...after.voters, ...after.learners, ...after.learnersNext]);
    for (const id of members) {
      if (!this.#removed.has(id)) continue;
      violated("unique-peers", `peer ${id} was removed, and is a member again at index ${index}`);
    }
    for (const id of [...before.voters, ...before.learners, ...before.votersOutgoing]) {
      if (!members.has(id)) this.#removed.add(id);
    }
  }

  #find(index: number, term: number): KnownEntry | undefined {
    return this.#known[index]?.find((known) => known.entry.term === term);
  }

  /** Decides what the committed entries come to, in the order of the log. */
  #decide(): void {
    for (;;) {
      const entry = this.#committed[this.#decidedIndex + 1]?.entry;
      if (entry === undefined) return;
      this.#decidedIndex++;
      if (entry.type !== "normal") continue;
      const attempt = entry.command.length === 0
        ? undefined
        : this.#attempts[markOf(entry.command)];
      const fate = this.#sessions.commit(entry, attempt?.session);
      this.#fates[entry.index] = fate;
      if (attempt !== undefined && fate.type === "applied") attempt.appliedIndex = entry.index;
    }
  }

  #checkAttempt(entry: RaftLogEntry): void {
    if (entry.type !== "normal" || entry.command.length === 0) return;
    const attempt = this.#attempts[markOf(entry.command)];
    if (attempt === undefined) {
      violated("state-machine-safety", `a command nobody proposed is committed at ${entry.index}`);
    }
    if (attempt.committedIndex !== 0 || attempt.withoutEffect) {
      const before = attempt.withoutEffect
        ? "was reported without effect"
        : `is committed at index ${attempt.committedIndex} already`;
      violated("exactly-once", `a command is committed at index ${entry.index} that ${before}`);
    }
    attempt.committedIndex = entry.index;
  }
}

function entryHash(entry: RaftLogEntry): number {
  const hash = mix(hashBytes(entry.command), entry.type === "normal" ? 1 : 2);
  return entry.context === undefined ? hash : hashBytes(entry.context, hash);
}
