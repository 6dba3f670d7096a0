/**
 * IP addresses as certificates hold them.
 *
 * @module
 */

import { isIP } from "node:net";
import { ConfigError } from "../raft/mod.ts";

/**
 * The 4 bytes of an IPv4 address, or the 16 of an IPv6 address.
 *
 * @throws ConfigError when it is neither.
 */
export function ipAddressBytes(address: string): Uint8Array {
  switch (isIP(address)) {
    case 4:
      return Uint8Array.from(address.split("."), Number);
    case 6:
      return ipv6Bytes(address);
    default:
      throw new ConfigError(`An IP address must be IPv4 or IPv6: current value is "${address}"`);
  }
}

function ipv6Bytes(address: string): Uint8Array {
  // A URL writes groups of hexadecimal digits only, and at most one gap.
  const [head, tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const before = groups(head);
  const after = groups(tail ?? "");
  const gap = new Array<number>(8 - before.length - after.length).fill(0);
  return Uint8Array.from(
    [...before, ...gap, ...after].flatMap((group) => [group >> 8, group & 0xff]),
  );
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
}
