/** The commands of the README for three machines, run as they stand there, but on this machine. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { readSource } from "../../scripts/project_files.ts";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { type Sandbox, type TestProcess, until, withSandbox } from "../process/support.ts";

const NODES = [1, 2, 3];

/** The arguments of each `flaredb` command in the block that starts with `flaredb cert ca`. */
function commands(): string[][] {
  const [, block] = /```sh\n(flaredb cert ca[^]*?)```/.exec(readSource("README.md"))!;
  const lines = block!.replaceAll("\\\n", " ").split("\n").map((line) => line.replace(/ # .*/, ""));
  const words = lines.filter((line) => line !== "").map((line) => line.trim().split(/\s+/));
  assert.deepEqual(words.map(([program]) => program), ["flaredb", "flaredb", "flaredb", "flaredb"]);
  return words.map(([, ...args]) => args);
}

/** The three machines are this one, and the folders in the sandbox. */
class OneMachine {
  readonly #sandbox: Sandbox;
  readonly #ports: readonly number[];

  constructor(sandbox: Sandbox, ports: readonly number[]) {
    this.#sandbox = sandbox;
    this.#ports = ports;
  }

  /** The arguments of node 1 in the README, for a node here. */
  argumentsFor(id: number, args: readonly string[]): string[] {
    const own = args.map((arg, at) => args[at - 1] === "--id" ? `${id}` : arg);
    return own.map((arg) =>
      arg.replace(/10\.0\.0\.(\d):23(79|80)/g, (_, node, kind) => this.#address(+node, kind))
        .replaceAll("10.0.0.1", "127.0.0.1").replaceAll("node-1.", `node-${id}.`)
        .replace(/^certs/, join(this.#sandbox.folder, "certs"))
        .replace("/var/lib/flaredb", join(this.#sandbox.folder, `node-${id}`))
    );
  }

  #address(node: number, kind: string): string {
    return `127.0.0.1:${this.#ports[2 * (node - 1) + (kind === "79" ? 0 : 1)]}`;
  }
}

test("the commands of the README make a cluster of three with certificates, and write to it", {
  timeout: 180_000,
}, () =>
  withSandbox(async (sandbox) => {
    const [authority, certificate, start, put] = commands();
    const machine = new OneMachine(sandbox, await reservePorts(2 * NODES.length));
    const run = async (id: number, args: readonly string[]) => {
      const { code, stdout, stderr } = await sandbox.run(machine.argumentsFor(id, args));
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    await run(1, authority!);
    for (const id of NODES) await run(id, certificate!);
    const nodes = NODES.map((id): TestProcess => sandbox.flaredb(machine.argumentsFor(id, start!)));
    await until("three nodes that serve", () => {
      for (const node of nodes) assert.ok(node.isRunning, node.transcript());
      return nodes.every(({ standardError }) => standardError.includes("serving clients"));
    });
    const patience = ["--timeout-ms", "30000"];
    assert.match(await run(1, [...put!, ...patience]), /^OK, revision 2$/m);
    for (const node of nodes) node.kill("SIGTERM");
    for (const node of nodes) assert.equal(await node.exitCode(), 0, node.transcript());
  }));
