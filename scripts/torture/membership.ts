/**
 * The operator, who changes members while the faults go on: calls fail or stay without an answer, so
 * each step looks first at who the members are by now, and is tried until it succeeds.
 *
 * @module
 */

import { formatAddress } from "../../src/cli/addresses.ts";
import { EtcdClient, EtcdError, type Member as ListedMember } from "../../src/etcd/mod.ts";
import type { Member, TortureCluster } from "./cluster.ts";
import { untilDone, type Wait } from "./convergence.ts";

const CALL_DEADLINE_MS = 2_000;
const PAUSE_MS = 100;

/** How long a member that was removed has to find that out. */
const FAREWELL_MS = 5_000;

/** Adds a member in the place of one whose disk is gone, which takes its vote in the same step. */
export async function replaceLost(cluster: TortureCluster, lost: Member): Promise<void> {
  const { place } = lost;
  const [one, other] = place.proxies;
  const peer = formatAddress(lost.peer) === formatAddress(one) ? other : one;
  const url = `http://${formatAddress(peer)}`;
  let id = 0;
  await until(cluster, async (client) => {
    const members = await listed(client);
    id ||= await added(client, members, url, { replaces: BigInt(lost.id) });
    if (!cluster.ids.includes(id)) void cluster.join(id, place, peer);
    return hasVote(members, id) && !members.some((member) => Number(member.id) === lost.id);
  });
}

/** Removes a member, and then adds another in its place: as a learner, which is promoted. */
export async function removeAndAdd(cluster: TortureCluster, id: number): Promise<void> {
  cluster.expectRemoval(id);
  await until(cluster, async (client) => {
    if (!(await listed(client)).some((member) => Number(member.id) === id)) return true;
    await client.memberRemove(BigInt(id));
    return true;
  });
  const { place, peer } = await cluster.retire(id, FAREWELL_MS);
  const url = `http://${formatAddress(peer)}`;
  let next = 0;
  await until(cluster, async (client) => {
    const members = await listed(client);
    next ||= await added(client, members, url, { isLearner: true });
    if (!cluster.ids.includes(next)) void cluster.join(next, place, peer);
    if (hasVote(members, next)) return true;
    await client.memberPromote(BigInt(next));
    return false;
  });
}

/**
 * Removes members that nobody runs: what a call without an answer has added, beside the one that was
 * added again. Resolves when the members are those of the cluster, and all vote.
 */
export async function settleMembers(cluster: TortureCluster, wait: Wait): Promise<void> {
  const client = new EtcdClient({ endpoints: wait.endpoints, deadlineMs: CALL_DEADLINE_MS });
  const { ids } = cluster;
  try {
    await untilDone(wait, () => `the members are not ${ids}, all with a vote`, async () => {
      const members = await listed(client);
      const stray = members.find(({ id }) => !ids.includes(Number(id)));
      if (stray !== undefined) await client.memberRemove(stray.id);
      return stray === undefined && ids.every((id) => hasVote(members, id)) ? true : undefined;
    });
  } finally {
    client.close();
  }
}

async function listed(client: EtcdClient): Promise<readonly ListedMember[]> {
  return (await client.memberList()).members;
}

/** The id of the member with an address, which is added unless an earlier call has done so. */
async function added(
  client: EtcdClient,
  members: readonly ListedMember[],
  url: string,
  options: { readonly replaces?: bigint; readonly isLearner?: boolean },
): Promise<number> {
  const known = members.find(({ peerUrls }) => peerUrls.includes(url));
  return Number(known?.id ?? (await client.memberAdd(url, options)).member.id);
}

function hasVote(members: readonly ListedMember[], id: number): boolean {
  return members.some((member) => Number(member.id) === id && !member.isLearner);
}

/** Tries again whatever fails, until it is done or something happened that should not have. */
async function until(
  cluster: TortureCluster,
  step: (client: EtcdClient) => Promise<boolean>,
): Promise<void> {
  const { endpoints } = cluster;
  const client = new EtcdClient({ endpoints, deadlineMs: CALL_DEADLINE_MS });
  try {
    while (cluster.problems.length === 0) {
      try {
        if (await step(client)) return;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } finally {
    client.close();
  }
}
