/**
 * The node room: `Node` replicates an application's `StateMachine`; `Peer` is one replica of one
 * region, for those who drive it themselves.
 *
 * @module
 */

export * from "./clock.ts";
export * from "./errors.ts";
export * from "./events.ts";
export { EPOCH_BOUND } from "./envelope.ts";
export { type CheckedLimits, checkLimits, type PeerLimits } from "./limits.ts";
export { Node } from "./node.ts";
export * from "./observer.ts";
export * from "./options.ts";
export { Peer } from "./peer.ts";
export type { PeerOptions, PeerStorage } from "./peer_options.ts";
export { Random, unpredictableSeed } from "./random.ts";
export {
  INITIAL_INDEX,
  INITIAL_TERM,
  openRegion,
  recoverLastApplied,
  type RegionRecovery,
} from "./recovery.ts";
export * from "./state_machine.ts";
export * from "./status.ts";
