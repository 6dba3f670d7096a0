/**
 * Network addresses and lists of members as they are written on a command line, and the search for
 * free ports.
 *
 * @module
 */

import { createServer } from "node:net";
import { parseInteger } from "./command.ts";
import { UsageError } from "./errors.ts";

/** A place in the network. */
export interface Address {
  /** A host name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  /** The TCP port: from 0 to 65,535; 0 asks the system for a free one where one listens. */
  readonly port: number;
}

/** A member of a cluster, as `--members` names it. */
export interface MemberAddress {
  readonly nodeId: number;
  /** Where its peers reach it. */
  readonly peer: Address;
  /** Where its clients reach it, when it was given. */
  readonly client: Address | undefined;
}

/** Most members a cluster may have. */
export const MEMBERS_MAX = 31;
const NODE_ID_MAX = Number.MAX_SAFE_INTEGER;

/**
 * Reads `host:port`, `[IPv6]:port`, or the same behind `http://` or `https://`, which says nothing
 * here: whether TLS is spoken is told by the certificates.
 *
 * @throws UsageError naming `name` when it is none.
 */
export function parseAddress(name: string, text: string): Address {
  const bare = text.trim().replace(/^https?:\/\//, "").replace(/\/$/, "");
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]/\s]+)):(\d+)$/.exec(bare);
  if (match === null) {
    throw new UsageError(`${name} must be HOST:PORT, such as 127.0.0.1:2379: it is "${text}"`);
  }
  return {
    host: match[1] ?? match[2],
    port: parseInteger(`the port of ${name}`, match[3], 0, 65535),
  };
}

/** Writes an address as `host:port`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Reads a comma-separated list of at least one address, with `http://` or `https://` kept where it is
 * given; repeated ones count once.
 */
export function parseEndpoints(name: string, text: string): string[] {
  const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  if (parts.length === 0) throw new UsageError(`${name} must name at least one HOST:PORT`);
  return [
    ...new Set(parts.map((part) => {
      const scheme = /^https?:\/\//.exec(part)?.[0] ?? "";
      return scheme + formatAddress(parseAddress(name, part));
    })),
  ];
}

/**
 * Reads the members of a cluster: `1=host:peer-port,2=host:peer-port/host:client-port,…`, in
 * ascending order of their ids.
 *
 * @throws UsageError when a part does not fit or an id or address is named twice.
 */
export function parseMembers(text: string): MemberAddress[] {
  const members: MemberAddress[] = [];
  for (const part of text.split(",").map((one) => one.trim()).filter((one) => one !== "")) {
    const match = /^(\d+)=([^/]+)(?:\/(.+))?$/.exec(part);
    if (match === null) {
      throw new UsageError(
        `--members must be ID=HOST:PORT[/CLIENT-HOST:PORT],…: one part is "${part}"`,
      );
    }
    members.push({
      nodeId: parseInteger("an id in --members", match[1], 1, NODE_ID_MAX),
      peer: parseAddress("an address in --members", match[2]),
      client: match[3] === undefined
        ? undefined
        : parseAddress("a client address in --members", match[3]),
    });
  }
  if (members.length === 0 || members.length > MEMBERS_MAX) {
    throw new UsageError(
      `--members must name from 1 to ${MEMBERS_MAX} members: it names ${members.length}`,
    );
  }
  refuseRepeated("id", members.map((member) => String(member.nodeId)));
  refuseRepeated("address", members.map((member) => formatAddress(member.peer)));
  return members.sort((one, other) => one.nodeId - other.nodeId);
}

function refuseRepeated(what: string, values: readonly string[]): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) throw new UsageError(`--members names the ${what} ${value} twice`);
    seen.add(value);
  }
}

/** Whether nothing listens on this port of this host. */
export function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Finds free ports: different ones, each free at the time of the call. */
export async function freePorts(host: string, count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => listenAnywhere(host)),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function listenAnywhere(host: string): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port: 0 }, () => resolve(server));
  });
}
