import { test } from "node:test";
import assert from "node:assert/strict";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { transportContract } from "./contract.ts";
import { heartbeat, Recorder, snapshot } from "./support.ts";

transportContract("in memory", (limits) => {
  const network = new MemoryNetwork(limits);
  return {
    make: (nodeId) => network.transport(nodeId),
    address: () => "anywhere:1",
    deadAddress: "nowhere:1",
  };
});

interface Pair {
  readonly network: MemoryNetwork;
  readonly send: (commit: number, from?: number, to?: number) => void;
  readonly recorders: readonly Recorder[];
}

/** Three nodes that know each other, on a network driven by hand. */
async function threeNodes(): Promise<Pair> {
  const network = new MemoryNetwork({ mode: "manual" });
  const recorders = [new Recorder(), new Recorder(), new Recorder()];
  const transports = [1, 2, 3].map((nodeId) => network.transport(nodeId));
  for (const [i, transport] of transports.entries()) {
    await transport.start(recorders[i]!);
    for (const other of [1, 2, 3]) transport.addNode(other, "anywhere:1");
  }
  const send = (commit: number, from = 1, to = 2) =>
    transports[from - 1]!.send(to, [heartbeat(commit)]);
  return { network, send, recorders };
}

test("nothing moves on a network driven by hand until it is told to", async () => {
  const { network, send, recorders } = await threeNodes();
  send(1);
  send(2);
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(recorders[1]!.commits, []);
  assert.equal(network.pending, 2);
  assert.equal(network.deliver(), 2);
  assert.deepEqual(recorders[1]!.commits, [1, 2]);
  assert.equal(recorders[1]!.batches.length, 1, "what arrives together is one batch");
  assert.equal(network.deliver(), 0);
});

test("what is sent during a round arrives in a later one", async () => {
  const { network, send, recorders } = await threeNodes();
  recorders[1]!.before = () => {
    if (recorders[1]!.batches.length < 3) send(10, 2, 1);
  };
  recorders[0]!.before = () => send(20, 1, 2);
  send(1);
  assert.equal(network.deliver(), 1);
  assert.deepEqual(recorders[0]!.commits, []);
  assert.ok(network.deliverAll());
  assert.deepEqual(recorders[0]!.commits, [10, 10, 10]);
  assert.deepEqual(recorders[1]!.commits, [1, 20, 20, 20]);
});

test("a fate delays, repeats and loses messages", async () => {
  const { network, send, recorders } = await threeNodes();
  const fates: Record<number, number[]> = { 1: [2], 2: [0, 1], 3: [], 4: [0] };
  network.setFate(({ item }) => fates[item.message.commit]!);
  for (const commit of [1, 2, 3, 4]) send(commit);
  const rounds = [1, 2, 3].map(() => {
    const before = recorders[1]!.commits.length;
    network.deliver();
    return recorders[1]!.commits.slice(before);
  });
  assert.deepEqual(rounds, [[2, 4], [2], [1]]);
});

test("a repeated message shares no memory with its first copy", async () => {
  const { network, recorders } = await threeNodes();
  network.setFate(() => [0, 0]);
  const sender = network.transport(4);
  await sender.start(new Recorder());
  sender.addNode(2, "anywhere:1");
  const sent = snapshot(50);
  sender.send(2, [sent]);
  network.deliverAll();
  const datas = recorders[1]!.items.map(({ message }) => message.snapshot!.data);
  assert.equal(datas.length, 2);
  datas[0]!.fill(0);
  assert.deepEqual(datas[1], sent.message.snapshot!.data);
});

test("a partition loses messages between its groups only, until it is healed", async () => {
  const { network, send, recorders } = await threeNodes();
  network.partition([1], [2, 3]);
  send(1, 1, 2);
  send(2, 3, 1);
  send(3, 3, 2);
  network.deliverAll();
  network.heal();
  send(4, 1, 2);
  network.deliverAll();
  assert.deepEqual(recorders.map((recorder) => recorder.commits), [[], [3, 4], []]);
});

test("a cut loses messages in one direction only", async () => {
  const { network, send, recorders } = await threeNodes();
  network.cut(1, 2);
  send(1, 1, 2);
  send(2, 2, 1);
  network.deliverAll();
  assert.deepEqual(recorders.map((recorder) => recorder.commits), [[2], [], []]);
});

test("the same calls deliver the same messages in the same order", async () => {
  const run = async () => {
    const { network, send, recorders } = await threeNodes();
    let state = 7;
    network.setFate(() => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return state % 5 === 0 ? [] : [state % 3, ...(state % 7 === 0 ? [1] : [])];
    });
    for (let i = 0; i < 200; i++) {
      send(i, 1 + i % 3, 1 + (i + 1) % 3);
      if (i % 10 === 0) network.deliver();
    }
    network.deliverAll();
    return recorders.map((recorder) => recorder.commits);
  };
  assert.deepEqual(await run(), await run());
});

test("two transports of one node are not on the network at the same time", async () => {
  const network = new MemoryNetwork();
  const first = network.transport(1);
  await first.start(new Recorder());
  await assert.rejects(network.transport(1).start(new Recorder()), { code: "LISTEN_FAILED" });
  await first.close();
  const second = network.transport(1);
  await second.start(new Recorder());
  await second.close();
});

test("a queue limit that is no integer from 1 is refused", () => {
  for (const queueMessagesMax of [0, 1.5, NaN]) {
    assert.throws(() => new MemoryNetwork({ queueMessagesMax }), { code: "INVALID_CONFIG" });
  }
});
