import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { LoopbackProxy } from "./loopback_proxy.ts";
import { SocketEnd } from "./socket_end.ts";
import { until } from "./support.ts";

interface Wire {
  readonly proxy: LoopbackProxy;
  /** Those that the target has accepted. */
  readonly accepted: SocketEnd[];
  dial(): SocketEnd;
}

async function withWire(body: (wire: Wire) => Promise<void>): Promise<void> {
  const ends: SocketEnd[] = [];
  const accepted: SocketEnd[] = [];
  const server = createServer((socket) => accepted.push(new SocketEnd(socket)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const proxy = await LoopbackProxy.start(`127.0.0.1:${port}`);
  const dial = (): SocketEnd => {
    const [host, proxyPort] = proxy.address.split(":");
    const end = new SocketEnd(connect(Number(proxyPort), host));
    ends.push(end);
    return end;
  };
  try {
    await body({ proxy, accepted, dial });
  } finally {
    for (const { socket } of [...ends, ...accepted]) socket.destroy();
    await proxy.close();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function connected({ dial, accepted }: Wire): Promise<[near: SocketEnd, far: SocketEnd]> {
  const near = dial();
  await until("a connection", () => accepted.length > 0);
  return [near, accepted[0]];
}

test("a held direction passes nothing while the other does, and then all of it in order", () =>
  withWire(async (wire) => {
    const [near, far] = await connected(wire);
    wire.proxy.forward.hold();
    near.socket.write("one ");
    far.socket.write("answer");
    await until("the answer", () => near.text === "answer");
    near.socket.write("two");
    assert.equal(far.text, "");
    wire.proxy.forward.release();
    await until("what was held back", () => far.text === "one two");
  }));

test("delayed bytes keep their order, however much their delays differ", () =>
  withWire(async (wire) => {
    const [near, far] = await connected(wire);
    Object.assign(wire.proxy.forward, { delayMs: 5, jitterMs: 30 });
    const words = Array.from({ length: 200 }, (_, index) => `${index} `);
    for (const word of words) {
      near.socket.write(word);
      await new Promise((resolve) => setImmediate(resolve));
    }
    near.socket.end();
    await until("all words", () => far.text.length >= words.join("").length);
    assert.equal(far.text, words.join(""));
    await until("the end", () => far.isClosed);
  }));

test("a connection that is made while a direction is held reaches nobody before its release", () =>
  withWire(async (wire) => {
    wire.proxy.backward.hold();
    const near = wire.dial();
    near.socket.write("hello");
    await until("the dialer's end of it", () => !near.socket.connecting);
    assert.equal(wire.accepted.length, 0);
    wire.proxy.backward.release();
    await until("the greeting", () => wire.accepted[0]?.text === "hello");
  }));

test("the end of a connection does not pass a held direction", () =>
  withWire(async (wire) => {
    const [near, far] = await connected(wire);
    wire.proxy.backward.hold();
    far.socket.destroy();
    await until("the end at the far side", () => far.isClosed);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(near.isClosed, false);
    wire.proxy.backward.release();
    await until("the end at the near side", () => near.isClosed);
  }));

test("a cut closes both ends, and new connections are served", () =>
  withWire(async (wire) => {
    const [near, far] = await connected(wire);
    wire.proxy.cut();
    await until("both ends", () => near.isClosed && far.isClosed);
    const again = wire.dial();
    again.socket.write("hello");
    await until("the greeting", () => wire.accepted[1]?.text === "hello");
  }));
