import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsOptions } from "../../src/transport/grpc/mod.ts";
import { withTransports } from "./grpc_support.ts";
import { heartbeat, Lines, until } from "./support.ts";

const openssl = hasOpenssl();
const skip = openssl ? false : "openssl is not installed";

test(
  "nodes with certificates of one authority exchange messages",
  { skip },
  () =>
    withAuthorities(({ certificate }) =>
      withTransports(async (start) => {
        const a = await start(1, { tls: certificate("ours", 1) });
        const b = await start(2, { tls: certificate("ours", 2) });
        a.transport.addNode(2, b.transport.address());
        a.transport.send(2, [heartbeat(1)]);
        await until("the message", () => b.recorder.items.length === 1);
      })
    ),
);

test(
  "a certificate of another authority is refused on both sides",
  { skip },
  () =>
    withAuthorities(({ certificate }) =>
      withTransports(async (start) => {
        const ours = await start(1, { tls: certificate("ours", 1) });
        const theirs = await start(2, { tls: certificate("theirs", 2) });
        ours.transport.addNode(2, theirs.transport.address());
        theirs.transport.addNode(1, ours.transport.address());
        ours.transport.send(2, [heartbeat(1)]);
        theirs.transport.send(1, [heartbeat(1)]);
        await until(
          "both failures",
          () =>
            ours.recorder.unreachableNodes.length + theirs.recorder.unreachableNodes.length === 2,
        );
        assert.equal(ours.transport.counters().connectionsAccepted, 0);
        assert.equal(theirs.transport.counters().connectionsAccepted, 0);
      })
    ),
);

test(
  "a node that shows another node's certificate is not sent to",
  { skip },
  () =>
    withAuthorities(({ certificate }) =>
      withTransports(async (start) => {
        const logger = new Lines();
        const a = await start(1, { tls: certificate("ours", 1), logger });
        const impostor = await start(2, { tls: certificate("ours", 3) });
        a.transport.addNode(2, impostor.transport.address());
        a.transport.send(2, [heartbeat(1)]);
        await until("the failure", () => a.recorder.unreachableNodes.length === 1);
        assert.deepEqual(impostor.recorder.items, []);
      })
    ),
);

test(
  "a node without a certificate is refused",
  { skip },
  () =>
    withAuthorities(({ certificate }) =>
      withTransports(async (start) => {
        const plain = await start(1);
        const secure = await start(2, { tls: certificate("ours", 2) });
        plain.transport.addNode(2, secure.transport.address());
        plain.transport.send(2, [heartbeat(1)]);
        await until("the failure", () => plain.recorder.unreachableNodes.length === 1);
        assert.equal(secure.transport.counters().connectionsAccepted, 0);
      })
    ),
);

interface Authorities {
  /** The options of a node with a certificate for `node-<nodeId>` that this authority signed. */
  certificate(authority: "ours" | "theirs", nodeId: number): TlsOptions;
}

async function withAuthorities(run: (authorities: Authorities) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "raft-tls-"));
  const path = (name: string) => join(folder, name);
  const call = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  try {
    for (const name of ["ours", "theirs"]) {
      call(
        "req",
        "-x509",
        ...newKey,
        "-days",
        "2",
        "-subj",
        `/CN=${name}`,
        "-keyout",
        path(`${name}.key`),
        "-out",
        path(`${name}.pem`),
      );
    }
    await run({
      certificate: (authority, nodeId) => {
        const name = `node-${nodeId}`;
        const file = `${authority}-${name}`;
        writeFileSync(path(`${file}.ext`), `subjectAltName=DNS:${name}\n`);
        call(
          "req",
          ...newKey,
          "-subj",
          `/CN=${name}`,
          "-keyout",
          path(`${file}.key`),
          "-out",
          path(`${file}.csr`),
        );
        call(
          "x509",
          "-req",
          "-in",
          path(`${file}.csr`),
          "-CA",
          path(`${authority}.pem`),
          "-CAkey",
          path(`${authority}.key`),
          "-CAcreateserial",
          "-days",
          "2",
          "-extfile",
          path(`${file}.ext`),
          "-out",
          path(`${file}.pem`),
        );
        return {
          ca: readFileSync(path(`${authority}.pem`)),
          cert: readFileSync(path(`${file}.pem`), "utf8"),
          key: readFileSync(path(`${file}.key`)),
          peerName: (peer) => `node-${peer}`,
        };
      },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}
