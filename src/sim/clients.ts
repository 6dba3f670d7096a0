/**
 * The clients of one region: each asks, waits, thinks, and asks again, on any node; what it asked for
 * and what it was answered becomes the history. After an unknown outcome it may ask for the same
 * again, as another operation.
 *
 * @module
 */

import { type PeerEffects, ProposalRequest, ReadRequest } from "../node/mod.ts";
import type { Chance } from "./chance.ts";
import { violated } from "./errors.ts";
import type { HistoryOperation } from "./history.ts";
import type { Host } from "./host.ts";
import type { Operation, Workload } from "./machine.ts";
import type { Attempt, RegionTruth } from "./region_truth.ts";
import type { Replica } from "./replica.ts";
import type { World } from "./world.ts";

/** How many of a thousand reads are of a member's own state, without a barrier. */
const SERIALIZABLE_PER_MILLE = 100;

/** One operation under way. */
interface Call {
  readonly client: number;
  readonly operation: Operation;
  readonly host: Host;
  readonly calledAt: number;
  /** What was committed when it was called: a read must not be served below it. */
  readonly floor: number;
  readonly attempt: Attempt | undefined;
  request: ClientProposal | ClientRead | undefined;
  /** Whether the peer has answered: it does so once. */
  isAnswered: boolean;
}

class ClientProposal extends ProposalRequest {
  readonly call: Call;
  constructor(command: Uint8Array, deadline: number, call: Call) {
    super(command, deadline);
    this.call = call;
  }
}

class ClientRead extends ReadRequest {
  readonly call: Call;
  constructor(deadline: number, call: Call) {
    super(deadline);
    this.call = call;
  }
}

/** What clients are made of. */
export interface ClientParts {
  readonly world: World;
  readonly chance: Chance;
  readonly truth: RegionTruth;
  readonly regionId: number;
  readonly workload: Workload;
  readonly count: number;
  /** Nodes that host the region and run. */
  readonly hosts: () => readonly Host[];
}

/** An operation of the history, and what is known of its effect. */
interface Recorded {
  readonly operation: HistoryOperation;
  /** Of a write of unknown outcome. */
  readonly attempt: Attempt | undefined;
}

/** The clients of a region. */
export class Clients {
  readonly #recorded: Recorded[] = [];
  readonly #parts: ClientParts;
  readonly #open = new Set<Call>();
  #moment = 0;
  #isOver = false;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    for (let client = 0; client < parts.count; client++) this.#think(client, undefined);
  }

  /**
   * What the clients saw. A write of unknown outcome that is in no log is left out: if it had taken
   * effect nevertheless, what others saw would have no valid order.
   */
  get history(): HistoryOperation[] {
    return this.#recorded.filter(({ attempt }) => attempt?.committedIndex !== 0)
      .map(({ operation }) => operation);
  }

  /** Ends the clients: what is under way stays of unknown outcome. */
  end(): void {
    this.#isOver = true;
    for (const call of [...this.#open]) this.#lose(call);
  }

  /** Calls the node's process leaves without an answer. */
  hostEnded(host: Host): void {
    for (const call of [...this.#open]) if (call.host === host) this.#lose(call);
  }

  /** Takes a peer's answers. */
  answer(replica: Replica, effects: PeerEffects): void {
    for (const { proposal, index, result } of effects.applied) {
      if (!(proposal instanceof ClientProposal)) continue;
      answerOnce(proposal.call);
      this.#written(proposal.call, index, result);
    }
    for (const { read, index } of effects.readable) {
      if (!(read instanceof ClientRead)) continue;
      answerOnce(read.call);
      this.#readable(read.call, index, replica);
    }
    for (const { request, error } of effects.rejected) {
      if (!(request instanceof ClientProposal || request instanceof ClientRead)) continue;
      answerOnce(request.call);
      this.#rejected(request.call, error.mayHaveTakenEffect, error.code);
    }
  }

  #think(client: number, again: Operation | undefined): void {
    const { world, chance } = this.#parts;
    world.schedule(chance.between(100, world.environment.thinkMaxUs), () => {
      if (!this.#isOver) this.#ask(client, again);
    });
  }

  #ask(client: number, again: Operation | undefined): void {
    const { chance, workload, truth, world, regionId } = this.#parts;
    const hosts = this.#parts.hosts();
    if (hosts.length === 0) return this.#think(client, again);
    const host = this.#choose(hosts);
    const operation = again ?? workload.next(chance, client);
    if (operation.kind === "read" && host.isAwake && chance.hits(SERIALIZABLE_PER_MILLE)) {
      this.#readSerializably(host, operation);
      return this.#think(client, undefined);
    }
    const deadline = host.clock.nowMs + chance.between(20, world.environment.requestTimeoutMs);
    const command = operation.kind === "write" ? workload.encode(operation.input) : undefined;
    const call: Call = {
      client,
      operation,
      host,
      calledAt: this.#moment++,
      floor: truth.commitIndex,
      attempt: command === undefined ? undefined : truth.propose(command),
      request: undefined,
      isAnswered: false,
    };
    this.#open.add(call);
    if (call.attempt === undefined) {
      const read = call.request = new ClientRead(deadline, call);
      this.#noteEarlyRead(host);
      host.push(regionId, { type: "reads", reads: [read] });
    } else {
      const proposal = call.request = new ClientProposal(call.attempt.command, deadline, call);
      host.push(regionId, { type: "proposals", proposals: [proposal] });
    }
    if (chance.hits(30)) this.#cancelLater(call);
  }

  /** A read of a member's own state: not the newest, but one that was committed. */
  #readSerializably(host: Host, { input }: Operation): void {
    const { workload, truth, world, regionId } = this.#parts;
    const { state } = host.replicas.get(regionId)!;
    const index = state.lastApplied();
    if (index > 0) truth.checkDigest(index, state.digest());
    world.coverage.add("serializable reads answered");
    if (index < truth.commitIndex) world.coverage.add("serializable reads of an old state");
    workload.read(state.machine, input);
  }

  /** Any node, or one that believes to lead, as clients keep to the leader they know. */
  #choose(hosts: readonly Host[]): Host {
    const { chance, regionId } = this.#parts;
    if (!chance.hits(350)) return chance.pick(hosts);
    const leading = hosts.filter((host) => host.replicas.get(regionId)?.peer?.state === "leader");
    return chance.pick(leading.length > 0 ? leading : hosts);
  }

  /** A leader that has not committed in its term makes reads wait. */
  #noteEarlyRead(host: Host): void {
    const { regionId, world } = this.#parts;
    const replica = host.replicas.get(regionId)!;
    const { peer, written } = replica;
    if (peer?.state === "leader" && written.termAt(peer.commitIndex) < peer.term) {
      world.coverage.add("reads asked for before the term's first commit");
    }
  }

  #cancelLater(call: Call): void {
    const { world, chance, regionId } = this.#parts;
    const { incarnation } = call.host;
    world.schedule(chance.below(20_000), () => {
      const { host, request } = call;
      if (!this.#open.has(call) || host.incarnation !== incarnation) return;
      host.push(regionId, { type: "cancel", request: request! });
    });
  }

  #written(call: Call, index: number, result: unknown): void {
    const { workload, world } = this.#parts;
    if (call.attempt!.committedIndex !== index) {
      violated(
        "exactly-once",
        `a write is answered with index ${index} and is committed at ` +
          `${call.attempt!.committedIndex}`,
      );
    }
    world.coverage.add("writes answered");
    this.#return(call, workload.output(result, call.operation.input));
  }

  #readable(call: Call, index: number, replica: Replica): void {
    const { workload, world } = this.#parts;
    if (index < call.floor || Math.max(replica.state.lastApplied(), 1) < index) {
      violated(
        "linearizability",
        `a read on ${replica.name} is served at index ${index} and state ` +
          `${replica.state.lastApplied()}, while ${call.floor} was committed when it was asked for`,
      );
    }
    world.coverage.add("reads answered");
    if (replica.peer!.state !== "leader") world.coverage.add("reads answered by followers");
    if (world.environment.readOnly !== "safe") world.coverage.add("reads answered by lease");
    this.#return(call, workload.read(replica.state.machine, call.operation.input));
  }

  #rejected(call: Call, mayHaveTakenEffect: boolean, code: string): void {
    const { world, truth } = this.#parts;
    if (code === "OVERLOADED") world.coverage.add("requests refused by limits");
    if (code === "TIMED_OUT") world.coverage.add("deadlines that passed");
    if (code === "DROPPED") world.coverage.add("proposals certainly lost");
    if (mayHaveTakenEffect) return this.#lose(call);
    if (!this.#open.delete(call)) return;
    if (call.attempt !== undefined) truth.dropped(call.attempt);
    this.#think(call.client, undefined);
  }

  #return(call: Call, output: unknown): void {
    // It was given up when its process ended, or the clients did; the answer is true all the same.
    if (!this.#open.delete(call)) return;
    this.#note(call.operation.input, output);
    const { client, calledAt, operation } = call;
    const { input } = operation;
    this.#record({ client, call: calledAt, return: this.#moment++, input, output }, undefined);
    this.#think(client, undefined);
  }

  /** Nobody knows whether it took effect. */
  #lose(call: Call): void {
    if (!this.#open.delete(call)) return;
    const { client, calledAt, operation } = call;
    if (operation.kind === "read") return this.#think(client, undefined);
    const { world, chance } = this.#parts;
    world.coverage.add("writes of unknown outcome");
    const { input } = operation;
    this.#record(
      { client, call: calledAt, return: undefined, input, output: undefined },
      call.attempt,
    );
    this.#think(client, chance.hits(300) ? operation : undefined);
  }

  #record(operation: HistoryOperation, attempt: Attempt | undefined): void {
    this.#recorded.push({ operation, attempt });
  }

  #note(input: unknown, output: unknown): void {
    const { compare } = input as { compare?: readonly unknown[] };
    if (compare === undefined || compare.length === 0) return;
    const { succeeded } = output as { succeeded?: unknown };
    const { coverage } = this.#parts.world;
    coverage.add(succeeded === true ? "conditions that held" : "conditions that failed");
  }
}

function answerOnce(call: Call): void {
  if (call.isAnswered) violated("exactly-once", `a request of client ${call.client} has two answers`);
  call.isAnswered = true;
}
