/** The proxies of the torture's network: they read who speaks to whom, and treat paths one by one. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { held } from "../../scripts/torture/faults.ts";
import { TortureNetwork } from "../../scripts/torture/network.ts";
import { SocketEnd } from "../transport/socket_end.ts";
import { until } from "./support.ts";

/** What `Hello` holds of the cluster and the two nodes, with what comes before it in a frame. */
const greeting = (from: readonly number[], to: readonly number[]): Buffer =>
  Buffer.from([0x0a, 0x12, 0x08, 1, 0x12, 4, ...Buffer.from("test"), 0x18, ...from, 0x20, ...to]);

/** A network with a node that listens, and connections to it through its proxy. */
async function withNetwork(
  body: (network: TortureNetwork, open: () => Promise<[SocketEnd, SocketEnd]>) => Promise<void>,
): Promise<void> {
  const accepted: SocketEnd[] = [];
  const opened: SocketEnd[] = [];
  const server = createServer((socket) => accepted.push(new SocketEnd(socket)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const network = new TortureNetwork("test");
  const port = await network.listen({ port: (server.address() as { port: number }).port });
  try {
    await body(network, async () => {
      const near = new SocketEnd(connect(port, "127.0.0.1"));
      opened.push(near);
      const count = accepted.length;
      const far = await until("the connection arrives", () => accepted[count]);
      return [near, far];
    });
  } finally {
    for (const { socket } of [...opened, ...accepted]) socket.destroy();
    await network.close();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("what two nodes send each other is held by the path it is on, from the greeting on", () =>
  withNetwork(async (network, open) => {
    const heal = network.apply([held(1, 2)]);
    const [near, far] = await open();
    near.socket.write("preface");
    await until("what comes before the greeting", () => far.text === "preface");
    near.socket.write(greeting([1], [2]));
    const [other, otherFar] = await open();
    other.socket.write(greeting([3], [2]));
    await until("the greeting of another node", () => otherFar.text.length > 0);
    far.socket.write("answer");
    await until("the path back is open", () => near.text === "answer");
    assert.equal(far.text, "preface");
    heal();
    await until("the greeting", () => far.text.length === "preface".length + 14);
  }));

test("connections between two nodes are cut, and those of others stay, whatever their ids", () =>
  withNetwork(async (network, open) => {
    const [near, far] = await open();
    near.socket.write(greeting([0xac, 0x02], [2]));
    const [other, otherFar] = await open();
    other.socket.write(greeting([3], [2]));
    await until("both greetings", () => far.text !== "" && otherFar.text !== "");
    network.cut(2, 300);
    await until("both ends are closed", () => near.isClosed && far.isClosed);
    other.socket.write("more");
    await until("the other connection lives", () => otherFar.text.endsWith("more"));
    assert.equal(other.isClosed, false);
  }));

test("a connection that ends before its greeting ends on both sides", () =>
  withNetwork(async (_network, open) => {
    const [near, far] = await open();
    near.socket.write("preface");
    await until("the preface", () => far.text === "preface");
    near.socket.destroy();
    await until("the end", () => far.isClosed);
  }));
