import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { CertificateAuthority } from "../../src/tls/authority.ts";
import { SourceServerCredentials } from "../../src/tls/grpc_credentials.ts";
import { certificateHasName, checkCertificates, nodeCertificateName } from "../../src/tls/mod.ts";
import { issue, newAuthority, tomorrow, trusting, yesterday } from "./support.ts";

const der = (pem: string): Uint8Array => new X509Certificate(pem).raw;

test("an authority signs certificates that hold names, addresses and dates", async () => {
  const authority = await newAuthority();
  const notAfter = new Date("2061-02-03T04:05:06Z");
  const { certificate } = await issue(authority, ["node-1.shop.flaredb", "localhost"], {
    ipAddresses: ["127.0.0.1", "::1", "fe80::1:2", "2001:db8:0:1:2:3:4:5", "::ffff:1.2.3.4"],
    notAfter,
  });
  const read = new X509Certificate(certificate);
  const own = new X509Certificate(authority.keyPair.certificate);
  assert.equal(read.verify(own.publicKey), true);
  assert.equal(own.ca, true);
  assert.equal(read.ca, false);
  assert.equal(new Date(read.validTo).toJSON(), notAfter.toJSON());
  for (const name of ["node-1.shop.flaredb", "localhost"]) {
    assert.equal(certificateHasName(read.raw, name), true);
  }
  const addresses = ["127.0.0.1", "::1", "fe80::1:2", "2001:db8:0:1:2:3:4:5", "::ffff:102:304"];
  for (const address of addresses) assert.notEqual(read.checkIP(address), undefined, address);
  assert.equal(read.checkIP("127.0.0.2"), undefined);
});

test("an authority that was made before goes on with its key", async () => {
  const made = await newAuthority();
  const opened = await CertificateAuthority.open(made.keyPair);
  const { certificate } = await issue(opened, ["a"]);
  const own = new X509Certificate(made.keyPair.certificate);
  assert.equal(new X509Certificate(certificate).verify(own.publicKey), true);
  const broken = { ...made.keyPair, privateKey: "no key" };
  await assert.rejects(CertificateAuthority.open(broken), { code: "CERTIFICATE" });
});

test("an authority refuses names, addresses and dates that no certificate can hold", async () => {
  const authority = await newAuthority();
  const invalid = { code: "INVALID_CONFIG" };
  await assert.rejects(issue(authority, ["a b"]), invalid);
  await assert.rejects(issue(authority, ["a, DNS:b"]), invalid);
  await assert.rejects(issue(authority, [], { ipAddresses: ["1.2.3"] }), invalid);
  await assert.rejects(issue(authority, [], { commonName: "" }), invalid);
  await assert.rejects(issue(authority, [], { commonName: "x".repeat(65) }), invalid);
  await assert.rejects(
    issue(authority, [], { notBefore: tomorrow(), notAfter: new Date() }),
    invalid,
  );
  await issue(authority, [], { commonName: "x".repeat(64) });
});

test("a certificate has a name only as an exact alternative name", async () => {
  const authority = await newAuthority();
  const name = nodeCertificateName("Shop", 12);
  assert.equal(name, "node-12.shop.flaredb");
  const exact = await issue(authority, ["other", name]);
  assert.equal(certificateHasName(der(exact.certificate), name), true);
  assert.equal(certificateHasName(der(exact.certificate), "node-1.shop.flaredb"), false);
  const wildcard = await issue(authority, ["*.shop.flaredb"]);
  assert.equal(certificateHasName(der(wildcard.certificate), name), false);
  const commonName = await issue(authority, ["other"], { commonName: name });
  assert.equal(certificateHasName(der(commonName.certificate), name), false);
  const none = await issue(authority, [], { commonName: name });
  assert.equal(certificateHasName(der(none.certificate), name), false);
});

test("a cluster's id must fit into a DNS name to be part of one", () => {
  assert.equal(nodeCertificateName("a.b_c-1", 1), "node-1.a.b_c-1.flaredb");
  assert.equal(nodeCertificateName("x".repeat(63), 1).length, 78);
  for (const id of ["x".repeat(64), "a b", "a..b", ".a", "é", "a/b", "*", "-a", "a,b"]) {
    assert.throws(() => nodeCertificateName(id, 1), { code: "INVALID_CONFIG" }, id);
  }
});

test("certificates are checked before they are used", async () => {
  const authority = await newAuthority();
  const pair = await issue(authority, ["a"]);
  const other = await issue(authority, ["b"]);
  const good = trusting(authority, pair);
  checkCertificates(good);
  checkCertificates({ ...good, ca: new TextEncoder().encode(good.ca as string) });
  checkCertificates(trusting(authority, await issue(authority, ["a"], yesterday())));
  const { certificate, privateKey } = pair;
  const refused = { code: "CERTIFICATE" };
  for (
    const wrong of [
      { privateKey: other.privateKey },
      { privateKey: privateKey.slice(0, -40) },
      { privateKey: "" },
      { certificate: certificate.slice(0, -40) },
      { certificate: certificate + certificate.slice(0, 100) },
      { certificate: "" },
      { ca: certificate.slice(0, 100) },
      { ca: "" },
      { ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" },
    ]
  ) assert.throws(() => checkCertificates({ ...good, ...wrong }), refused, JSON.stringify(wrong));
});

test("a server cannot ask clients for certificates without an authority to check them", async () => {
  const pair = await issue(await newAuthority(), ["a"]);
  new SourceServerCredentials(pair, "none").close();
  assert.throws(() => new SourceServerCredentials(pair, "required"), { code: "CERTIFICATE" });
});
