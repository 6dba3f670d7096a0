/**
 * What a node without data asks before it becomes one: whether the cluster runs already, and what this
 * node is to it. A mistake here, such as a lost disk behind an old id, could cost acknowledged writes.
 *
 * @module
 */

import { askStanding, type Standing } from "../node/mod.ts";
import { type Logger, RaftError } from "../raft/mod.ts";
import { formatAddress } from "./addresses.ts";
import { CommandFailedError } from "./errors.ts";
import { lostDataError, removedError } from "./membership.ts";
import type { ServerOptions } from "./serve.ts";
import type { Transport } from "../transport/mod.ts";

/** The region of the key-value store. */
export const REGION_ID = 1;

/** How long another node's answer is waited for, in milliseconds. */
const ASK_MS = 2_000;

/**
 * Asks the other members, all at once, what a node is that has no data yet. A node that does not answer
 * stops nobody: in a new cluster someone is the first.
 *
 * @param transport reaches other nodes; it need not be started. It is told their addresses.
 * @throws CommandFailedError by rejection, when the node must not start like this.
 */
export async function checkFirstStart(
  options: ServerOptions,
  transport: Pick<Transport, "addNode" | "ask">,
  logger: Logger,
): Promise<void> {
  const { nodeId } = options;
  const others = options.members.filter((member) => member.nodeId !== nodeId);
  for (const other of others) transport.addNode(other.nodeId, formatAddress(other.peer));
  const answers = await Promise.all(others.map(async (other): Promise<Standing | undefined> => {
    try {
      return await askStanding(transport, other.nodeId, REGION_ID, nodeId, ASK_MS);
    } catch (error) {
      if (error instanceof RaftError) return undefined;
      throw error;
    }
  }));
  const standings = answers.filter((answer) => answer !== undefined);
  const refusal = options.join ? refuseJoin(options, standings) : refuseFirst(options, standings);
  if (refusal !== undefined) throw refusal;
  if (options.join && standings.length === 0) {
    logger.warn(`node ${nodeId} joins, but none of the others in --members answers: it waits`);
  }
}

function refuseJoin(
  options: ServerOptions,
  standings: readonly Standing[],
): CommandFailedError | undefined {
  const is = (role: Standing["role"]): boolean => standings.some((one) => one.role === role);
  if (is("removed")) return removedError(options);
  if (is("voter")) return lostDataError(options);
  if (standings.length === 0 || is("learner")) return undefined;
  return new CommandFailedError(
    `node ${options.nodeId} is no member of the cluster "${options.clusterId}". Add it first: ` +
      "`flaredb member add HOST:PORT`, with the address of its peers, tells the id to start it with",
  );
}

function refuseFirst(
  options: ServerOptions,
  standings: readonly Standing[],
): CommandFailedError | undefined {
  if (standings.some(({ role }) => role === "removed")) return removedError(options);
  // Whoever has acknowledged entries had data once.
  if (standings.some(({ role, matchIndex }) => role === "voter" && matchIndex > 0)) {
    return lostDataError(options);
  }
  if (!standings.some(({ role }) => role === "none" || role === "learner")) return undefined;
  return new CommandFailedError(
    `the cluster "${options.clusterId}" runs already, and node ${options.nodeId} is not one of its ` +
      "first members: add it with `flaredb member add`, and start it with --join",
  );
}
