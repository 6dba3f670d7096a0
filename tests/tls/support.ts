/** Certificates for tests: authorities, and what they sign. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CertificateAuthority,
  type CertificateRequest,
  type KeyPair,
} from "../../src/tls/authority.ts";
import type { Certificates } from "../../src/tls/mod.ts";

const DAY_MS = 86_400_000;

/** Tomorrow. */
export function tomorrow(): Date {
  return new Date(Date.now() + DAY_MS);
}

/** A new authority that holds until tomorrow. */
export function newAuthority(commonName = "test authority"): Promise<CertificateAuthority> {
  return CertificateAuthority.create({ commonName, notAfter: tomorrow() });
}

/** A certificate that holds until tomorrow for these names. */
export function issue(
  authority: CertificateAuthority,
  dnsNames: readonly string[],
  changes: Partial<CertificateRequest> = {},
): Promise<KeyPair> {
  return authority.issue({ commonName: "test", dnsNames, notAfter: tomorrow(), ...changes });
}

/** When a certificate held that has expired: all of yesterday. */
export function yesterday(): Pick<CertificateRequest, "notBefore" | "notAfter"> {
  return { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) };
}

/** A certificate together with the authority that checks those of others. */
export function trusting(authority: CertificateAuthority, pair: KeyPair): Certificates {
  return { ca: authority.keyPair.certificate, ...pair };
}

/** Runs a test with a folder that is removed afterwards. */
export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-tls-"));
  try {
    return await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
