import assert from "node:assert/strict";
import { test } from "node:test";
import { runCommandLine } from "../../src/cli/command_line.ts";
import { isLoopback } from "../../src/cli/server_tls.ts";
import { FakeTerminal } from "./fake_terminal.ts";

/** Runs `flaredb start`, which must refuse the command line before anything else happens. */
async function refused(pattern: RegExp, ...args: string[]): Promise<void> {
  const terminal = new FakeTerminal();
  const common = ["--id", "1", "--cluster-id", "test", "--data", "/nowhere/at/all"];
  const code = await runCommandLine(["start", ...common, ...args], terminal);
  assert.equal(code, 2, terminal.errors);
  assert.match(terminal.errors, pattern);
}

const LOCAL = "1=127.0.0.1:1/127.0.0.1:2";
const REMOTE = "1=127.0.0.1:1/127.0.0.1:2,2=10.0.0.2:1";
const PEER_TLS = ["--peer-cert-file", "c", "--peer-key-file", "k", "--peer-trusted-ca-file", "a"];

test("plaintext with peers beyond loopback is refused unless it is asked for by name", async () => {
  const peers = /plaintext with peers beyond this machine must be asked for/;
  await refused(peers, "--members", REMOTE);
  await refused(/--peer-listen is 0\.0\.0\.0:1/, "--members", LOCAL, "--peer-listen", "0.0.0.0:1");
  await refused(/--peer-listen is \[::\]:1/, "--members", LOCAL, "--peer-listen", "[::]:1");
  await refused(/--insecure-peer on a network/, "--members", REMOTE, "--insecure-client");
});

test("plaintext with clients beyond loopback is refused unless it is asked for by name", async () => {
  const clients = /plaintext with clients beyond this machine must be asked for/;
  const listen = ["--client-listen", "10.0.0.1:2"];
  await refused(clients, "--members", LOCAL, ...listen);
  await refused(clients, "--members", LOCAL, ...listen, "--insecure-peer");
  await refused(clients, "--members", LOCAL, ...listen, ...PEER_TLS);
});

test("TLS and plaintext exclude each other", async () => {
  const peers = /--insecure-peer and --peer-cert-file exclude each other/;
  await refused(peers, "--members", REMOTE, ...PEER_TLS, "--insecure-peer");
  const clientTls = ["--cert-file", "c", "--key-file", "k"];
  const clients = /--insecure-client and --cert-file exclude each other/;
  await refused(clients, "--members", LOCAL, ...clientTls, "--insecure-client");
});

test("files of certificates must be complete", async () => {
  const local = ["--members", LOCAL];
  await refused(/--peer-cert-file and --peer-key-file/, ...local, "--peer-cert-file", "c");
  await refused(/--peer-trusted-ca-file is required/, ...local, ...PEER_TLS.slice(0, 4));
  await refused(/--cert-file and --key-file/, ...local, "--key-file", "k");
  const client = ["--cert-file", "c", "--key-file", "k"];
  const both = /--client-cert-auth and --trusted-ca-file must be given together/;
  await refused(both, ...local, ...client, "--client-cert-auth");
  await refused(both, ...local, ...client, "--trusted-ca-file", "a");
});

test("loopback is what cannot leave the machine", () => {
  for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) assert.ok(isLoopback(host));
  for (
    const host of ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "127.evil.example", "a.localhost"]
  ) {
    assert.ok(!isLoopback(host), host);
  }
});

test("client commands want a certificate and its key together, in files that can be read", async () => {
  const terminal = new FakeTerminal();
  assert.equal(await runCommandLine(["get", "a", "--cert", "/nowhere"], terminal), 2);
  assert.match(terminal.errors, /--cert and --key must be given together/);
  assert.equal(await runCommandLine(["get", "a", "--cacert", "/nowhere"], terminal), 1);
  assert.match(terminal.errors, /Cannot read \/nowhere/);
});
