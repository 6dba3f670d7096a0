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
async function put(
  endpoint: string,
  tls: EtcdClientTls | undefined,
  deadlineMs: number,
): Promise<string> {
  const client = new EtcdClient({ endpoints: [endpoint], ...(tls && { tls }) });
  try {
    await client.put("a", "1", { deadlineMs });
    return "OK";
  } catch (error) {
    return (error as EtcdError).code;
  } finally {
    client.close();
  }
}

/** Fails unless a client with these certificates is served. */
async function served(endpoint: string, tls: EtcdClientTls | undefined): Promise<void> {
  assert.equal(await put(endpoint, tls, 20_000), "OK");
}

/** Fails unless a client with these certificates gets no connection. */
async function refused(endpoint: string, tls: EtcdClientTls | undefined): Promise<void> {
  assert.match(await put(endpoint, tls, 1_000), /^(UNAVAILABLE|DEADLINE_EXCEEDED)$/);
}

test("over TLS a client that trusts the authority is served, by address and by name", async () => {
  const { ca, server } = await makeCertificates();
  await withServer(async ({ address }) => {
    const port = address.slice(address.lastIndexOf(":"));
    await served(address, { ca });
    await served(`https://${address}`, { ca });
    await served(`localhost${port}`, { ca });
    await served(address, { ca, serverName: "localhost" });
    await served(address, { ca, serverName: "127.0.0.1" });
    await refused(address, { ca, serverName: "127.0.0.2" });
    await refused(address, { ca, serverName: "elsewhere" });
    await refused(`https://${address}`, undefined);
    await refused(address, undefined);
    await refused(`http://${address}`, { ca });
  }, { tls: { certificates: server } });
});

test("a client refuses a server of another authority, of another address, or with an expired certificate", async () => {
  const { authority, ca, server } = await makeCertificates();
  const other = await newAuthority();
  const local = { ipAddresses: ["127.0.0.1"] };
  const wrong = [
    await issue(other, ["localhost"], local),
    await issue(authority, ["localhost"], { ipAddresses: ["127.0.0.2"] }),
    await issue(authority, ["localhost"], { ...local, ...yesterday() }),
  ];
  for (const certificates of wrong) {
    await withServer(async ({ address }) => {
      await refused(address, { ca });
    }, { tls: { certificates } });
  }
  await withServer(async ({ address }) => {
    await served(address, { ca });
  }, { tls: { certificates: server } });
});

test("a server that asks for client certificates serves only valid ones of its authority", async () => {
  const { authority, ca, server, client } = await makeCertificates();
  const other = await newAuthority();
  const certificates = trusting(authority, server);
  await withServer(async ({ address }) => {
    await served(address, { ca, ...client });
    await refused(address, { ca });
    const wrong = [
      await issue(other, ["client"]),
      await issue(authority, ["client"], yesterday()),
    ];
    for (const pair of wrong) await refused(address, { ca, ...pair });
    await served(address, { ca, ...client });
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
        await served(address, { ca });
        await refused(address, { ca, serverName: "renewed" });
        write(await issue(authority, ["renewed"]));
        await until("the change", () => changes === 1);
        await served(address, { ca, serverName: "renewed" });
        await refused(address, { ca });
      }, { tls: { certificates } });
    } finally {
      certificates.close();
    }
  }));
