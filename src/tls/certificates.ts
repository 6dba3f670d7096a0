/**
 * Certificates as the transports and the etcd API use them: in PEM, given once or by a source that
 * may replace them while they are in use, and checked before they are.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import { messageOf } from "./message_of.ts";
import { CertificateError } from "./errors.ts";

/** Whether a server asks those who connect for a certificate. */
export type ClientCertificates = "required" | "none";

/** What one side of a TLS connection shows and trusts, in PEM: text, or its bytes. */
export interface Certificates {
  /** The authorities that the other side's certificate must come from: one or more certificates. */
  readonly ca?: string | Uint8Array;
  /** Its own certificate, followed by those between it and the authority, if any. */
  readonly certificate: string | Uint8Array;
  /** The private key of the certificate, without a passphrase. */
  readonly privateKey: string | Uint8Array;
}

/** Certificates that may change while they are used. New connections use the newest. */
export interface CertificateSource {
  /** The certificates to use for the next connection. */
  current(): Certificates;
  /** Calls `listener` after each change. The result ends that. */
  subscribe(listener: () => void): () => void;
}

/** The source of certificates that never change. */
export function certificateSource(given: Certificates | CertificateSource): CertificateSource {
  if ("current" in given) return given;
  return { current: () => given, subscribe: () => () => {} };
}

/** PEM as gRPC takes it. */
export function pemBytes(pem: string | Uint8Array): Buffer {
  return typeof pem === "string" ? Buffer.from(pem) : Buffer.from(pem);
}

/**
 * Checks that all certificates can be read and that the private key is the certificate's. Not every
 * runtime does so when it starts to serve. Dates are not checked: an authority may be replaced before
 * it is valid, and what has expired is refused by the other side.
 *
 * @throws CertificateError saying which one is wrong.
 */
export function checkCertificates({ ca, certificate, privateKey }: Certificates): void {
  if (ca !== undefined) readCertificates("the authority's certificate", ca);
  const [own] = readCertificates("the certificate", certificate);
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(pemBytes(privateKey));
  } catch (cause) {
    throw new CertificateError(`The private key cannot be read: ${messageOf(cause)}`, { cause });
  }
  if (!own.checkPrivateKey(key)) {
    throw new CertificateError("The private key must be that of the certificate: it is another's");
  }
}

/**
 * What a server of TLS is set up with.
 *
 * @throws CertificateError when the certificates do not fit together, or clients must show one and
 *   there is no authority to check it against.
 */
export function serverContext(
  certificates: Certificates,
  clients: ClientCertificates,
): SecureContextOptions {
  if (clients === "required" && certificates.ca === undefined) {
    throw new CertificateError("An authority must be given to ask clients for certificates");
  }
  checkCertificates(certificates);
  return {
    // Deno serves no TLS without authorities; they matter only when clients must show certificates.
    ca: pemBytes(certificates.ca ?? certificates.certificate),
    cert: [pemBytes(certificates.certificate)],
    key: [pemBytes(certificates.privateKey)],
    minVersion: "TLSv1.2",
  };
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** All certificates of a PEM file, at least one. @throws CertificateError */
function readCertificates(what: string, pem: string | Uint8Array): X509Certificate[] {
  const text = pemBytes(pem).toString("latin1");
  const blocks = text.match(BLOCK) ?? [];
  const begun = text.split("-----BEGIN CERTIFICATE-----").length - 1;
  if (blocks.length === 0 || blocks.length !== begun) {
    throw new CertificateError(
      `${what[0].toUpperCase()}${what.slice(1)} must be whole PEM blocks, at least one: ` +
        `found ${begun} that begin and ${blocks.length} that end`,
    );
  }
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      const text = `${what[0].toUpperCase()}${what.slice(1)} cannot be read: ${messageOf(cause)}`;
      throw new CertificateError(text, { cause });
    }
  });
}
