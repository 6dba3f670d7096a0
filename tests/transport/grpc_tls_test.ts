import { test } from "node:test";
import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { createMessage } from "../../src/raft/mod.ts";
import type { CertificateAuthority, KeyPair } from "../../src/tls/authority.ts";
import type { Certificates, CertificateSource } from "../../src/tls/mod.ts";
import { nodeCertificateName } from "../../src/transport/grpc/mod.ts";
import { issue, newAuthority, trusting, yesterday } from "../tls/support.ts";
import { type Started, withTransports } from "./grpc_support.ts";
import { heartbeat, Lines, until } from "./support.ts";

/** The certificate of a node of the cluster "test". */
function nodeCertificate(
  authority: CertificateAuthority,
  nodeId: number,
  dates: Partial<ReturnType<typeof yesterday>> = {},
): Promise<KeyPair> {
  return issue(authority, [nodeCertificateName("test", nodeId)], dates);
}

/** The options of a node with its own certificate. */
async function secured(authority: CertificateAuthority, nodeId: number) {
  return { tls: { certificates: trusting(authority, await nodeCertificate(authority, nodeId)) } };
}

/** Sends a message from `sender` to `receiver` and waits until it is there. */
async function delivers(sender: Started, receiver: Started, toNode: number): Promise<void> {
  const before = receiver.recorder.items.length;
  sender.transport.addNode(toNode, receiver.transport.address());
  sender.transport.send(toNode, [heartbeat(1)]);
  await until("the message", () => receiver.recorder.items.length > before);
}

/** Sends a message from `sender` to `receiver` and waits until that has failed. */
async function fails(sender: Started, receiver: Started, toNode: number): Promise<void> {
  const before = sender.recorder.unreachableNodes.length;
  const received = receiver.recorder.items.length;
  sender.transport.addNode(toNode, receiver.transport.address());
  sender.transport.send(toNode, [heartbeat(1)]);
  await until("the failure", () => sender.recorder.unreachableNodes.length > before);
  assert.equal(receiver.recorder.items.length, received);
}

test("nodes with certificates of their names and one authority exchange messages", () =>
  withTransports(async (start) => {
    const authority = await newAuthority();
    const a = await start(1, await secured(authority, 1));
    const b = await start(2, await secured(authority, 2));
    await delivers(a, b, 2);
    await delivers(b, a, 1);
  }));

test("nodes without a certificate, of another authority or expired are refused on both sides, and others go on", () =>
  withTransports(async (start) => {
    const ours = await newAuthority();
    const theirs = await newAuthority();
    const a = await start(1, await secured(ours, 1));
    const expired = await nodeCertificate(ours, 2, yesterday());
    const wrong = [
      await start(2, { tls: { certificates: trusting(ours, expired) } }),
      await start(2, await secured(theirs, 2)),
      await start(2, {
        tls: {
          certificates: { ...await nodeCertificate(theirs, 2), ca: ours.keyPair.certificate },
        },
      }),
      await start(2),
    ];
    for (const node of wrong) {
      await fails(node, a, 1);
      await fails(a, node, 2);
      a.transport.removeNode(2);
      assert.equal(node.transport.counters().connectionsAccepted, 0);
    }
    assert.equal(a.transport.counters().connectionsAccepted, 0);
    const b = await start(2, await secured(ours, 2));
    await delivers(a, b, 2);
    await delivers(b, a, 1);
  }));

test("who shows no certificate is refused over TLS as well", () =>
  withTransports(async (start) => {
    const authority = await newAuthority();
    const a = await start(1, await secured(authority, 1));
    const ca = Buffer.from(authority.keyPair.certificate);
    const pass = (bytes: Buffer): Buffer => bytes;
    const client = new grpc.Client(a.transport.address(), grpc.credentials.createSsl(ca), {
      "grpc.ssl_target_name_override": nodeCertificateName("test", 1),
      "grpc.use_local_subchannel_pool": 1,
    });
    const call = client.makeBidiStreamRequest("/flaredb.raft.v1.RaftService/Deliver", pass, pass);
    const error = await new Promise<grpc.ServiceError>((resolve) => call.on("error", resolve));
    assert.equal(error.code, grpc.status.UNAVAILABLE);
    client.close();
    assert.equal(a.transport.counters().refusedHandshake, 0);
  }));

test("a node that shows another node's certificate is not sent to", () =>
  withTransports(async (start) => {
    const authority = await newAuthority();
    const logger = new Lines();
    const a = await start(1, { ...await secured(authority, 1), logger });
    const impostor = await start(3, await secured(authority, 3));
    await fails(a, impostor, 2);
    assert.equal(impostor.transport.counters().framesReceived, 0);
    assert.match(logger.warnings.join("\n"), /must carry the name node-2\.test\.flaredb/);
    const b = await start(2, await secured(authority, 2));
    await delivers(a, b, 2);
  }));

test("a node that opens a stream with another node's certificate is refused, and others go on", () =>
  withTransports(async (start) => {
    const authority = await newAuthority();
    const logger = new Lines();
    const a = await start(1, { ...await secured(authority, 1), logger });
    const certificates = trusting(authority, await nodeCertificate(authority, 3));
    // It takes its own certificate for that of node 2.
    const peerName = (nodeId: number) => nodeCertificateName("test", nodeId === 2 ? 3 : nodeId);
    const impostor = await start(2, { tls: { certificates, peerName } });
    await fails(impostor, a, 1);
    const refused = a.transport.counters().refusedCertificate;
    assert.ok(refused > 0);
    const transfer = impostor.transport.sendSnapshot(1, {
      regionId: 1,
      message: createMessage({ type: "snapshot", to: 1, from: 2, term: 1 }),
      chunks: ReadableStream.from([Uint8Array.of(1)]),
    });
    assert.equal((await transfer.done).ok, false);
    assert.ok(a.transport.counters().refusedCertificate > refused);
    assert.equal(a.transport.counters().connectionsAccepted, 0);
    assert.match(
      logger.warnings.join("\n"),
      /node 2 must carry the name node-2\.test\.flaredb: it has DNS:node-3\.test\.flaredb/,
    );
    const b = await start(2, await secured(authority, 2));
    await delivers(b, a, 1);
  }));

test("a node's own certificate must carry its name", async () => {
  const authority = await newAuthority();
  const pair = await nodeCertificate(authority, 3);
  await withTransports(async (start) => {
    const wrongName = start(1, { tls: { certificates: trusting(authority, pair) } });
    await assert.rejects(wrongName, { code: "CERTIFICATE", message: /node-1\.test\.flaredb/ });
    const noAuthority = start(3, { tls: { certificates: pair } });
    await assert.rejects(noAuthority, { code: "CERTIFICATE", message: /authority/ });
    const badName = start(3, {
      tls: { certificates: trusting(authority, pair) },
      clusterId: "no name",
    });
    await assert.rejects(badName, { code: "INVALID_CONFIG" });
  });
});

/** A source that a test changes. */
class ChangingSource implements CertificateSource {
  private certificates: Certificates;
  private readonly listeners = new Set<() => void>();

  constructor(certificates: Certificates) {
    this.certificates = certificates;
  }

  current(): Certificates {
    return this.certificates;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  change(certificates: Certificates): void {
    this.certificates = certificates;
    for (const listener of this.listeners) listener();
  }

  get followers(): number {
    return this.listeners.size;
  }
}

test("changed certificates are used by new connections, and open ones stay", async () => {
  const older = await newAuthority("older");
  const newer = await newAuthority("newer");
  const sourceOf = async (nodeId: number) =>
    new ChangingSource(trusting(older, await nodeCertificate(older, nodeId)));
  const sources = [await sourceOf(1), await sourceOf(2)];
  await withTransports(async (start) => {
    const a = await start(1, { tls: { certificates: sources[0]! } });
    const b = await start(2, { tls: { certificates: sources[1]! } });
    await delivers(a, b, 2);
    await delivers(b, a, 1);
    for (const [index, source] of sources.entries()) {
      source.change(trusting(newer, await nodeCertificate(newer, index + 1)));
    }
    await delivers(a, b, 2);
    await delivers(b, a, 1);
    assert.equal(a.transport.counters().connectionsLost, 0);
    const late = await start(3, await secured(older, 3));
    await fails(late, a, 1);
    await fails(a, late, 3);
    a.transport.removeNode(3);
    const c = await start(3, await secured(newer, 3));
    await delivers(c, a, 1);
    await delivers(a, c, 3);
  });
  assert.deepEqual(sources.map((source) => source.followers), [0, 0]);
});

test("nodes that trust two authorities at once can change from one to the other", () =>
  withTransports(async (start) => {
    const older = await newAuthority("older");
    const newer = await newAuthority("newer");
    const ca = older.keyPair.certificate + newer.keyPair.certificate;
    const both = async (authority: CertificateAuthority, nodeId: number) => ({
      tls: { certificates: { ca, ...await nodeCertificate(authority, nodeId) } },
    });
    const a = await start(1, await both(older, 1));
    const b = await start(2, await both(newer, 2));
    await delivers(a, b, 2);
    await delivers(b, a, 1);
  }));
