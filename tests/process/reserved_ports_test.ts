/** Ports that processes of tests can count on. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { test } from "node:test";
import { reservePorts, systemFirstPort } from "../../scripts/reserved_ports.ts";
import { isPortFree } from "../../src/cli/addresses.ts";

async function listenAnywhere(): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

test("reserved ports are free, and nobody else gets them", async () => {
  const reserved = await Promise.all([6, 31, 1].map((count) => reservePorts(count)));
  const ports = reserved.flat();
  assert.equal(new Set(ports).size, 38);
  for (const port of ports) assert.ok(await isPortFree("127.0.0.1", port));
  const others = await Promise.all(Array.from({ length: 50 }, listenAnywhere));
  try {
    const given = others.map((server) => (server.address() as { port: number }).port);
    assert.deepEqual(given.filter((port) => ports.includes(port)), []);
    assert.ok(Math.max(...ports) < systemFirstPort(), `${ports}`);
  } finally {
    await Promise.all(others.map((server) => new Promise((resolve) => server.close(resolve))));
  }
});

test("a block of ports belongs to one", async () => {
  const [first] = await reservePorts(1);
  assert.equal(await isPortFree("127.0.0.1", first - 1), false);
  await assert.rejects(reservePorts(32), RangeError);
});
