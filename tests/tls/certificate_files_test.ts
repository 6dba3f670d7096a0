import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CertificateFiles } from "../../src/tls/mod.ts";
import { Lines, until } from "../transport/support.ts";
import { issue, newAuthority, withFolder } from "./support.ts";

interface Watched {
  readonly files: CertificateFiles;
  readonly log: Lines;
  readonly paths: {
    readonly ca: string;
    readonly certificate: string;
    readonly privateKey: string;
  };
  /** How often it told of a change. */
  changes(): number;
  write(what: Partial<Record<"ca" | "certificate" | "privateKey", string>>): void;
}

/** Runs a test with watched files of a first certificate, and a second one to replace it. */
async function withFiles(
  run: (watched: Watched, first: Pair, second: Pair) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const paths = {
      ca: join(folder, "ca.pem"),
      certificate: join(folder, "node.pem"),
      privateKey: join(folder, "node.key"),
    };
    const authority = await newAuthority();
    const first = await issue(authority, ["first"]);
    const second = await issue(authority, ["second"]);
    const write: Watched["write"] = (what) => {
      for (const [name, text] of Object.entries(what)) {
        writeFileSync(paths[name as keyof typeof paths], text);
      }
    };
    write({ ca: authority.keyPair.certificate, ...first });
    const log = new Lines();
    const files = new CertificateFiles({ ...paths, pollMs: 10, logger: log });
    let changes = 0;
    files.subscribe(() => changes++);
    try {
      await run({ files, log, paths, changes: () => changes, write }, first, second);
    } finally {
      files.close();
    }
  });
}

interface Pair {
  readonly certificate: string;
  readonly privateKey: string;
}

const text = (pem: string | Uint8Array): string => new TextDecoder().decode(pem as Uint8Array);

test("certificates in files are read again when they change", () =>
  withFiles(async ({ files, log, changes, write }, first, second) => {
    assert.equal(text(files.current().certificate), first.certificate);
    write(second);
    await until("the change", () => changes() === 1);
    assert.equal(text(files.current().certificate), second.certificate);
    assert.equal(text(files.current().privateKey), second.privateKey);
    assert.match(log.infos.join("\n"), /Using the new certificates of .*node\.pem/);
  }));

test("while files do not fit together the old certificates stay, with one line in the log", () =>
  withFiles(async ({ files, log, changes, write }, first, second) => {
    write({ certificate: second.certificate });
    await until("the warning", () => log.warnings.length === 1);
    assert.match(log.warnings[0], /Keeping the old certificates: .*key.* that of the certificate/);
    assert.equal(text(files.current().certificate), first.certificate);
    write({ privateKey: second.privateKey.slice(0, 60) });
    await until("another warning", () => log.warnings.length === 2);
    assert.match(log.warnings[1], /private key cannot be read/);
    write({ privateKey: second.privateKey });
    await until("the change", () => changes() === 1);
    assert.equal(text(files.current().certificate), second.certificate);
    assert.equal(log.warnings.length, 2);
  }));

test("while a file is missing the old certificates stay", () =>
  withFiles(async ({ files, log, paths, changes, write }, first, second) => {
    rmSync(paths.ca);
    await until("the warning", () => log.warnings.length === 1);
    assert.match(log.warnings[0], /Cannot read .*ca\.pem/);
    assert.equal(text(files.current().certificate), first.certificate);
    write({ ...second, ca: second.certificate });
    await until("the change", () => changes() === 1);
  }));

test("files that are wrong from the beginning are refused by name", () =>
  withFiles(async ({ paths, write }, first, second) => {
    write({ certificate: second.certificate });
    assert.throws(() => new CertificateFiles(paths), { code: "CERTIFICATE", message: /node\.key/ });
    write({ certificate: "x".repeat(1024 * 1024 + 1) });
    assert.throws(() => new CertificateFiles(paths), {
      code: "CERTIFICATE",
      message: /at most 1048576 bytes: .*node\.pem has 1048577/,
    });
    write({ certificate: first.certificate + "#".repeat(1024 * 1024 - first.certificate.length) });
    new CertificateFiles(paths).close();
    rmSync(paths.privateKey);
    assert.throws(() => new CertificateFiles(paths), { message: /Cannot read .*node\.key/ });
    assert.throws(() => new CertificateFiles({ ...paths, pollMs: 9 }), { code: "INVALID_CONFIG" });
    await Promise.resolve();
  }));
