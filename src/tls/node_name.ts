/**
 * The name that a node's certificate carries, and how a certificate is checked for a name.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { ConfigError } from "../raft/mod.ts";

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NAME_LENGTH_MAX = 253;

/**
 * The name in the certificate of a node, a subject alternative name of type DNS:
 * `node-<id>.<cluster id>.flaredb`, in lower case.
 *
 * @throws ConfigError when the cluster's id cannot be part of a DNS name: then it needs another name,
 *   or the transport a `peerName` of its own.
 */
export function nodeCertificateName(clusterId: string, nodeId: number): string {
  const name = `node-${nodeId}.${clusterId.toLowerCase()}.flaredb`;
  if (name.length > NAME_LENGTH_MAX || !name.split(".").every((label) => LABEL.test(label))) {
    throw new ConfigError(
      "With TLS the cluster's id must be letters, digits, _, - and single dots, at most 63 between " +
        `two dots, as it is part of the names in certificates: current value is "${clusterId}"`,
    );
  }
  return name;
}

/**
 * Whether a certificate carries exactly this DNS name, in lower case, as a subject alternative name. A
 * wildcard or a common name does not count.
 *
 * @param bytes the certificate in DER, as `getPeerCertificate().raw` has it, or in PEM.
 */
export function certificateHasName(bytes: string | Uint8Array, name: string): boolean {
  const certificate = new X509Certificate(Buffer.from(bytes as Uint8Array));
  // Both checks are needed: one runtime takes the common name for a host's in spite of the option,
  // and does not quote separators within the list.
  const host = certificate.checkHost(name, { subject: "never", wildcards: false });
  if (host === undefined) return false;
  return (certificate.subjectAltName ?? "").split(", ").includes(`DNS:${name}`);
}

/** The alternative names of a certificate, in DER or PEM, or else its subject: for people. */
export function certificateNames(bytes: string | Uint8Array): string {
  const certificate = new X509Certificate(Buffer.from(bytes as Uint8Array));
  return certificate.subjectAltName ?? certificate.subject.replaceAll("\n", ", ");
}
