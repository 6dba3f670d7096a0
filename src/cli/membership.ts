/**
 * The members of a served cluster: as the etcd API shows them, how it changes them, and what tells a
 * node that it has no place among them any more.
 *
 * @module
 */

import type { ClusterMember, ClusterMembership } from "../etcd/mod.ts";
import type { Node, Observer } from "../node/mod.ts";
import { RaftError } from "../raft/mod.ts";
import { parseAddress } from "./addresses.ts";
import { CommandFailedError, EXIT_CODE } from "./errors.ts";
import type { ServerOptions } from "./serve.ts";
import { isLoopback } from "./server_tls.ts";

/** How often another id is tried when the one chosen was taken in the meantime. */
const ID_ATTEMPTS_MAX = 5;

/** The members as the API shows them. One that was added and never started has no name, as in etcd. */
export function membersOf(node: Node, options: ServerOptions): ClusterMember[] {
  const { peer, client } = options.tls;
  const first = new Set(options.members.map(({ nodeId }) => nodeId));
  const [peerScheme, clientScheme] = [peer, client].map((tls) =>
    tls === undefined ? "http" : "https"
  );
  return node.members().map(({ nodeId, address, clientAddress, voter }) => ({
    nodeId,
    name: clientAddress === undefined && !first.has(nodeId) ? "" : `node-${nodeId}`,
    peerUrls: address === undefined ? [] : [`${peerScheme}://${address}`],
    clientUrls: clientAddress === undefined ? [] : [`${clientScheme}://${clientAddress}`],
    isLearner: !voter,
  }));
}

/** Changes the members of a node's cluster. */
export function membershipOf(node: Node, options: ServerOptions): ClusterMembership {
  return {
    add: async ({ peerAddress, isLearner, replaces }, call) => {
      for (let attempt = 1;; attempt++) {
        const peerId = node.nextPeerId();
        const member = { peerId, address: peerAddress, becomesVoter: !isLearner, replaces };
        try {
          await node.addLearner(member, call);
          return peerId;
        } catch (error) {
          if (attempt === ID_ATTEMPTS_MAX || !isTaken(error)) throw error;
        }
        await node.read(call);
      }
    },
    promote: (nodeId, call) => node.promote(nodeId, call),
    remove: (nodeId, call) => node.remove(nodeId, call),
    update: (nodeId, address, call) => node.updateMember({ peerId: nodeId, address }, call),
    refusePeer: (scheme, address) => refusePeer(options, scheme, address),
  };
}

/** Somebody else was given the same id at the same time. */
function isTaken(error: unknown): boolean {
  return error instanceof RaftError &&
    (error.code === "ALREADY_MEMBER" || error.code === "PEER_ID_USED");
}

/** Peers must speak as this one does; plaintext leaves the machine only where that was asked for. */
function refusePeer(
  { tls, insecurePeer }: ServerOptions,
  scheme: "http" | "https",
  address: string,
): string | undefined {
  const expected = tls.peer === undefined ? "http" : "https";
  if (scheme !== expected) {
    return `the peers of this cluster speak ${expected}, as their certificates decide`;
  }
  const { host } = parseAddress("a peer URL", address);
  if (expected === "https" || insecurePeer || isLoopback(host)) return undefined;
  return `${address} is beyond this machine, and its peers speak plaintext without --insecure-peer`;
}

/** Waits for what leaves a node no place in its cluster. */
export class Expulsion {
  /** Resolves with what to tell people. */
  readonly happened: Promise<CommandFailedError>;
  /** Tells the node's observations. */
  readonly observer: Observer;

  constructor(options: Pick<ServerOptions, "nodeId" | "clusterId" | "data">) {
    let report: (error: CommandFailedError) => void = () => {};
    this.happened = new Promise((resolve) => report = resolve);
    this.observer = {
      removed: () => report(removedError(options)),
      messageRefused: (_peer, { code }) => {
        if (code === "VOTER_WITHOUT_LOG") report(lostDataError(options));
      },
    };
  }
}

/** What a node is told that was removed. */
export function removedError(
  { nodeId, clusterId, data }: Pick<ServerOptions, "nodeId" | "clusterId" | "data">,
): CommandFailedError {
  return new CommandFailedError(
    `node ${nodeId} was removed from the cluster "${clusterId}", and its id is never used again. ` +
      `Its data in ${data} is of no use any more. To run a node here again, add a new member ` +
      "(`flaredb member add`) and start it with --join, its new id and an empty folder",
    { exitCode: EXIT_CODE.expelled },
  );
}

/** What a node is told that is a voter to the others and has no data. */
export function lostDataError(
  { nodeId, clusterId, data }: Pick<ServerOptions, "nodeId" | "clusterId" | "data">,
): CommandFailedError {
  return new CommandFailedError(
    `node ${nodeId} is a voter of the cluster "${clusterId}", and its data is not in ${data}. If it ` +
      "is elsewhere, start the node with that --data. If it is lost, so is what the node voted and " +
      `acknowledged, and it must not take part: \`flaredb member replace ${nodeId} HOST:PORT\` adds a ` +
      "new member in its place",
    { exitCode: EXIT_CODE.expelled },
  );
}
