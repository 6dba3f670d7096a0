/**
 * How `flaredb start` is told about TLS: certificates for peers and for clients, named as by etcd,
 * and the refusal of plaintext that leaves the machine unless it is asked for by name.
 *
 * @module
 */

import { resolve } from "node:path";
import type { Address, MemberAddress } from "./addresses.ts";
import { formatAddress } from "./addresses.ts";
import type { CommandOption, Invocation } from "./command.ts";
import { UsageError } from "./errors.ts";

/** Files of certificates: absolute paths. */
export interface TlsFiles {
  /** The authority that the other side's certificate must come from. */
  readonly ca?: string;
  readonly certificate: string;
  readonly privateKey: string;
}

/** How a node speaks with its peers and its clients; plaintext where there are no files. */
export interface ServerTls {
  readonly peer: TlsFiles | undefined;
  readonly client: TlsFiles | undefined;
  /** Whether clients must show a certificate of `client.ca`. */
  readonly clientCertificates: boolean;
}

/** Where plaintext would go. */
export interface PlaintextReach {
  readonly members: readonly MemberAddress[];
  readonly peerListen: Address;
  readonly clientListen: Address;
}

const FILES_READ_AGAIN = "The files are read again when they change";

/** The options of `flaredb start` that concern TLS. */
export const SERVER_TLS_OPTIONS: Readonly<Record<string, CommandOption>> = {
  "peer-cert-file": {
    value: "FILE",
    help: "speak TLS with peers, and show this certificate, which must carry the name " +
      `node-ID.CLUSTER-ID.flaredb. ${FILES_READ_AGAIN}`,
  },
  "peer-key-file": { value: "FILE", help: "the private key of --peer-cert-file" },
  "peer-trusted-ca-file": {
    value: "FILE",
    help: "the authority that the certificates of all peers must come from",
  },
  "cert-file": {
    value: "FILE",
    help: `speak TLS with clients, and show this certificate. ${FILES_READ_AGAIN}`,
  },
  "key-file": { value: "FILE", help: "the private key of --cert-file" },
  "trusted-ca-file": {
    value: "FILE",
    help: "the authority that clients' certificates must come from; with --client-cert-auth",
  },
  "client-cert-auth": { help: "serve only clients that show a certificate of --trusted-ca-file" },
  "insecure-peer": {
    help: "let peers speak plaintext over the network: whoever reaches a peer address can alter " +
      "the data. Between loopback addresses plaintext needs no such word",
  },
  "insecure-client": {
    help:
      "serve clients in plaintext over the network: whoever reaches the client address can read " +
      "and write. On a loopback address plaintext needs no such word",
  },
};

/**
 * Reads how to speak with peers and clients.
 *
 * @throws UsageError when options do not go together, or plaintext would leave the machine without
 *   having been asked for.
 */
export function serverTlsOf(invocation: Invocation, reach: PlaintextReach): ServerTls {
  const peer = filesOf(invocation, "peer-");
  const client = filesOf(invocation, "");
  const clientCertificates = invocation.has("client-cert-auth");
  if (peer !== undefined && peer.ca === undefined) {
    throw new UsageError("--peer-trusted-ca-file is required with --peer-cert-file");
  }
  if (clientCertificates !== (client?.ca !== undefined)) {
    throw new UsageError("--client-cert-auth and --trusted-ca-file must be given together");
  }
  refusePlaintext(invocation, "peer", peer, "--peer-cert-file", [
    ["--peer-listen", reach.peerListen],
    ...reach.members.map((member) => ["a peer address in --members", member.peer] as const),
  ]);
  refusePlaintext(invocation, "client", client, "--cert-file", [
    ["--client-listen", reach.clientListen],
  ]);
  return { peer, client, clientCertificates };
}

function filesOf(invocation: Invocation, prefix: "peer-" | ""): TlsFiles | undefined {
  const path = (name: string): string | undefined => {
    const text = invocation.text(`${prefix}${name}`);
    return text === undefined ? undefined : resolve(text);
  };
  const ca = path("trusted-ca-file");
  const certificate = path("cert-file");
  const privateKey = path("key-file");
  if (certificate === undefined && privateKey === undefined && ca === undefined) return undefined;
  if (certificate === undefined || privateKey === undefined) {
    throw new UsageError(`--${prefix}cert-file and --${prefix}key-file must be given together`);
  }
  return { ...(ca !== undefined && { ca }), certificate, privateKey };
}

function refusePlaintext(
  invocation: Invocation,
  who: "peer" | "client",
  files: TlsFiles | undefined,
  option: string,
  addresses: readonly (readonly [string, Address])[],
): void {
  const asked = invocation.has(`insecure-${who}`);
  if (files !== undefined) {
    if (asked) throw new UsageError(`--insecure-${who} and ${option} exclude each other`);
    return;
  }
  const beyond = addresses.find(([, { host }]) => !isLoopback(host));
  if (asked || beyond === undefined) return;
  const [name, address] = beyond;
  throw new UsageError(
    `plaintext with ${who}s beyond this machine must be asked for: ${name} is ` +
      `${formatAddress(address)}. Give ${option} (\`flaredb cert\` makes certificates), or ` +
      `--insecure-${who} on a network where nobody else can reach it`,
  );
}

/** Whether what is sent to this host cannot leave the machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
