/**
 * Real processes whose cluster gets other members: dead nodes are replaced while writes go on, with
 * `flaredb` and with etcdctl, and who has no place in the cluster any more says so.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { reservePorts } from "../../scripts/reserved_ports.ts";
import { EtcdClient, EtcdError, type Member } from "../../src/etcd/mod.ts";
import { hasProgram, type Sandbox, type TestProcess, until, withSandbox } from "./support.ts";

const CLUSTER = "shop";
const HOST = "127.0.0.1";

interface RunningNode {
  readonly id: number;
  readonly peer: string;
  readonly client: string;
  readonly data: string;
  process: TestProcess;
}

/** Nodes of one cluster, which come and go. */
class Nodes {
  readonly running = new Map<number, RunningNode>();
  readonly #sandbox: Sandbox;
  readonly #ports: number[];
  /** The folder of the certificates, when the nodes speak TLS. */
  readonly #certificates: string | undefined;

  private constructor(sandbox: Sandbox, ports: number[], certificates: string | undefined) {
    this.#sandbox = sandbox;
    this.#ports = ports;
    this.#certificates = certificates;
  }

  /** Starts the first members, with ids from 1. @param certificates a folder, to speak TLS. */
  static async start(sandbox: Sandbox, count: number, certificates?: string): Promise<Nodes> {
    const nodes = new Nodes(sandbox, await reservePorts(2 * count + 12), certificates);
    const first = Array.from({ length: count }, (_, at) => nodes.place(at + 1));
    const members = listOf(first);
    for (const place of first) nodes.run(place, ["--members", members]);
    await nodes.votersAre(first.map(({ id }) => id));
    return nodes;
  }

  /** A place for a node that is not there yet. */
  place(id: number): Omit<RunningNode, "process"> {
    const [peer, client] = this.#ports.splice(0, 2).map((port) => `${HOST}:${port}`);
    return { id, peer, client, data: join(this.#sandbox.folder, `node-${id}`) };
  }

  /** Starts a node. */
  run(place: Omit<RunningNode, "process">, options: readonly string[]): RunningNode {
    const { id, peer, client, data } = place;
    const started = this.#sandbox.flaredb([
      "start",
      ...["--id", `${id}`, "--cluster-id", CLUSTER, "--data", data],
      ...["--peer-listen", peer, "--client-listen", client, "--tick-ms", "50"],
      ...this.#certificates === undefined ? [] : tlsOptions(this.#certificates, id),
      ...options,
    ]);
    const node = { ...place, process: started };
    this.running.set(id, node);
    return node;
  }

  /** Starts a node that was added. */
  join(place: Omit<RunningNode, "process">, options: readonly string[] = []): RunningNode {
    const members = listOf([...this.running.values()]);
    return this.run(place, ["--join", "--members", members, ...options]);
  }

  /** Kills a node, as a power cut would, and takes its disk away. */
  async lose(id: number): Promise<void> {
    const node = this.running.get(id)!;
    this.running.delete(id);
    node.process.kill("SIGKILL");
    await node.process.exitCode();
    rmSync(node.data, { recursive: true });
  }

  /** Kills a node that may keep its disk. */
  async kill(id: number): Promise<RunningNode> {
    const node = this.running.get(id)!;
    this.running.delete(id);
    node.process.kill("SIGKILL");
    await node.process.exitCode();
    return node;
  }

  /** The places where clients are served now. */
  get endpoints(): string[] {
    return [...this.running.values()].map(({ client }) => client);
  }

  /** Runs `flaredb member` against all nodes that run; it must succeed. */
  async member(...args: string[]): Promise<Record<string, unknown>> {
    const endpoints = this.endpoints.join(",");
    const ca = this.#ca();
    const tls = ca === undefined ? [] : ["--cacert", ca];
    const all = ["member", ...args, "--endpoints", endpoints, "--json", ...tls];
    const { code, stdout, stderr } = await this.#sandbox.run(all);
    assert.equal(code, 0, `${all.join(" ")}: ${stderr}\n${this.transcripts()}`);
    return JSON.parse(stdout);
  }

  /** What a member that runs says who the members are. */
  async members(endpoints: readonly string[] = this.endpoints): Promise<readonly Member[]> {
    const list = async (client: EtcdClient) => (await client.memberList()).members;
    return await withClient(endpoints, list, this.#ca());
  }

  #ca(): string | undefined {
    return this.#certificates && join(this.#certificates, "ca.pem");
  }

  /** Waits until these vote, and nobody else. */
  async votersAre(ids: readonly number[]): Promise<void> {
    const expected = ids.join(" ");
    let found = "";
    await until(`the voters ${expected}`, async () => {
      try {
        const members = await this.members();
        found = members.filter(({ isLearner }) => !isLearner).map(({ id }) => id).join(" ");
        return found === expected;
      } catch (error) {
        if (error instanceof EtcdError) return false;
        throw error;
      }
    }, 120_000).catch((error) => {
      throw new Error(`${error.message}: found ${found}\n${this.transcripts()}`);
    });
  }

  /** The node that leads. */
  async leader(): Promise<number> {
    return await until("a leader", async () => {
      try {
        const { leader } = await withClient(this.endpoints, (client) => client.status());
        return this.running.has(Number(leader)) && Number(leader);
      } catch {
        return false;
      }
    });
  }

  transcripts(): string {
    return [...this.running.values()].map(({ process }) => process.transcript()).join("\n");
  }
}

function listOf(nodes: readonly Omit<RunningNode, "process">[]): string {
  return nodes.map(({ id, peer, client }) => `${id}=${peer}/${client}`).join(",");
}

async function withClient<T>(
  endpoints: readonly string[],
  call: (client: EtcdClient) => Promise<T>,
  ca?: string,
): Promise<T> {
  const tls = ca === undefined ? {} : { tls: { ca: readFileSync(ca) } };
  const client = new EtcdClient({ endpoints, deadlineMs: 10_000, ...tls });
  try {
    return await call(client);
  } finally {
    client.close();
  }
}

/** The options of a node that shows the certificate of `id`. */
function tlsOptions(certificates: string, id: number): string[] {
  const [ca, own, key] = ["ca.pem", `node-${id}.pem`, `node-${id}.key`]
    .map((name) => join(certificates, name));
  return [
    ...["--peer-trusted-ca-file", ca, "--peer-cert-file", own, "--peer-key-file", key],
    ...["--cert-file", own, "--key-file", key],
  ];
}

/** Writes keys one after another, whoever serves, and notes which were acknowledged. */
class Writer {
  readonly acknowledged: string[] = [];
  readonly #nodes: Nodes;
  #stopped = false;
  readonly #ended: Promise<void>;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
    this.#ended = this.#write();
  }

  async #write(): Promise<void> {
    for (let number = 0; !this.#stopped;) {
      await withClient(this.#nodes.endpoints, async (client) => {
        // The nodes may be others by the time that these are written.
        for (let times = 0; times < 20 && !this.#stopped; times++) {
          const key = `key-${number++}`;
          await client.put(key, `value of ${key}`);
          this.acknowledged.push(key);
        }
      }).catch((error) => {
        if (!(error instanceof EtcdError)) throw error;
      });
    }
  }

  /** Waits until so many more were acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    await until(`${goal} acknowledged keys`, () => this.acknowledged.length >= goal);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }
}

async function assertHolds(node: RunningNode, keys: readonly string[]): Promise<void> {
  await withClient([node.client], async (client) => {
    const { kvs } = await client.get("key-", { prefix: true });
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    const found = new Map(kvs.map(({ key, value }) => [text(key), text(value)]));
    const lost = keys.filter((key) => found.get(key) !== `value of ${key}`);
    assert.deepEqual(lost, [], `node ${node.id}`);
  });
}

test("dead nodes are replaced one after another while writes go on, and nothing acknowledged is lost", () =>
  withSandbox(async (sandbox) => {
    const nodes = await Nodes.start(sandbox, 3);
    const writer = new Writer(nodes);
    await writer.more(100);

    const leader = await nodes.leader();
    const [first] = [1, 2, 3].filter((id) => id !== leader);
    await nodes.lose(first);
    const fourth = nodes.place(4);
    assert.equal((await nodes.member("replace", `${first}`, fourth.peer)).id, "4");
    nodes.join(fourth);
    await nodes.votersAre([1, 2, 3, 4].filter((id) => id !== first));
    await writer.more(100);

    // The leader goes next, and its place is taken in two steps.
    const second = await nodes.leader();
    await nodes.lose(second);
    await nodes.leader();
    await nodes.member("remove", `${second}`);
    const fifth = nodes.place(5);
    assert.equal((await nodes.member("add", fifth.peer)).id, "5");
    nodes.join(fifth);
    const left = [1, 2, 3, 4, 5].filter((id) => id !== first && id !== second);
    await nodes.votersAre(left);
    await writer.more(100);

    // A member that joined starts again with what it has: no list of members, and not to join.
    const again = nodes.running.has(4) ? 4 : 5;
    const { peer, client, data } = await nodes.kill(again);
    nodes.run({ id: again, peer, client, data }, []);
    await writer.more(20);
    await writer.stop();
    assert.deepEqual([...nodes.running.keys()].sort(), left);
    for (const node of nodes.running.values()) {
      await assertHolds(node, writer.acknowledged).catch((error) => {
        throw new Error(`${error.message}\n${nodes.transcripts()}`);
      });
    }
  }));

test("a node that was removed stops by itself, and neither it nor its id comes back", () =>
  withSandbox(async (sandbox) => {
    const nodes = await Nodes.start(sandbox, 3);
    const leader = await nodes.leader();
    const removed = nodes.running.get(leader)!;
    await nodes.member("remove", `${leader}`);
    assert.equal(await removed.process.exitCode(), 4, removed.process.transcript());
    assert.match(removed.process.standardError, /was removed from the cluster "shop"/);
    nodes.running.delete(leader);
    await nodes.votersAre([1, 2, 3].filter((id) => id !== leader));

    const again = nodes.run(removed, []);
    nodes.running.delete(leader);
    assert.equal(await again.process.exitCode(), 4, again.process.transcript());
    assert.match(again.process.standardError, /was removed from the cluster "shop"/);

    rmSync(removed.data, { recursive: true });
    const empty = nodes.join(removed);
    nodes.running.delete(leader);
    assert.equal(await empty.process.exitCode(), 4, empty.process.transcript());
    assert.match(empty.process.standardError, /its id is never used again/);

    // One that was down at its removal finds out from the others.
    const [other] = nodes.running.keys();
    const added = nodes.place(4);
    await nodes.member("add", added.peer);
    nodes.join(added);
    await nodes.votersAre([...nodes.running.keys()].sort());
    const down = await nodes.kill(other);
    await nodes.member("remove", `${other}`);
    const late = nodes.run(down, ["--members", listOf([down, ...nodes.running.values()])]);
    nodes.running.delete(other);
    assert.equal(await late.process.exitCode(), 4, late.process.transcript());
    assert.match(late.process.standardError, /was removed from the cluster "shop"/);
  }));

test("a voter that lost its data is kept out, and told what to do", () =>
  withSandbox(async (sandbox) => {
    const nodes = await Nodes.start(sandbox, 3);
    const leader = await nodes.leader();
    const [id] = [1, 2, 3].filter((one) => one !== leader);
    const members = listOf([...nodes.running.values()]);
    const place = nodes.running.get(id)!;
    await until("the leader knows that it has the log", async () => {
      const endpoint = nodes.running.get(leader)!.client;
      return await withClient([endpoint], (client) => client.put("a", "1"));
    });
    await nodes.lose(id);
    for (const options of [["--members", members], ["--join", "--members", members]]) {
      const { process } = nodes.run(place, options);
      nodes.running.delete(id);
      assert.equal(await process.exitCode(), 4, process.transcript());
      assert.match(process.standardError, /its data is not in .*flaredb member replace/);
      rmSync(place.data, { recursive: true, force: true });
    }
    await withClient(nodes.endpoints, (client) => client.put("b", "2"));
  }));

test("a node that is started in the wrong way says which way is right", () =>
  withSandbox(async (sandbox) => {
    const nodes = await Nodes.start(sandbox, 1);
    const members = listOf([...nodes.running.values()]);
    const stranger = nodes.place(2);
    const outcome = async (options: readonly string[]) => {
      const { process } = nodes.run(stranger, options);
      nodes.running.delete(2);
      return [await process.exitCode(), process.standardError] as const;
    };
    const both = listOf([...nodes.running.values(), stranger]);
    const [notAdded, why] = await outcome(["--join", "--members", members]);
    assert.deepEqual(
      [notAdded, /is no member of the cluster.*member add/.test(why)],
      [1, true],
      why,
    );
    const [notJoining, text] = await outcome(["--members", both]);
    assert.deepEqual([notJoining, /runs already.*--join/.test(text)], [1, true], text);
    const [noList, usage] = await outcome([]);
    assert.deepEqual([noList, /--members is required/.test(usage)], [2, true], usage);

    await nodes.member("add", stranger.peer);
    nodes.join(stranger);
    await nodes.votersAre([1, 2]);
  }));

test("over TLS whoever joins must show the certificate of its own id, of the cluster's authority", () =>
  withSandbox(async (sandbox) => {
    const certificates = join(sandbox.folder, "certificates");
    const strange = join(sandbox.folder, "strange");
    for (const folder of [certificates, strange]) {
      mkdirSync(folder);
      const dir = ["--dir", folder];
      assert.equal((await sandbox.run(["cert", "ca", ...dir])).code, 0);
      for (const id of ["1", "2"]) {
        const node = ["cert", "node", "--id", id, "--cluster-id", CLUSTER, ...dir];
        assert.equal((await sandbox.run(node)).code, 0);
      }
    }
    const nodes = await Nodes.start(sandbox, 1, certificates);
    const ca = join(certificates, "ca.pem");
    const second = nodes.place(2);
    const plain = await withClient(
      nodes.endpoints,
      (client) => client.memberAdd(`http://${second.peer}`).catch((error) => error),
      ca,
    );
    assert.match(plain.reason, /given member URLs are invalid: .* speak https/);
    const add = [
      "member",
      "add",
      second.peer,
      "--learner",
      "--endpoints",
      nodes.endpoints.join(","),
    ];
    const added = await sandbox.run([...add, "--cacert", ca]);
    assert.match(
      added.stdout,
      /start --join --id 2 [^]* --peer-key-file node-2.key[^]* --key-file/,
    );

    // The certificate of another node is refused by the node itself, which knows its name.
    const own = (name: string): string => join(certificates, name);
    cpSync(own("node-2.pem"), own("kept.pem"));
    cpSync(own("node-2.key"), own("kept.key"));
    cpSync(own("node-1.pem"), own("node-2.pem"));
    cpSync(own("node-1.key"), own("node-2.key"));
    const misnamed = nodes.join(second).process;
    nodes.running.delete(2);
    assert.equal(await misnamed.exitCode(), 1, misnamed.transcript());
    assert.match(misnamed.standardError, /must carry the name node-2\.shop\.flaredb/);

    // One of another authority is refused by the others: it waits, and they go on.
    for (const name of ["node-2.pem", "node-2.key"]) cpSync(join(strange, name), own(name));
    rmSync(second.data, { recursive: true, force: true });
    const stranger = nodes.join(second).process;
    nodes.running.delete(2);
    await until("it finds nobody", () => /joins, but none/.test(stranger.standardError));
    const members = await nodes.members();
    assert.deepEqual(members.map(({ id, clientUrls }) => [id, clientUrls.length]), [[1n, 1], [
      2n,
      0,
    ]]);
    stranger.kill("SIGTERM");
    assert.equal(await stranger.exitCode(), 0, stranger.transcript());

    cpSync(own("kept.pem"), own("node-2.pem"));
    cpSync(own("kept.key"), own("node-2.key"));
    rmSync(second.data, { recursive: true, force: true });
    nodes.join(second);
    await until("its promotion", async () => {
      const endpoints = ["--endpoints", nodes.endpoints.join(","), "--cacert", ca];
      return (await sandbox.run(["member", "promote", "2", ...endpoints])).code === 0;
    });
    await nodes.votersAre([1, 2]);
  }));

const skip = hasProgram("etcdctl") ? false : "etcdctl is not installed";

test(
  "etcdctl adds, lists, promotes, updates and removes members at any endpoint",
  { skip },
  () =>
    withSandbox(async (sandbox) => {
      const nodes = await Nodes.start(sandbox, 3);
      const leader = await nodes.leader();
      const follower = [...nodes.running.values()].find(({ id }) => id !== leader)!;
      const etcdctl = async (...args: string[]) =>
        await sandbox.runProgram("env", [
          "ETCDCTL_API=3",
          "etcdctl",
          `--endpoints=${follower.client}`,
          "member",
          ...args,
        ]);
      const succeed = async (...args: string[]): Promise<string> => {
        const { code, stdout, stderr } = await etcdctl(...args);
        assert.equal(code, 0, `${args.join(" ")}: ${stderr}\n${nodes.transcripts()}`);
        return stdout;
      };
      const refused = async (reason: string, ...args: string[]): Promise<void> => {
        const { code, stderr } = await etcdctl(...args);
        assert.notEqual(code, 0, args.join(" "));
        assert.match(stderr, new RegExp(reason), args.join(" "));
      };

      const fourth = nodes.place(4);
      const added = await succeed(
        "add",
        "fourth",
        "--learner",
        `--peer-urls=http://${fourth.peer}`,
      );
      assert.match(added, /Member +4 added to cluster/);
      assert.match(added, new RegExp(`fourth=http://${fourth.peer}`));
      assert.match(
        await succeed("list"),
        new RegExp(`^4, unstarted, , http://${fourth.peer}, , true$`, "m"),
      );
      await refused("Peer URLs already exists", "add", "x", `--peer-urls=http://${fourth.peer}`);
      await refused("given member URLs are invalid", "add", "x", `--peer-urls=https://${HOST}:1`);
      await refused("which is in sync with leader", "promote", "4");
      await refused("can only promote a learner member", "promote", "1");
      await refused("member not found", "promote", "9");
      await refused("member not found", "remove", "9");

      nodes.join(fourth);
      await until("its promotion", async () => (await etcdctl("promote", "4")).code === 0);
      await nodes.votersAre([1, 2, 3, 4]);
      await until("its client's address", async () =>
        (await succeed("list")).includes(
          `4, started, node-4, http://${fourth.peer}, http://${fourth.client}, false`,
        ));

      const moved = nodes.place(4);
      assert.match(await succeed("update", "4", `--peer-urls=http://${moved.peer}`), /updated/);
      const { data } = await nodes.kill(4);
      nodes.run({ ...moved, data, client: fourth.client }, []);
      await until("the fourth serves from its new address", async () => {
        try {
          return await withClient([fourth.client], (client) => client.get("a"));
        } catch (error) {
          if (error instanceof EtcdError) return false;
          throw error;
        }
      });

      assert.match(await succeed("remove", `${leader}`), /removed from cluster/);
      assert.equal(await nodes.running.get(leader)!.process.exitCode(), 4);
      nodes.running.delete(leader);
      await nodes.votersAre([1, 2, 3, 4].filter((id) => id !== leader));
    }),
);
