/**
 * Why the members were not changed, as sentences for people that say what to do.
 *
 * @module
 */

import type { EtcdError, Member } from "../etcd/mod.ts";
import { CommandFailedError } from "./errors.ts";

/**
 * The sentence for what a server said; undefined for what is not about members.
 *
 * @param id the member that was named, or 0n.
 * @param address the address that was named, or "".
 */
export function memberFailure(
  reason: string,
  members: readonly Member[],
  id: bigint,
  address: string,
  cause?: EtcdError,
): CommandFailedError | undefined {
  const text = sentence(reason, members, id, address);
  return text === undefined ? undefined : new CommandFailedError(text, { cause });
}

function sentence(
  reason: string,
  members: readonly Member[],
  id: bigint,
  address: string,
): string | undefined {
  const ids = members.map((member) => member.id).join(", ");
  const member = members.find((one) => one.id === id);
  if (/member not found/.test(reason)) {
    return `there is no member ${id}: the members are ${ids}`;
  }
  if (/Peer URLs already exists/.test(reason)) {
    const owner = members.find(({ peerUrls }) =>
      peerUrls.some((url) => url.endsWith(`/${address}`))
    );
    return `${address} is the address of member ${owner?.id ?? "another"} already. To put a new ` +
      "member in its place, use `flaredb member replace`";
  }
  if (/in sync with leader/.test(reason)) {
    return `member ${id} has not caught up${member?.name === "" ? ", as it never started" : ""}: ` +
      "start it, wait until `flaredb status` shows its index near the others', and try again";
  }
  if (/can only promote a learner/.test(reason)) return `member ${id} is a voter already`;
  if (/not enough started members/.test(reason)) {
    return members.length === 1
      ? `member ${id} is the only one: a cluster without members holds nothing. Stop it instead`
      : `without member ${id} too few of the others that run would be left for a majority. Bring a ` +
        "dead member back or remove that one first";
  }
  if (/member URLs are invalid/.test(reason)) {
    return `${address} cannot be the address of a member's peers: ` +
      reason.replace(/^.*member URLs are invalid(: )?/, "");
  }
  if (/another change of the members/.test(reason)) {
    return "another change of the members is under way and has not come to an end: is more than half " +
      "of the voters running? Look at `flaredb member list`, then try again";
  }
  if (/does not serve/.test(reason)) return `the server does not change members: ${reason}`;
  return undefined;
}
