/**
 * `flaredb cert`: makes an authority and the certificates it signs, for tests and for clusters that
 * have no authority of their own.
 *
 * @module
 */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { CertificateAuthority, CertificateRequest, KeyPair } from "../tls/authority.ts";
import { nodeCertificateName } from "../tls/mod.ts";
import type { Command, Invocation } from "./command.ts";
import { CommandFailedError, EXIT_CODE, messageOf, UsageError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

const DAY_MS = 86_400_000;
const DAYS_MAX = 36_500;
const CA_DAYS_DEFAULT = 3650;
const DAYS_DEFAULT = 365;
const HOSTS_DEFAULT = "localhost,127.0.0.1,::1";
const KEY_MODE = 0o600;
const CERTIFICATE_MODE = 0o644;

/** The `cert` command. */
export const certCommand: Command = {
  name: "cert",
  summary: "Make an authority and certificates",
  positionals: "ca|node|client",
  positionalCount: [1, 1],
  description:
    "ca makes an authority: ca.pem and ca.key. node makes the certificate of a node, which it shows " +
    "to peers and to clients: node-ID.pem and node-ID.key. client makes that of a client: NAME.pem " +
    "and NAME.key. Keys can be read by their owner alone, and nothing is ever overwritten. Give the " +
    "nodes ca.pem and their own two files; keep ca.key elsewhere: whoever has it can join the cluster.",
  options: {
    dir: {
      value: "DIR",
      help: 'the folder of the files, made when it does not exist; default: "."',
    },
    id: { value: "N", help: "node: its id; required" },
    "cluster-id": { value: "NAME", help: "node: its cluster; required" },
    hosts: {
      value: "LIST",
      help: "node: the names and addresses by which clients reach it; default: " + HOSTS_DEFAULT,
    },
    name: { value: "NAME", help: 'client, ca: its name; default: "client", "flaredb authority"' },
    days: {
      value: "DAYS",
      help: `how long it holds; default: ${DAYS_DEFAULT}, an authority ${CA_DAYS_DEFAULT}`,
    },
  },
  examples: [
    "flaredb cert ca --dir certs",
    "flaredb cert node --dir certs --id 1 --cluster-id shop --hosts db1.example,10.0.0.1",
    "flaredb cert client --dir certs --name alice",
  ],
  run: runCert,
};

/** The options that each kind takes beside `--dir` and `--days`. */
const OPTIONS_OF: Readonly<Record<string, readonly string[]>> = {
  ca: ["name"],
  node: ["id", "cluster-id", "hosts"],
  client: ["name"],
};

async function runCert(invocation: Invocation, terminal: Terminal): Promise<number> {
  const kind = invocation.positionals[0];
  const taken = OPTIONS_OF[kind];
  if (taken === undefined) {
    throw new UsageError(`it must be ca, node or client: it is "${kind}"`);
  }
  const wrong = ["name", "id", "cluster-id", "hosts"].find((name) =>
    invocation.has(name) && !taken.includes(name)
  );
  if (wrong !== undefined) throw new UsageError(`cert ${kind} takes no --${wrong}`);
  const directory = invocation.text("dir") ?? ".";
  const files = kind === "ca"
    ? await makeAuthority(invocation, directory)
    : await makeCertificate(requestOf(kind, invocation), directory);
  terminal.out(`${files.certificate}\n${files.privateKey}\n`);
  return EXIT_CODE.ok;
}

/** A certificate to make, and what its files are called. */
interface NamedRequest extends CertificateRequest {
  readonly fileName: string;
}

function requestOf(kind: string, invocation: Invocation): NamedRequest {
  const notAfter = endOf(invocation, DAYS_DEFAULT);
  if (kind === "client") {
    const name = invocation.text("name") ?? "client";
    if (!/^[\w.-]{1,64}$/.test(name) || name === "ca" || name.startsWith(".")) {
      throw new UsageError(
        "--name must be 1 to 64 letters, digits, _, - and dots, and not ca, as files are named " +
          `after it: it is "${name}"`,
      );
    }
    return { fileName: name, commonName: name, notAfter };
  }
  const id = Number(invocation.requiredText("id"));
  const nodeId = invocation.integer("id", id, 1, Number.MAX_SAFE_INTEGER);
  const name = nodeCertificateName(invocation.requiredText("cluster-id"), nodeId);
  const hosts = (invocation.text("hosts") ?? HOSTS_DEFAULT).split(",").map((one) => one.trim())
    .filter((host) => host !== "");
  return {
    fileName: `node-${nodeId}`,
    commonName: `node-${nodeId}`,
    dnsNames: [name, ...hosts.filter((host) => isIP(host) === 0)],
    ipAddresses: hosts.filter((host) => isIP(host) !== 0),
    notAfter,
  };
}

function endOf(invocation: Invocation, daysDefault: number): Date {
  const days = invocation.integer("days", daysDefault, 1, DAYS_MAX);
  return new Date(Date.now() + days * DAY_MS);
}

/** Where a certificate and its key are. */
interface PairFiles {
  readonly certificate: string;
  readonly privateKey: string;
}

async function makeAuthority(invocation: Invocation, directory: string): Promise<PairFiles> {
  const commonName = invocation.text("name") ?? "flaredb authority";
  const notAfter = endOf(invocation, CA_DAYS_DEFAULT);
  const files = newFiles(directory, "ca");
  const { CertificateAuthority } = await import("../tls/authority.ts");
  const { keyPair } = await CertificateAuthority.create({ commonName, notAfter });
  writePair(files, keyPair);
  return files;
}

async function makeCertificate(request: NamedRequest, directory: string): Promise<PairFiles> {
  const authority = await openAuthority(directory);
  const files = newFiles(directory, request.fileName);
  writePair(files, await authority.issue(request));
  return files;
}

async function openAuthority(directory: string): Promise<CertificateAuthority> {
  const { certificate, privateKey } = filesOf(directory, "ca");
  let pair: KeyPair;
  try {
    pair = {
      certificate: readFileSync(certificate, "utf8"),
      privateKey: readFileSync(privateKey, "utf8"),
    };
  } catch (error) {
    throw new CommandFailedError(
      `cannot read the authority: ${messageOf(error)}. \`flaredb cert ca\` makes one`,
      { cause: error },
    );
  }
  const { CertificateAuthority } = await import("../tls/authority.ts");
  return await CertificateAuthority.open(pair);
}

function filesOf(directory: string, name: string): PairFiles {
  return {
    certificate: join(directory, `${name}.pem`),
    privateKey: join(directory, `${name}.key`),
  };
}

/** The files to make, of which none exists. @throws CommandFailedError when one does */
function newFiles(directory: string, name: string): PairFiles {
  const files = filesOf(directory, name);
  for (const path of [files.privateKey, files.certificate]) {
    if (existsSync(path)) {
      throw new CommandFailedError(`${path} exists already: it is not overwritten`);
    }
  }
  return files;
}

/** Writes both files or none; a file that exists is never touched. */
function writePair({ certificate, privateKey }: PairFiles, pair: KeyPair): void {
  const written: string[] = [];
  const write = (path: string, text: string, mode: number): void => {
    writeFileSync(path, text, { flag: "wx", mode });
    written.push(path);
  };
  try {
    mkdirSync(join(privateKey, ".."), { recursive: true, mode: 0o700 });
    write(privateKey, pair.privateKey, KEY_MODE);
    write(certificate, pair.certificate, CERTIFICATE_MODE);
  } catch (error) {
    for (const path of written) rmSync(path, { force: true });
    throw new CommandFailedError(`cannot write the files: ${messageOf(error)}`, { cause: error });
  }
}
