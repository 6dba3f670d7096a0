/**
 * A run of the simulator: a cluster of real peers in a virtual world, driven by one seed.
 *
 * @module
 */

import { ConfigError } from "../raft/mod.ts";
import { Chance } from "./chance.ts";
import { Cluster, STREAMS } from "./cluster.ts";
import { converge } from "./convergence.ts";
import { drawEnvironment, type Environment, type FaultOptions } from "./environment.ts";
import { InvariantViolation, violated } from "./errors.ts";
import { Faults, type StruckFault } from "./faults.ts";
import { traceEnd } from "./fingerprint.ts";
import type { HistoryOperation } from "./history.ts";
import { KvMachine } from "./kv_machine.ts";
import { KvWorkload } from "./kv_workload.ts";
import { checkLinearizability } from "./linearizability.ts";
import type { Model, Operation, SimStateMachine, Workload } from "./machine.ts";
import { Membership } from "./membership.ts";
import type { TraceSink } from "./trace.ts";
import { isWitness } from "./witness.ts";
import { World } from "./world.ts";

/** The options of a run. The run is a pure function of them. */
export interface SimulationOptions {
  /** An integer from 0 to 2^53-1. */
  readonly seed: number;
  /** Nodes at the start, from 1 to 7. Default 3. */
  readonly nodes?: number;
  /** Regions, 1 or 2, each with a replica on every node; they share its disk. Default 1. */
  readonly regions?: number;
  /** How many events happen before the faults stop. Default 3,000. */
  readonly steps?: number;
  /** Clients a region. Default 4. */
  readonly clients?: number;
  /** What to know better than the seed about faults. */
  readonly faults?: FaultOptions;
  /** Settings of the world that are not left to the seed. */
  readonly environment?: Partial<Environment>;
  /** Makes an empty state machine. Default: the simulator's own key-value store. */
  readonly stateMachine?: () => SimStateMachine;
  /** Makes the workload that belongs to it. Default: puts, deletes, conditions and reads. */
  readonly workload?: () => Workload;
  /** Receives a readable trace. */
  readonly trace?: TraceSink;
  /** Most steps of the check of a region's linearizability. Default `LINEARIZABILITY_STEPS_MAX`. */
  readonly linearizabilityStepsMax?: number;
}

/** How a run ended. */
export interface SimulationResult {
  /** Decides everything that is left to chance. */
  readonly seed: number;
  /** What did not hold; undefined when all was well. */
  readonly violation: InvariantViolation | undefined;
  /**
   * 16 hexadecimal digits over all that happened: the moment of every event, what the peers sent,
   * wrote, committed and applied, results and states, faults, and what clients were answered. The same
   * on every runtime.
   */
  readonly traceHash: string;
  /** Events, those after the faults included. */
  readonly steps: number;
  /** Virtual time, in microseconds. */
  readonly timeUs: number;
  /** How often each of `RARE_EVENTS` happened. */
  readonly coverage: readonly number[];
  /** The faults that struck. */
  readonly faults: readonly StruckFault[];
  /** The history of each region. */
  readonly histories: readonly (readonly HistoryOperation[])[];
  /** Whether a check of linearizability was given up: the run shows less than others then. */
  readonly isUndecided: boolean;
}

const STEPS_DEFAULT = 3_000;
const WRITE_DRAWS_MAX = 10_000;

/**
 * Runs a simulation to its end.
 *
 * @throws ConfigError when an option is invalid, or when the workload gives no write in 10,000
 * operations. What goes wrong in the run is returned.
 */
export function simulate(options: SimulationOptions): SimulationResult {
  checkOptions(options);
  const { seed } = options;
  const drawn = drawEnvironment(new Chance(seed, STREAMS.environment), options.faults ?? {});
  for (const name of Object.keys(options.environment ?? {})) {
    if (!Object.hasOwn(drawn, name)) throw new ConfigError(`environment has no setting "${name}"`);
  }
  const environment: Environment = { ...drawn, ...options.environment };
  const createWorkload = options.workload ??
    ((): Workload => new KvWorkload() as unknown as Workload);
  const workload = createWorkload();
  const lastWrite = someWrite(workload, new Chance(seed, STREAMS.clients));
  const world = new World(environment, options.trace);
  const cluster = new Cluster({
    world,
    seed,
    nodes: options.nodes ?? 3,
    regions: options.regions ?? 1,
    clients: options.clients ?? 4,
    createMachine: options.stateMachine ?? (() => new KvMachine()),
    createWorkload,
  });
  const faults = new Faults(cluster, new Membership(cluster), seed, options.faults?.only);
  const run = { violation: undefined as InvariantViolation | undefined, isUndecided: false };
  try {
    const steps = options.steps ?? STEPS_DEFAULT;
    while (world.steps < steps) world.step();
    faults.end();
    for (const region of cluster.regions) region.clients.end();
    converge(cluster, workload, lastWrite);
    run.isUndecided = checkHistories(cluster, workload.model, options.linearizabilityStepsMax);
  } catch (error) {
    run.violation = asViolation(error);
    if (world.trace.verbose) world.line(run.violation.message);
  }
  for (const { replicas } of cluster.regions) {
    for (const replica of replicas.values()) replica.count();
  }
  const histories = cluster.regions.map((region) => region.clients.history);
  const { counts: coverage } = world.coverage;
  traceEnd(world.trace, histories, coverage, run.violation);
  return {
    seed,
    ...run,
    traceHash: world.trace.digest(),
    steps: world.steps,
    timeUs: world.now,
    coverage,
    faults: faults.struck,
    histories,
  };
}

function checkOptions(options: SimulationOptions): void {
  const { nodes = 3, regions = 1, steps = STEPS_DEFAULT, clients = 4 } = options;
  checkInteger("seed", options.seed, 0, Number.MAX_SAFE_INTEGER);
  checkInteger("nodes", nodes, 1, 7);
  checkInteger("regions", regions, 1, 2);
  checkInteger("steps", steps, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("clients", clients, 0, 64);
  for (const number of options.faults?.only ?? []) {
    checkInteger("faults.only", number, 0, Number.MAX_SAFE_INTEGER);
  }
}

function checkInteger(name: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new ConfigError(
    `${name} must be an integer from ${min} to ${max}: current value is ${String(value)}`,
  );
}

function someWrite(workload: Workload, chance: Chance): Operation {
  for (let draw = 0; draw < WRITE_DRAWS_MAX; draw++) {
    const operation = workload.next(chance, 0);
    if (operation.kind === "write") return operation;
  }
  throw new ConfigError(
    `workload must give a write now and then, as a run ends with one: none of ${WRITE_DRAWS_MAX} ` +
      "operations is a write",
  );
}

/** Returns whether a check was given up. */
function checkHistories(cluster: Cluster, model: Model | undefined, stepsMax?: number): boolean {
  if (model === undefined) return false;
  let isUndecided = false;
  for (const { clients, regionId } of cluster.regions) {
    if (isWitness(clients.historyByLog, model)) continue;
    const found = checkLinearizability(clients.history, model, stepsMax);
    if (found.verdict === "unknown") isUndecided = true;
    if (found.verdict !== "not linearizable") continue;
    violated(
      "linearizability",
      `the history of key ${found.partition} of region ${regionId} has no valid order`,
    );
  }
  return isUndecided;
}

function asViolation(error: unknown): InvariantViolation {
  if (error instanceof InvariantViolation) return error;
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return new InvariantViolation("no-exception", text, { cause: error });
}
