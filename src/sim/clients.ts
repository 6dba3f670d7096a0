/**
 * The clients of one region: each asks, waits, thinks, and asks again, on any node; what it asked for
 * and what it was answered becomes the history. After an unknown outcome it asks for the same again: as
 * the same command of its session, which takes effect once, or without one as another operation.
 *
 * @module
 */

import type { PeerEffects, SessionKey, SessionOperation } from "../node/mod.ts";
import {
  answerOnce,
  type Call,
  ClientProposal,
  ClientRead,
  isUndertaking,
  type Purpose,
  type Undertaking,
} from "./calls.ts";
import type { Chance } from "./chance.ts";
import { ClientSessions } from "./client_sessions.ts";
import { traceAnswer } from "./fingerprint.ts";
import type { HistoryOperation } from "./history.ts";
import type { Host } from "./host.ts";
import { inspectRead } from "./inspection.ts";
import type { Operation, Workload } from "./machine.ts";
import type { Attempt, RegionTruth } from "./region_truth.ts";
import type { Replica } from "./replica.ts";
import type { World } from "./world.ts";

/** How many of a thousand reads are of a member's own state, without a barrier. */
const SERIALIZABLE_PER_MILLE = 100;
/** How many of a thousand uncertain commands of a session are repeated, and how often at most. */
const REPEATED_PER_MILLE = 850;
const ATTEMPTS_MAX = 12;
/** How many of a thousand requests a client does not wait for to the end. */
const IMPATIENT_PER_MILLE = 60;
const NO_COMMAND = new Uint8Array(0);

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

/** An operation of the history. */
interface Recorded {
  readonly operation: HistoryOperation;
  /** The attempts of a write. */
  readonly attempts: readonly Attempt[];
  /** Of a read: up to which index the state was applied that it saw. */
  readonly seenIndex: number | undefined;
}

/** Where a write was applied; 0: nowhere. */
function appliedIndex({ attempts }: Recorded): number {
  return Math.max(0, ...attempts.map((attempt) => attempt.appliedIndex));
}

function isInHistory(recorded: Recorded): boolean {
  return recorded.operation.return !== undefined || appliedIndex(recorded) > 0;
}

function byPlaceInLog(a: Recorded, b: Recorded): number {
  const difference = (a.seenIndex ?? appliedIndex(a)) - (b.seenIndex ?? appliedIndex(b));
  if (difference !== 0) return difference;
  const isRead = ({ seenIndex }: Recorded): number => seenIndex === undefined ? 0 : 1;
  return isRead(a) - isRead(b) || a.operation.call - b.operation.call;
}

/** The clients of a region. */
export class Clients {
  readonly #recorded: Recorded[] = [];
  readonly #parts: ClientParts;
  readonly #sessions: ClientSessions;
  readonly #open = new Set<Call>();
  /** What is uncertain and will be asked for again. */
  readonly #repeating = new Set<Undertaking>();
  #moment = 0;
  #isOver = false;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#sessions = new ClientSessions(parts.world.environment, parts.chance);
    for (let client = 0; client < parts.count; client++) this.#think(() => this.#next(client));
  }

  /**
   * What the clients saw. A write of unknown outcome that was never applied is left out: if it had
   * taken effect nevertheless, what others saw would have no valid order.
   */
  get history(): HistoryOperation[] {
    return this.#recorded.filter(isInHistory).map(({ operation }) => operation);
  }

  /**
   * The same in the order in which the log has it: a write where it was applied first, and a read after
   * the last write that it could see.
   */
  get historyByLog(): HistoryOperation[] {
    return this.#recorded.filter(isInHistory).sort(byPlaceInLog).map(({ operation }) => operation);
  }

  /** Ends the clients: what is under way stays of unknown outcome. */
  end(): void {
    this.#isOver = true;
    for (const call of [...this.#open]) this.#lose(call);
    for (const undertaking of [...this.#repeating]) this.#recordUncertain(undertaking);
  }

  /** Calls the node's process leaves without an answer. */
  hostEnded(host: Host): void {
    for (const call of [...this.#open]) if (call.host === host) this.#lose(call);
  }

  /** Takes a peer's answers. */
  answer(replica: Replica, effects: PeerEffects): void {
    const { trace } = this.#parts.world;
    for (const { proposal, index, result, isDuplicate } of effects.applied) {
      if (!(proposal instanceof ClientProposal)) continue;
      traceAnswer(trace, isDuplicate ? "kept" : "applied", index);
      answerOnce(proposal.call);
      this.#parts.truth.answered(proposal.call.attempt!, index, result, isDuplicate);
      if (isDuplicate) this.#parts.world.coverage.add("answers that were kept");
      this.#written(proposal.call, result);
    }
    for (const { read, index } of effects.readable) {
      if (!(read instanceof ClientRead)) continue;
      traceAnswer(trace, "readable", index);
      answerOnce(read.call);
      this.#readable(read.call, index, replica);
    }
    for (const { request, error } of effects.rejected) {
      if (!(request instanceof ClientProposal || request instanceof ClientRead)) continue;
      traceAnswer(trace, error.code, 0);
      answerOnce(request.call);
      this.#rejected(request.call, error.mayHaveTakenEffect, error.code);
    }
  }

  #think(action: () => void): void {
    const { world, chance } = this.#parts;
    world.schedule(chance.between(100, world.environment.thinkMaxUs), () => {
      if (!this.#isOver) action();
    });
  }

  /** A client begins something new. */
  #next(client: number): void {
    const session = this.#sessions.prepare(client);
    if (session === undefined) this.#begin(client, undefined);
    else this.#ask({ client, session });
  }

  /** A client begins an operation; `again`: one that it has begun before, as a new one. */
  #begin(client: number, again: Operation | undefined): void {
    const { chance, workload } = this.#parts;
    const operation = again ?? workload.next(chance, client);
    const isWrite = operation.kind === "write";
    this.#ask({
      client,
      operation,
      calledAt: this.#moment++,
      attempts: [],
      session: isWrite ? this.#sessions.command(client) : undefined,
      isUncertain: false,
    });
  }

  #ask(purpose: Purpose): void {
    const { chance, truth, world } = this.#parts;
    const hosts = this.#parts.hosts();
    if (hosts.length === 0) return this.#think(() => this.#ask(purpose));
    const host = this.#choose(hosts);
    const isRead = isUndertaking(purpose) && purpose.operation.kind === "read";
    if (isRead && host.isAwake && chance.hits(SERIALIZABLE_PER_MILLE)) {
      this.#readSerializably(host, purpose.operation);
      return this.#think(() => this.#next(purpose.client));
    }
    const call: Call = {
      purpose,
      host,
      floor: truth.commitIndex,
      attempt: isRead ? undefined : truth.propose(this.#encode(purpose), purpose.session),
      request: undefined,
      isAnswered: false,
    };
    const deadline = host.clock.nowMs + chance.between(20, world.environment.requestTimeoutMs);
    this.#open.add(call);
    if (chance.hits(IMPATIENT_PER_MILLE)) this.#leaveLater(call);
    this.#send(call, deadline);
  }

  #encode(purpose: Purpose): Uint8Array {
    if (!isUndertaking(purpose)) return NO_COMMAND;
    return this.#parts.workload.encode(purpose.operation.input);
  }

  #send(call: Call, deadline: number): void {
    const { regionId, world } = this.#parts;
    const { attempt, host, purpose } = call;
    if (attempt === undefined) {
      const read = call.request = new ClientRead(deadline, call);
      this.#noteEarlyRead(host);
      return host.push(regionId, { type: "reads", reads: [read] });
    }
    if (isUndertaking(purpose)) {
      this.#repeating.delete(purpose);
      purpose.attempts.push(attempt);
      if (purpose.attempts.length > 1) {
        world.coverage.add("commands repeated through a session");
      }
    }
    const { session } = purpose;
    const proposal = call.request = new ClientProposal(attempt.command, deadline, session, call);
    host.push(regionId, { type: "proposals", proposals: [proposal] });
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
    const { peer, written } = host.replicas.get(regionId)!;
    if (peer?.state === "leader" && written.termAt(peer.commitIndex) < peer.term) {
      world.coverage.add("reads asked for before the term's first commit");
    }
  }

  /** A client cancels, or loses its connection and never hears the answer. */
  #leaveLater(call: Call): void {
    const { world, chance, regionId } = this.#parts;
    const { incarnation } = call.host;
    const cancels = chance.hits(400);
    world.schedule(chance.below(20_000), () => {
      const { host, request } = call;
      if (!this.#open.has(call) || host.incarnation !== incarnation) return;
      if (cancels) return host.push(regionId, { type: "cancel", request: request! });
      world.coverage.add("connections of clients lost");
      this.#lose(call);
    });
  }

  #written(call: Call, result: unknown): void {
    const { purpose } = call;
    if (isUndertaking(purpose)) {
      this.#parts.world.coverage.add("writes answered");
      return this.#return(
        call,
        this.#parts.workload.output(result, purpose.operation.input),
        undefined,
      );
    }
    if (!this.#open.delete(call)) return;
    if (purpose.session.kind === "open") {
      this.#sessions.opened(purpose.client, result as SessionKey);
    }
    this.#think(() => this.#next(purpose.client));
  }

  #readable(call: Call, index: number, replica: Replica): void {
    const { workload, world } = this.#parts;
    inspectRead(replica, index, call.floor);
    world.coverage.add("reads answered");
    if (replica.peer!.state !== "leader") world.coverage.add("reads answered by followers");
    if (world.environment.readOnly !== "safe") world.coverage.add("reads answered by lease");
    const { operation } = call.purpose as Undertaking;
    const { machine } = replica.state;
    this.#return(call, workload.read(machine, operation.input), machine.lastApplied());
  }

  #rejected(call: Call, mayHaveTakenEffect: boolean, code: string): void {
    const { world, truth } = this.#parts;
    const { attempt, purpose } = call;
    if (code === "OVERLOADED") world.coverage.add("requests refused by limits");
    if (code === "TIMED_OUT") world.coverage.add("deadlines that passed");
    if (code === "DROPPED") world.coverage.add("proposals certainly lost");
    const isRefusal = code === "SESSION_EXPIRED" || code === "SEQUENCE_PASSED" ||
      code === "SEQUENCE_AHEAD";
    if (code === "RESULT_FORGOTTEN") {
      truth.refused(attempt!, code);
      world.coverage.add("answers too large to be kept");
      // It took effect, and nobody can say what it answered.
      (purpose as Undertaking).isUncertain = true;
    } else if (isRefusal) {
      truth.refused(attempt!, code);
      if (code === "SESSION_EXPIRED") this.#sessionLost(purpose.client, purpose.session!);
    } else if (mayHaveTakenEffect) {
      return this.#lose(call);
    } else if (attempt !== undefined) {
      truth.dropped(attempt);
    }
    if (!this.#open.delete(call)) return;
    // This attempt had no effect; an earlier one may have.
    if (isUndertaking(purpose) && purpose.isUncertain) this.#recordUncertain(purpose);
    this.#think(() => this.#next(purpose.client));
  }

  #sessionLost(client: number, operation: SessionOperation): void {
    if (operation.kind !== "open") this.#sessions.lost(client, operation.session);
  }

  #return(call: Call, output: unknown, seenIndex: number | undefined): void {
    // It was given up when its process ended, or the clients did; the answer is true all the same.
    if (!this.#open.delete(call)) return;
    const { client, calledAt, operation, attempts } = call.purpose as Undertaking;
    const { input } = operation;
    this.#note(input, output);
    const returned = { client, call: calledAt, return: this.#moment++, input, output };
    this.#recorded.push({ operation: returned, attempts, seenIndex });
    this.#think(() => this.#next(client));
  }

  /** Nobody knows whether it took effect. */
  #lose(call: Call): void {
    if (!this.#open.delete(call)) return;
    const { purpose } = call;
    const { chance, world } = this.#parts;
    if (!isUndertaking(purpose) || purpose.operation.kind === "read") {
      return this.#think(() => this.#next(purpose.client));
    }
    purpose.isUncertain = true;
    world.coverage.add("writes of unknown outcome");
    const isRepeated = purpose.session !== undefined && !this.#isOver &&
      purpose.attempts.length < ATTEMPTS_MAX && chance.hits(REPEATED_PER_MILLE);
    if (isRepeated) {
      this.#repeating.add(purpose);
      return this.#think(() => this.#ask(purpose));
    }
    this.#recordUncertain(purpose);
    const { client, operation } = purpose;
    this.#think(() => this.#begin(client, chance.hits(300) ? operation : undefined));
  }

  #recordUncertain(uncertain: Undertaking): void {
    this.#repeating.delete(uncertain);
    const { client, calledAt: call, operation: { input }, attempts } = uncertain;
    const operation = { client, call, return: undefined, input, output: undefined };
    this.#recorded.push({ operation, attempts, seenIndex: undefined });
  }

  #note(input: unknown, output: unknown): void {
    const { compare } = input as { compare?: readonly unknown[] };
    if (compare === undefined || compare.length === 0) return;
    const { succeeded } = output as { succeeded?: unknown };
    const { coverage } = this.#parts.world;
    coverage.add(succeeded === true ? "conditions that held" : "conditions that failed");
  }
}
