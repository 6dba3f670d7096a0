/**
 * The commands of quorum traces: the committed index and the vote result of majority and joint
 * quorums, with the identities that must hold whatever the numbers are.
 *
 * @module
 */

import { JointQuorum, MajorityQuorum } from "../../src/raft/mod.ts";
import { type Arguments, parseInteger } from "./arguments.ts";
import { type ByteString, fromText } from "./byte_string.ts";
import { TraceFormatError } from "./parser.ts";

/** What both kinds of quorum can tell. */
type Quorum = Pick<MajorityQuorum, "committedIndex" | "voteResult">;

interface Configuration {
  readonly incoming: readonly number[];
  readonly outgoing: readonly number[];
  readonly joint: boolean;
}

const VOTE_NAMES = { pending: "VotePending", lost: "VoteLost", won: "VoteWon" } as const;

/** Runs `committed`: the highest index that a quorum has acknowledged. */
export function runCommitted(args: Arguments): ByteString {
  const configuration = readConfiguration(args);
  const known = assign(configuration, "idx", args.list("idx") ?? [], readIndex);
  args.finish();
  return evaluate(configuration, (quorum) => {
    const index = quorum.committedIndex((id) => known.get(id));
    return index === Infinity ? "∞" : String(index);
  });
}

/** Runs `vote`: what the votes cast so far decide. */
export function runVote(args: Arguments): ByteString {
  const configuration = readConfiguration(args);
  const votes = assign(configuration, "votes", args.list("votes") ?? [], readVote);
  args.finish();
  return evaluate(configuration, (quorum) => VOTE_NAMES[quorum.voteResult(votes)]);
}

function readConfiguration(args: Arguments): Configuration {
  const incoming = args.integerList("cfg") ?? [];
  const second = args.list("cfgj");
  const isZero = second?.length === 1 && second[0] === "zero";
  const outgoing = second === undefined || isZero
    ? []
    : second.map((value) => parseInteger("cfgj", value));
  return { incoming, outgoing, joint: second !== undefined };
}

/** Gives each voter its value, in the order of first appearance; `_` is no value. */
function assign<T>(
  { incoming, outgoing }: Configuration,
  name: string,
  values: readonly ByteString[],
  read: (value: ByteString) => T,
): Map<number, T> {
  const voters = [...new Set([...incoming, ...outgoing])];
  if (voters.length !== values.length) {
    throw new TraceFormatError(
      `${name} must name one value for each of the ${voters.length} voters: found ${values.length}`,
    );
  }
  const assigned = new Map<number, T>();
  voters.forEach((voter, position) => {
    const value = values[position];
    if (value !== "_") assigned.set(voter, read(value));
  });
  return assigned;
}

function readIndex(value: ByteString): number {
  return parseInteger("idx", value);
}

function readVote(value: ByteString): boolean {
  if (value !== "y" && value !== "n") {
    throw new TraceFormatError(`a vote must be y, n or _: found ${value}`);
  }
  return value === "y";
}

/** Prints the result, and a line for each identity that does not hold. */
function evaluate(
  { incoming, outgoing, joint }: Configuration,
  result: (quorum: Quorum) => string,
): ByteString {
  const first = new MajorityQuorum(incoming);
  const second = new MajorityQuorum(outgoing);
  const expected = result(joint ? new JointQuorum(first, second) : first);
  const equals: [string, Quorum][] = joint
    ? [
      ["the halves swapped", new JointQuorum(second, first)],
    ]
    : [
      ["joined with the empty quorum", new JointQuorum(first, new MajorityQuorum([]))],
      ["the empty quorum joined with it", new JointQuorum(new MajorityQuorum([]), first)],
      ["joined with itself", new JointQuorum(first, first)],
      ["the voters reversed", new MajorityQuorum([...incoming].reverse())],
    ];
  const broken = equals.map(([name, quorum]) => [name, result(quorum)] as const)
    .filter(([, other]) => other !== expected)
    .map(([name, other]) => `${other} <-- ${name}\n`);
  return fromText(broken.join("") + expected + "\n");
}
