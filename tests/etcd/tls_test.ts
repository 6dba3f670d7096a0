import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EtcdClient, type EtcdClientTls, type EtcdError } from "../../src/etcd/mod.ts";
import { withServer } from "./support.ts";

const installed = spawnSync("openssl", ["version"]).status === 0;
const skip = installed ? false : "openssl not installed";

interface KeyPair {
  readonly certificate: Uint8Array;
  readonly privateKey: Uint8Array;
}

interface Certificates {
  readonly ca: Uint8Array;
  readonly server: KeyPair;
  readonly client: KeyPair;
}

function makeCertificates(directory: string): Certificates {
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    ...["req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem"],
    ...["-days", "2", "-subj", "/CN=test authority"],
  );
  const issue = (name: string): KeyPair => {
    writeFileSync(join(directory, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1");
    openssl(
      "req",
      ...newKey,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=${name}`,
    );
    openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key"],
      ...["-CAcreateserial", "-days", "2", "-extfile", "names", "-out", `${name}.pem`],
    );
    return {
      certificate: readFileSync(join(directory, `${name}.pem`)),
      privateKey: readFileSync(join(directory, `${name}.key`)),
    };
  };
  const server = issue("server");
  const client = issue("client");
  return { ca: readFileSync(join(directory, "ca.pem")), server, client };
}

async function withCertificates(action: (made: Certificates) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "flaredb-tls-"));
  try {
    await action(makeCertificates(directory));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function put(endpoint: string, tls: EtcdClientTls | undefined): Promise<string> {
  const client = new EtcdClient({ endpoints: [endpoint], ...(tls && { tls }), deadlineMs: 3_000 });
  try {
    await client.put("a", "1", { deadlineMs: 1_000 });
    return "OK";
  } catch (error) {
    return (error as EtcdError).code;
  } finally {
    client.close();
  }
}

test("over TLS a client that trusts the authority is served, by address and by name", {
  skip,
}, () =>
  withCertificates(({ ca, server }) =>
    withServer(async ({ address }) => {
      const port = address.slice(address.lastIndexOf(":"));
      assert.equal(await put(`localhost${port}`, { ca }), "OK");
      assert.equal(await put(`https://localhost${port}`, { ca }), "OK");
      assert.equal(await put(address, { ca, serverName: "localhost" }), "OK");
      assert.equal(await put(`https://${address}`, { ca, serverName: "localhost" }), "OK");
      assert.equal(await put(address, { ca, serverName: "elsewhere" }), "UNAVAILABLE");
      assert.equal(await put(address, undefined), "UNAVAILABLE");
      assert.equal(await put(`http://${address}`, { ca }), "UNAVAILABLE");
    }, { tls: server })
  ));

test("a server that asks for client certificates serves only those of its authority", {
  skip,
}, () =>
  withCertificates(({ ca, server, client }) =>
    withServer(async ({ address }) => {
      const serverName = "localhost";
      assert.equal(await put(address, { ca, serverName, ...client }), "OK");
      assert.equal(await put(address, { ca, serverName }), "UNAVAILABLE");
    }, { tls: { ...server, clientCa: ca } })
  ));

test("an IP address over TLS needs the name to check the certificate against", () => {
  for (const endpoint of ["https://127.0.0.1:1", "https://[::1]:1"]) {
    assert.throws(() => new EtcdClient({ endpoints: [endpoint] }), { code: "INVALID_CONFIG" });
    new EtcdClient({ endpoints: [endpoint], tls: { serverName: "localhost" } }).close();
  }
});
