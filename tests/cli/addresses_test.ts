/** Addresses and members as they are written on a command line. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import {
  formatAddress,
  freePorts,
  isPortFree,
  parseAddress,
  parseEndpoints,
  parseMembers,
} from "../../src/cli/addresses.ts";
import { UsageError } from "../../src/cli/errors.ts";

test("addresses are read with and without a scheme, and for IPv6", () => {
  assert.deepEqual(parseAddress("x", "127.0.0.1:2379"), { host: "127.0.0.1", port: 2379 });
  assert.deepEqual(parseAddress("x", "http://a.example:1/"), { host: "a.example", port: 1 });
  assert.deepEqual(parseAddress("x", "https://a.example:1"), { host: "a.example", port: 1 });
  assert.deepEqual(parseAddress("x", "[::1]:80"), { host: "::1", port: 80 });
  assert.equal(formatAddress({ host: "::1", port: 80 }), "[::1]:80");
});

test("what is no address is refused by name", () => {
  for (const text of ["", "a", "a:", ":1", "a:b", "a:65536", "::1:80", "a b:1"]) {
    assert.throws(() => parseAddress("--peer-listen", text), (error: Error) => {
      assert.ok(error instanceof UsageError, text);
      assert.match(error.message, /--peer-listen/);
      return true;
    });
  }
});

test("a list of addresses keeps its order and drops what is repeated", () => {
  assert.deepEqual(parseEndpoints("x", "b:1, a:2,b:1"), ["b:1", "a:2"]);
  assert.deepEqual(parseEndpoints("x", "https://b:1/, http://a:2"), ["https://b:1", "http://a:2"]);
  assert.throws(() => parseEndpoints("x", " , "), UsageError);
});

test("members are read in ascending order, with client addresses where given", () => {
  assert.deepEqual(parseMembers("2=b:2/b:3,1=a:1"), [
    { nodeId: 1, peer: { host: "a", port: 1 }, client: undefined },
    { nodeId: 2, peer: { host: "b", port: 2 }, client: { host: "b", port: 3 } },
  ]);
});

test("members that cannot be told apart are refused", () => {
  for (const text of ["1=a:1,1=b:1", "1=a:1,2=a:1", "", "0=a:1", "a:1", "1=a:1/", "9e9=a:1"]) {
    assert.throws(() => parseMembers(text), UsageError, text);
  }
});

test("free ports are different, and a taken one is known as such", async () => {
  const ports = await freePorts("127.0.0.1", 6);
  assert.equal(new Set(ports).size, 6);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  assert.equal(await isPortFree("127.0.0.1", port), false);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await isPortFree("127.0.0.1", port), true);
});
