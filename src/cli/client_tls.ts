/**
 * How the client commands speak TLS: `--cacert`, `--cert` and `--key`, named as by etcdctl, and the
 * environment variables that stand in for them.
 *
 * @module
 */

import process from "node:process";
import type { EtcdClientTls } from "../etcd/mod.ts";
import { CertificateError, readCertificateFile } from "../tls/mod.ts";
import type { CommandOption, Invocation } from "./command.ts";
import { CommandFailedError, UsageError } from "./errors.ts";

/** The options of every client command that concern TLS. */
export const CLIENT_TLS_OPTIONS: Readonly<Record<string, CommandOption>> = {
  cacert: {
    value: "FILE",
    help: "speak TLS, and trust servers of this authority only; default: $FLAREDB_CACERT",
  },
  cert: {
    value: "FILE",
    help: "show this certificate to servers that ask for one; default: $FLAREDB_CERT",
  },
  key: { value: "FILE", help: "the private key of --cert; default: $FLAREDB_KEY" },
};

/**
 * The certificates of an invocation; undefined when it names none.
 *
 * @throws UsageError when --cert and --key are not given together. CommandFailedError when a file
 *   cannot be read.
 */
export function clientTlsOf(invocation: Invocation): EtcdClientTls | undefined {
  const [cacert, cert, key] = ["cacert", "cert", "key"].map((name) =>
    invocation.text(name) ?? environment(`FLAREDB_${name.toUpperCase()}`)
  );
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--cert and --key must be given together");
  }
  if (cacert === undefined && cert === undefined) return undefined;
  return {
    ...(cacert !== undefined && { ca: contentsOf(cacert) }),
    ...(cert !== undefined && { certificate: contentsOf(cert) }),
    ...(key !== undefined && { privateKey: contentsOf(key) }),
  };
}

/** An environment variable; undefined when it is unset, empty, or may not be read. */
export function environment(name: string): string | undefined {
  try {
    return process.env[name] || undefined;
  } catch {
    return undefined;
  }
}

function contentsOf(path: string): Uint8Array {
  try {
    return readCertificateFile(path);
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    throw new CommandFailedError(error.message, { cause: error });
  }
}
