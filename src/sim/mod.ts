/**
 * The simulator: real `Peer`s, core, log and state machine under a virtual clock, network and disk,
 * driven by one seed, and checked at every step. A run is a pure function of its options.
 *
 * Bring a `SimStateMachine` and a `Workload` to test a state machine of your own.
 *
 * @example
 * ```ts
 * import { simulate } from "@flaredb/raft/sim";
 *
 * const result = simulate({ seed: 7, nodes: 3, steps: 2_000 });
 * if (result.violation !== undefined) throw result.violation;
 * ```
 *
 * @module
 */

export { Chance } from "./chance.ts";
export { Coverage, RARE_EVENTS, type RareEvent } from "./coverage.ts";
export { type Environment, FAULT_KINDS, type FaultKind, type FaultOptions } from "./environment.ts";
export { type Invariant, InvariantViolation } from "./errors.ts";
export type { StruckFault } from "./faults.ts";
export { historyFromJson, type HistoryOperation, historyToJson } from "./history.ts";
export { KvMachine } from "./kv_machine.ts";
export {
  KV_HISTORY_REVISIONS,
  type KvCompare,
  type KvField,
  type KvInput,
  KvModel,
  type KvOperation,
  type KvOutput,
  type KvPair,
  type KvState,
} from "./kv_model.ts";
export { KvWorkload, type KvWorkloadOptions } from "./kv_workload.ts";
export {
  checkLinearizability,
  LINEARIZABILITY_STEPS_MAX,
  type LinearizabilityResult,
} from "./linearizability.ts";
export type { Model, Operation, SimStateMachine, Workload } from "./machine.ts";
export { shrink, SHRINK_RUNS_MAX, type Shrunk } from "./shrink.ts";
export { simulate, type SimulationOptions, type SimulationResult } from "./simulation.ts";
export type { TraceSink } from "./trace.ts";
