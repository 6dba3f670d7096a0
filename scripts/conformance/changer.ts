/**
 * The commands of configuration changer traces: one configuration a file, changed by simple changes
 * and through joint configurations.
 *
 * @module
 */

import {
  applySimple,
  type ConfState,
  createConfState,
  enterJoint,
  leaveJoint,
  type Membership,
  type NewPeers,
  type PeerId,
  type ReplicationState,
} from "../../src/raft/mod.ts";
import type { Arguments } from "./arguments.ts";
import type { ByteString } from "./byte_string.ts";
import { parseChanges } from "./conf_changes.ts";
import { CommandError, isPrintedError } from "./errors.ts";
import { describeProgress } from "./printing.ts";

/** Changes the membership, or throws. */
type Change = (from: Membership, args: Arguments, peers: NewPeers) => Membership;

const CHANGES: ReadonlyMap<string, Change> = new Map<string, Change>([
  ["simple", changeSimply],
  ["enter-joint", enter],
  ["leave-joint", leave],
]);

/** The names of the changer's commands. */
export const CHANGER_COMMANDS: readonly string[] = [...CHANGES.keys()];

/** The changer of one file: an empty configuration at first. */
export class ChangerScenario {
  #membership: Membership = { confState: createConfState(), progress: new Map() };
  #lastIndex = 0;

  /** Runs one command and prints the configuration it made, or why it was refused. */
  run(args: Arguments): ByteString {
    const peers = { lastIndex: this.#lastIndex, limits: { countMax: 10, bytesMax: Infinity } };
    this.#lastIndex++;
    const change = CHANGES.get(args.command) as Change;
    try {
      this.#membership = change(this.#membership, args, peers);
    } catch (error) {
      if (!isPrintedError(error)) throw error;
      return error.message + "\n";
    }
    return describeMembership(this.#membership);
  }
}

function changeSimply(from: Membership, args: Arguments, peers: NewPeers): Membership {
  args.finish();
  return applySimple(from, parseChanges(args.input), peers);
}

function enter(from: Membership, args: Arguments, peers: NewPeers): Membership {
  const autoLeave = args.booleanOption("autoleave") ?? false;
  args.finish();
  return enterJoint(from, autoLeave, parseChanges(args.input), peers);
}

function leave(from: Membership, args: Arguments): Membership {
  args.finish();
  if (parseChanges(args.input).length > 0) throw new CommandError("this command takes no input");
  return leaveJoint(from);
}

function describeMembership({ confState, progress }: Membership): ByteString {
  const peers = [...progress].sort(([a], [b]) => a - b);
  const lines = peers.map(([id, state]) => describeState(id, state));
  return describeConfiguration(confState) + "\n" + lines.join("");
}

function describeConfiguration(confState: ConfState): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = confState;
  let text = `voters=${describeIds(voters)}`;
  if (votersOutgoing.length > 0) text += `&&${describeIds(votersOutgoing)}`;
  if (learners.length > 0) text += ` learners=${describeIds(learners)}`;
  if (learnersNext.length > 0) text += ` learners_next=${describeIds(learnersNext)}`;
  return autoLeave ? text + " autoleave" : text;
}

function describeIds(ids: readonly PeerId[]): string {
  return `(${ids.map((id) => id.toString(16)).join(" ")})`;
}

function describeState(id: PeerId, state: ReplicationState): string {
  return describeProgress(id, {
    state: state.state,
    matchIndex: state.matchIndex,
    nextIndex: state.nextIndex,
    learner: state.isLearner,
    paused: state.isPaused(),
    pendingSnapshot: state.pendingSnapshot,
    recentActive: state.recentActive,
    inflight: state.inflights.count,
    inflightFull: state.inflights.isFull(),
  });
}
