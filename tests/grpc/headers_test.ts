/** HPACK: what another implementation writes is read, in every form; what is malformed is refused. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect } from "node:http2";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { Http2Error } from "../../src/grpc/mod.ts";
import { HeaderDecoder } from "../../src/grpc/header_decoder.ts";
import { until } from "../process/support.ts";

/** Sends lists of headers with the runtime's own client, and decodes what arrives on one connection. */
async function exchange(lists: readonly Record<string, string>[]): Promise<string[][]> {
  const decoder = new HeaderDecoder(64 * 1024);
  const decoded: string[][] = [];
  const server = createServer((socket) =>
    readBlocks(socket, (block) => {
      decoded.push([...decoder.decode(block)]);
    })
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  client.on("error", () => {});
  try {
    for (const headers of lists) {
      const request = client.request({ ":method": "POST", ":path": "/p", ...headers });
      request.on("error", () => {});
      request.end();
    }
    await until("all headers", () => decoded.length >= lists.length);
  } finally {
    client.destroy();
    server.close();
  }
  return decoded;
}

function readBlocks(socket: Socket, take: (block: Buffer) => void): void {
  let input = Buffer.alloc(0);
  let at = 24;
  socket.on("error", () => {});
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  socket.on("data", (chunk: Buffer) => {
    input = Buffer.concat([input, chunk]);
    while (input.length >= at + 9) {
      const end = at + 9 + input.readUIntBE(at, 3);
      if (input.length < end) return;
      const priority = (input[at + 4] & 32) !== 0 ? 5 : 0;
      if (input[at + 3] === 1) take(input.subarray(at + 9 + priority, end));
      at = end;
    }
  });
}

function valueOf(list: readonly string[], name: string): string {
  const at = list.findIndex((one, place) => place % 2 === 0 && one === name);
  return list[at + 1];
}

test("every character that a header may have is read as another implementation coded it", async () => {
  const characters = Array.from({ length: 0x7f - 0x20 }, (_, at) => String.fromCharCode(0x20 + at));
  const lists = characters.map((one) => ({ "x-value": `a${one.repeat(9)}e` }));
  const decoded = await exchange(lists);
  assert.deepEqual(
    decoded.map((list) => valueOf(list, "x-value")),
    lists.map((one) => one["x-value"]),
  );
});

test("lists of one connection are read as they were sent, whatever its table remembers", async () => {
  const name = fc.stringMatching(/^x-[a-z]{1,12}$/);
  const value = fc.stringMatching(/^[!-~]([ -~]{0,300}[!-~])?$/);
  const lists = fc.array(fc.dictionary(name, value, { maxKeys: 6, noNullPrototype: true }), {
    minLength: 1,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(lists, async (sent) => {
      const decoded = await exchange(sent);
      for (const [at, headers] of sent.entries()) {
        for (const [key, expected] of Object.entries(headers)) {
          assert.equal(valueOf(decoded[at], key), expected);
        }
      }
    }),
    { numRuns: 15 },
  );
});

test("the examples of RFC 7541 with one table over three requests are read", () => {
  // Appendix C.4: requests with the Huffman code, on one connection.
  const decoder = new HeaderDecoder(4096);
  const decode = (hex: string) => decoder.decode(Buffer.from(hex, "hex"));
  const first = [
    ":method",
    "GET",
    ":scheme",
    "http",
    ":path",
    "/",
    ":authority",
    "www.example.com",
  ];
  assert.deepEqual(decode("828684418cf1e3c2e5f23a6ba0ab90f4ff"), first);
  assert.deepEqual(decode("828684be5886a8eb10649cbf"), [...first, "cache-control", "no-cache"]);
  assert.deepEqual(decode("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"), [
    ":method",
    "GET",
    ":scheme",
    "https",
    ":path",
    "/index.html",
    ":authority",
    "www.example.com",
    "custom-key",
    "custom-value",
  ]);
});

test("the table forgets the oldest when it is full or made smaller", () => {
  const decoder = new HeaderDecoder(64 * 1024);
  const remembered = (name: string, value: string) =>
    Buffer.concat([
      Buffer.from([0x40, name.length]),
      Buffer.from(name),
      Buffer.from([0x7f, value.length - 0x7f & 0x7f | 0x80, (value.length - 0x7f) >> 7]),
      Buffer.from(value),
    ]);
  // Each takes 32 + 1 + 1,000 bytes of 4,096.
  for (const name of "abcd") decoder.decode(remembered(name, name.repeat(1000)));
  assert.equal(decoder.decode(Buffer.from([0x80 | 62]))[0], "d");
  assert.equal(decoder.decode(Buffer.from([0x80 | 64]))[0], "b");
  assert.throws(() => decoder.decode(Buffer.from([0x80 | 65])), Http2Error);
  // To 1,100 bytes, which hold one.
  decoder.decode(Buffer.from([0x3f, (1100 - 31) & 0x7f | 0x80, (1100 - 31) >> 7]));
  assert.equal(decoder.decode(Buffer.from([0x80 | 62]))[0], "d");
  assert.throws(() => decoder.decode(Buffer.from([0x80 | 63])), Http2Error);
});

test("a list of headers that comes to more than the limit is refused", () => {
  const block = Buffer.from([0x82, 0x86, 0x84]);
  // (7 + 3) + (7 + 4) + (5 + 1), and 32 for each.
  const bytes = 10 + 11 + 6 + 3 * 32;
  assert.equal(new HeaderDecoder(bytes).decode(block).length, 6);
  assert.throws(() => new HeaderDecoder(bytes - 1).decode(block), { http2Code: 11 });
});

test("bytes that are no block of headers are refused by their own error, never by another", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HeaderDecoder(4096);
      for (const block of blocks) {
        try {
          const headers = decoder.decode(block);
          assert.ok(headers.every((text) => typeof text === "string"));
        } catch (error) {
          assert.ok(error instanceof Http2Error);
          return;
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

for (
  const [what, hex] of [
    ["a place beyond both tables", "be"],
    ["place 0", "80"],
    ["a text that is cut short", "000a6162"],
    ["an integer without an end", "ffffffffffffff"],
    ["a table larger than was offered", "3fe21f"],
    ["a table that is resized after a header", "8220"],
    ["a coded text with a byte of padding", "0082fffe00"],
    ["a coded text padded with zeros", "00811800"],
    ["a coded text that holds the end", "0084ffffffff00"],
  ]
) {
  test(`refused: ${what}`, () => {
    const decode = () => new HeaderDecoder(4096).decode(Buffer.from(hex, "hex"));
    assert.throws(decode, (error) => error instanceof Http2Error && error.http2Code === 9);
  });
}
