import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  CertificateFiles,
  EtcdClient,
  type EtcdClientTls,
  type EtcdError,
} from "../../src/etcd/mod.ts";
import { issue, newAuthority, trusting, withFolder, yesterday } from "../tls/support.ts";
import { until } from "../transport/support.ts";
import { withServer } from "./support.ts";

/** An authority, and the certificates of a server on this machine and of a client. */
async function makeCertificates() {
  const authority = await newAuthority();
  const server = await issue(authority, ["localhost"], { ipAddresses: ["127.0.0.1"] });
  const client = await issue(authority, ["client"]);
  return { authority, ca: authority.keyPair.certificate, server, client };
}

/** Writes a key with a client of its own: `"OK"`, or the code of the error. */
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

test("over TLS a client that trusts the authority is served, by address and by name", async () => {
  const { ca, server } = await makeCertificates();
  await withServer(async ({ address }) => {
    const port = address.slice(address.lastIndexOf(":"));
    assert.equal(await put(address, { ca }), "OK");
    assert.equal(await put(`https://${address}`, { ca }), "OK");
    assert.equal(await put(`localhost${port}`, { ca }), "OK");
    assert.equal(await put(address, { ca, serverName: "localhost" }), "OK");
    assert.equal(await put(address, { ca, serverName: "127.0.0.1" }), "OK");
    assert.equal(await put(address, { ca, serverName: "127.0.0.2" }), "UNAVAILABLE");
    assert.equal(await put(address, { ca, serverName: "elsewhere" }), "UNAVAILABLE");
    assert.equal(await put(`https://${address}`, undefined), "UNAVAILABLE");
    assert.equal(await put(address, undefined), "UNAVAILABLE");
    assert.equal(await put(`http://${address}`, { ca }), "UNAVAILABLE");
  }, { tls: { certificates: server } });
});

test("a client refuses a server of another authority, of another address, or with an expired certificate", async () => {
  const { authority, ca, server } = await makeCertificates();
  const other = await newAuthority();
  const local = { ipAddresses: ["127.0.0.1"] };
  const refused = [
    await issue(other, ["localhost"], local),
    await issue(authority, ["localhost"], { ipAddresses: ["127.0.0.2"] }),
    await issue(authority, ["localhost"], { ...local, ...yesterday() }),
  ];
  for (const certificates of refused) {
    await withServer(async ({ address }) => {
      assert.equal(await put(address, { ca }), "UNAVAILABLE");
    }, { tls: { certificates } });
  }
  await withServer(async ({ address }) => {
    assert.equal(await put(address, { ca }), "OK");
  }, { tls: { certificates: server } });
});

test("a server that asks for client certificates serves only valid ones of its authority", async () => {
  const { authority, ca, server, client } = await makeCertificates();
  const other = await newAuthority();
  const certificates = trusting(authority, server);
  await withServer(async ({ address }) => {
    assert.equal(await put(address, { ca, ...client }), "OK");
    assert.equal(await put(address, { ca }), "UNAVAILABLE");
    const refused = [
      await issue(other, ["client"]),
      await issue(authority, ["client"], yesterday()),
    ];
    for (const pair of refused) assert.equal(await put(address, { ca, ...pair }), "UNAVAILABLE");
    assert.equal(await put(address, { ca, ...client }), "OK");
  }, { tls: { certificates, clientCertificates: "required" } });
});

test("a server uses certificates that replace its files", () =>
  withFolder(async (folder) => {
    const { authority, ca, server } = await makeCertificates();
    const paths = { certificate: join(folder, "c.pem"), privateKey: join(folder, "k.pem") };
    const write = (pair: typeof server) => {
      writeFileSync(paths.certificate, pair.certificate);
      writeFileSync(paths.privateKey, pair.privateKey);
    };
    write(server);
    const certificates = new CertificateFiles({ ...paths, pollMs: 10 });
    let changes = 0;
    certificates.subscribe(() => changes++);
    try {
      await withServer(async ({ address }) => {
        assert.equal(await put(address, { ca }), "OK");
        assert.equal(await put(address, { ca, serverName: "renewed" }), "UNAVAILABLE");
        write(await issue(authority, ["renewed"]));
        await until("the change", () => changes === 1);
        assert.equal(await put(address, { ca, serverName: "renewed" }), "OK");
        assert.equal(await put(address, { ca }), "UNAVAILABLE");
      }, { tls: { certificates } });
    } finally {
      certificates.close();
    }
  }));
