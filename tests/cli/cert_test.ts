import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runCommandLine } from "../../src/cli/command_line.ts";
import { certificateHasName, checkCertificates } from "../../src/tls/mod.ts";
import { withFolder } from "../tls/support.ts";
import { FakeTerminal } from "./fake_terminal.ts";

interface Ran {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs `flaredb cert` with these arguments. */
async function cert(directory: string, ...args: string[]): Promise<Ran> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine(["cert", ...args, "--dir", directory], terminal);
  return { code, output: terminal.output, errors: terminal.errors };
}

const read = (directory: string, name: string): string =>
  readFileSync(join(directory, name), "utf8");

test("cert makes an authority, and certificates of nodes and clients that it signed", () =>
  withFolder(async (folder) => {
    const directory = join(folder, "made", "here");
    assert.deepEqual(await cert(directory, "ca", "--name", "Shop"), {
      code: 0,
      output: `${join(directory, "ca.pem")}\n${join(directory, "ca.key")}\n`,
      errors: "",
    });
    const hosts = ["--hosts", "db1.example, 10.0.0.1,::1"];
    const node = await cert(directory, "node", "--id", "1", "--cluster-id", "Shop", ...hosts);
    assert.equal(node.code, 0, node.errors);
    const client = await cert(directory, "client", "--name", "alice", "--days", "2");
    assert.equal(client.code, 0, client.errors);
    const names = ["alice.key", "alice.pem", "ca.key", "ca.pem", "node-1.key", "node-1.pem"];
    assert.deepEqual(readdirSync(directory).sort(), names);
    const ca = read(directory, "ca.pem");
    const authority = new X509Certificate(ca);
    assert.match(authority.subject, /CN=Shop/);
    for (const name of ["node-1", "alice"]) {
      const certificate = read(directory, `${name}.pem`);
      checkCertificates({ ca, certificate, privateKey: read(directory, `${name}.key`) });
      assert.equal(new X509Certificate(certificate).verify(authority.publicKey), true);
    }
    const made = new X509Certificate(read(directory, "node-1.pem"));
    for (const name of ["node-1.shop.flaredb", "db1.example"]) {
      assert.equal(certificateHasName(made.raw, name), true, name);
    }
    for (const address of ["10.0.0.1", "::1"]) assert.notEqual(made.checkIP(address), undefined);
  }));

test("keys can be read by their owner alone", () =>
  withFolder(async (folder) => {
    await cert(folder, "ca");
    await cert(folder, "client");
    for (const name of ["ca.key", "client.key"]) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
  }));

test("cert never overwrites a file", () =>
  withFolder(async (folder) => {
    await cert(folder, "ca");
    const key = read(folder, "ca.key");
    const again = await cert(folder, "ca");
    assert.equal(again.code, 1);
    assert.match(again.errors, /ca\.key exists already: it is not overwritten/);
    assert.equal(read(folder, "ca.key"), key);
    writeFileSync(join(folder, "node-1.pem"), "precious");
    const node = await cert(folder, "node", "--id", "1", "--cluster-id", "shop");
    assert.equal(node.code, 1);
    assert.match(node.errors, /node-1\.pem exists already/);
    assert.equal(read(folder, "node-1.pem"), "precious");
    assert.equal(existsSync(join(folder, "node-1.key")), false);
  }));

test("cert says what is missing or wrong", () =>
  withFolder(async (folder) => {
    const fails = async (code: number, pattern: RegExp, ...args: string[]): Promise<void> => {
      const ran = await cert(folder, ...args);
      assert.equal(ran.code, code, ran.errors);
      assert.match(ran.errors, pattern);
    };
    await fails(1, /cannot read the authority: .*`flaredb cert ca` makes one/, "client");
    await cert(folder, "ca");
    await fails(2, /must be ca, node or client: it is "server"/, "server");
    await fails(2, /--id is required/, "node", "--cluster-id", "shop");
    await fails(2, /--cluster-id is required/, "node", "--id", "1");
    await fails(2, /takes no --hosts/, "client", "--hosts", "a");
    await fails(2, /--days must be an integer from 1 to 36500/, "client", "--days", "0");
    await fails(2, /--name must be/, "client", "--name", "../x");
    await fails(2, /not ca/, "client", "--name", "ca");
    await fails(1, /cluster's id must be letters/, "node", "--id", "1", "--cluster-id", "a b");
    const hosts = ["--hosts", "a b"];
    await fails(1, /must be a DNS name/, "node", "--id", "1", "--cluster-id", "a", ...hosts);
    writeFileSync(join(folder, "ca.key"), "broken");
    await fails(1, /authority must be a certificate and an ECDSA P-256 key/, "client");
    assert.deepEqual(readdirSync(folder).sort(), ["ca.key", "ca.pem"]);
  }));
