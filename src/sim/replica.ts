/**
 * One replica of one region: the real `Peer`, over the images of its storage, with its state machine.
 * Here is what survives what: a crash leaves the durable image of the log and the state machine as it
 * was last made durable; everything else starts anew from those two, by the rules of the node room.
 *
 * @module
 */

import { Peer, type PeerStorage, recoverLastApplied } from "../node/mod.ts";
import {
  type ConfState,
  createConfState,
  type PeerId,
  type Snapshot,
  SnapshotTemporarilyUnavailableError,
} from "../raft/mod.ts";
import type { Chance } from "./chance.ts";
import { violated } from "./errors.ts";
import { JSON_RESULTS } from "./json_results.ts";
import { LogImage } from "./log_image.ts";
import type { SimStateMachine } from "./machine.ts";
import { ReplicatedState } from "./replicated_state.ts";
import type { RegionTruth } from "./region_truth.ts";
import type { World } from "./world.ts";

/** The durable state of a state machine. */
interface Checkpoint {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** What a replica is made of. */
export interface ReplicaParts {
  readonly world: World;
  readonly chance: Chance;
  readonly truth: RegionTruth;
  readonly regionId: number;
  readonly nodeId: number;
  readonly peerId: PeerId;
  readonly image: LogImage;
  readonly createMachine: () => SimStateMachine;
  readonly nodeOf: (peerId: PeerId) => number;
}

/** One replica. */
export class Replica {
  readonly world: World;
  readonly chance: Chance;
  readonly truth: RegionTruth;
  readonly regionId: number;
  readonly nodeId: number;
  readonly peerId: PeerId;
  /** What a crash leaves of the log. */
  durable: LogImage;
  /** What the disk held that it was robbed of: others may have relied on it. */
  forgotten: LogImage | undefined;
  /** The log with all that was handed to the disk. */
  written: LogImage;
  /** The peer, while its node runs. */
  peer: Peer | undefined;
  /** What is replicated, as far as it is applied. */
  state: ReplicatedState;
  /** The configuration that the peer's core uses, as far as it was told. */
  confState: ConfState;
  /** The same before the turn that is being inspected. */
  confBefore: ConfState;
  /** What was last seen of the peer in this incarnation, to check that nothing goes back. */
  seenTerm = 0;
  seenCommit = 0;
  seenApplied = 0;
  wasLeading = false;
  wasTerm = 0;
  /** Whether it was removed from the group and ended. */
  isRetired = false;
  /** The last term it led. */
  ledTerm = 0;
  readonly #createMachine: () => SimStateMachine;
  readonly #nodeOf: (peerId: PeerId) => number;
  #checkpoint: Checkpoint | undefined;

  constructor(parts: ReplicaParts) {
    this.world = parts.world;
    this.chance = parts.chance;
    this.truth = parts.truth;
    this.regionId = parts.regionId;
    this.nodeId = parts.nodeId;
    this.peerId = parts.peerId;
    this.durable = parts.image;
    this.written = parts.image.clone();
    this.confState = this.confBefore = parts.image.confState;
    this.#createMachine = parts.createMachine;
    this.#nodeOf = parts.nodeOf;
    this.state = new ReplicatedState(this.#createMachine());
  }

  /** A short name for traces. */
  get name(): string {
    return `${this.regionId}/${this.peerId}`;
  }

  /** Up to where the state machine would survive a crash. */
  get durableIndex(): number {
    return this.#checkpoint?.index ?? 0;
  }

  /** Starts the peer from what is durable. @returns false when the disk is damaged. */
  start(): boolean {
    if (!this.#isIntact()) return false;
    this.written = this.durable.clone();
    this.confState = this.confBefore = this.written.confState;
    this.state = this.#recoverState();
    const storage = this.#storage();
    const view = { ...storage, regionId: this.regionId };
    const lastApplied = recoverLastApplied(view, this.state);
    const { environment, coverage } = this.world;
    const { commitIndex, currentTerm } = this.durable.hardState;
    if (commitIndex > lastApplied) coverage.add("entries applied again after a restart");
    if (commitIndex < lastApplied) {
      coverage.add("commit index behind the applied one at a restart");
    }
    this.wasLeading = false;
    this.seenTerm = currentTerm;
    this.seenCommit = Math.max(commitIndex, lastApplied);
    this.seenApplied = lastApplied;
    this.peer = new Peer({
      id: this.peerId,
      nodeId: this.nodeId,
      regionId: this.regionId,
      storage,
      lastApplied,
      epoch: this.chance.epoch(),
      random: (bound) => this.chance.below(bound),
      electionTick: environment.electionTick,
      heartbeatTick: environment.heartbeatTick,
      preVote: environment.preVote,
      checkQuorum: environment.checkQuorum,
      readOnly: environment.readOnly,
      forwardProposals: environment.forwardProposals,
      repeatDropped: environment.repeatDropped,
      limits: environment.limits,
      nodeOf: this.#nodeOf,
      installsSnapshots: true,
      streamsSnapshots: environment.streamsSnapshots,
      stepDownOnRemoval: environment.stepDownOnRemoval,
      beginsAsLearner: environment.beginsAsLearner,
      nodeState: environment.recordsMembers ? this.state.nodeState : undefined,
      sessions: environment.usesSessions
        ? {
          nodeState: this.state.nodeState,
          resultCodec: JSON_RESULTS,
          clockMs: environment.sessionClockMs,
          limits: environment.sessionLimits ?? undefined,
        }
        : undefined,
    });
    this.#checkStart();
    return true;
  }

  /** The state machine as it is now survives a crash from now on. */
  checkpoint(): Checkpoint {
    return { index: this.state.lastApplied(), bytes: this.state.save() };
  }

  /** A checkpoint is durable. */
  keep(checkpoint: Checkpoint): void {
    if (checkpoint.index > this.durableIndex) this.#checkpoint = checkpoint;
  }

  /** The process is gone; `writesSurvive` when the operating system lives on and keeps its writes. */
  crash(writesSurvive: boolean): void {
    if (writesSurvive && this.peer !== undefined) this.keep(this.checkpoint());
    this.count();
    this.peer = undefined;
  }

  /** Counts what the peer alone knows, at its end. */
  count(): void {
    if (this.peer === undefined) return;
    const { readRoundsRepeated, proposalsRepeated, diskHangs } = this.peer.counters;
    const { coverage } = this.world;
    coverage.add("read rounds repeated", readRoundsRepeated);
    coverage.add("proposals repeated", proposalsRepeated);
    coverage.add("disks that hung", diskHangs);
  }

  /** The disk is empty now: nothing is left of this replica but its id. */
  forget(): void {
    this.forgotten ??= this.durable;
    this.durable = new LogImage({ index: 0, term: 0, confState: createConfState() });
    this.#checkpoint = undefined;
  }

  /** A snapshot of the state machine as it is now, as `Node` streams it; undefined when there is none. */
  snapshotNow(): Snapshot | undefined {
    const metadata = this.peer!.snapshotMetadata(this.state.lastApplied());
    return metadata && { metadata, data: this.state.save() };
  }

  /** Restores the state machine from a snapshot that is durable in the log. */
  restore(snapshot: Snapshot): void {
    this.state.load(snapshot.data, snapshot.metadata.index);
    const digest = this.state.digest();
    this.world.trace.add(digest);
    this.truth.checkDigest(snapshot.metadata.index, digest);
  }

  /** Term, vote and commit index survive a restart. */
  #checkStart(): void {
    const { currentTerm } = this.durable.hardState;
    const { term, commitIndex, lastApplied } = this.peer!;
    if (
      term === currentTerm && commitIndex >= this.seenCommit && lastApplied === this.seenApplied
    ) {
      return;
    }
    violated(
      "monotonicity",
      `${this.name} had term ${currentTerm}, commit ${this.seenCommit} and applied ` +
        `${this.seenApplied} on disk, and starts with ${term}, ${commitIndex}, ${lastApplied}`,
    );
  }

  #isIntact(): boolean {
    const { durable, truth } = this;
    return durable.isIntact && durable.entries.every((entry) => truth.isIntact(entry));
  }

  #recoverState(): ReplicatedState {
    const state = new ReplicatedState(this.#createMachine());
    if (this.#checkpoint !== undefined) {
      state.load(this.#checkpoint.bytes, this.#checkpoint.index);
    }
    const { snapshot } = this.durable;
    if (snapshot !== undefined && state.lastApplied() < snapshot.metadata.index) {
      state.load(snapshot.data, snapshot.metadata.index);
      this.world.coverage.add("machines restored from the stored snapshot");
    }
    return state;
  }

  #storage(): PeerStorage {
    const image = this.world.environment.visibleAtCall ? this.written : this.durable;
    return {
      initialState: () => ({ hardState: image.hardState, confState: image.confState }),
      confStateIndex: () => image.confStateIndex,
      entries: (low, high, sizeMax) => image.slice(low, high, sizeMax),
      term: (index) => image.term(index),
      firstIndex: () => image.truncatedIndex + 1,
      lastIndex: () => image.lastIndex,
      snapshot: () => this.#snapshot(image),
    };
  }

  /** The state machine's own state, when the configuration at its index is known. */
  #snapshot(image: LogImage): Snapshot {
    const index = this.state.lastApplied();
    if (index < Math.max(image.confStateIndex, image.truncatedIndex)) {
      this.world.coverage.add("snapshots temporarily unavailable");
      throw new SnapshotTemporarilyUnavailableError();
    }
    const metadata = { index, term: image.term(index), confState: image.confState };
    return { metadata, data: this.state.save() };
  }
}
