/**
 * Holds a codec of ours to the .proto files: protobufjs reads them and encodes and decodes by
 * reflection, and both sides must agree on every message.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import protobuf from "protobufjs";
import { ProtoReader, ProtoWriter } from "../../src/kv/mod.ts";

const root = new protobuf.Root();
root.loadSync(
  ["kv", "auth", "rpc", "command", "snapshot", "../diagnostics"].map((name) =>
    fileURLToPath(new URL(`../../proto/etcd/${name}.proto`, import.meta.url))
  ),
);
root.resolveAll();

/** A message type as the .proto files have it. */
export function reflect(name: string): protobuf.Type {
  return root.lookupType(name);
}

/** The services of the .proto files: method names and whether each side streams. */
export function reflectServices(): [string, [string, boolean, boolean][]][] {
  const namespace = root.lookup("etcdserverpb") as protobuf.Namespace;
  return namespace.nestedArray.filter((entry) => entry instanceof protobuf.Service).map((
    service,
  ) => [
    service.name,
    (service as protobuf.Service).methodsArray.map((method) => [
      method.name,
      method.requestStream === true,
      method.responseStream === true,
    ]),
  ]);
}

/** Numbers of every kind as text, bytes as hex, absent as null: what two decoders can agree on. */
export function normalize(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(normalize);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value !== "object") return value;
  if ("low" in value && "high" in value) return String(value);
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, normalize(field)]),
  );
}

/** What protobufjs takes: a bigint as text. */
function toInput(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(toInput);
  return Object.fromEntries(
    Object.entries(value).filter(([, field]) => field !== undefined)
      .map(([name, field]) => [name, toInput(field)]),
  );
}

/** A codec of ours for one message. */
export interface Codec<Message> {
  /** The name in the .proto files. */
  readonly name: string;
  readonly arbitrary: fc.Arbitrary<Message>;
  readonly write: (writer: ProtoWriter, message: Message) => void;
  readonly read: (reader: ProtoReader) => Message;
  /** The message with the field names of the .proto files. */
  readonly toProto?: (message: Message) => unknown;
}

/** Checks a codec both ways, and against itself. */
export function checkCodec<Message>(codec: Codec<Message>): void {
  const type = reflect(codec.name);
  const toProto = codec.toProto ?? ((message: Message) => message);
  const writer = new ProtoWriter();
  fc.assert(
    fc.property(codec.arbitrary, (message) => {
      codec.write(writer, message);
      const encoded = writer.finish();
      assert.deepEqual(codec.read(new ProtoReader(encoded)), message);
      const decoded = type.toObject(type.decode(encoded), { defaults: true, arrays: true });
      assert.deepEqual(normalize(decoded), normalize(toProto(message)));
      const theirs = type.encode(type.fromObject(toInput(toProto(message)) as object)).finish();
      assert.deepEqual(codec.read(new ProtoReader(theirs)), message);
    }),
    { numRuns: 100 },
  );
}

/** A record of arbitraries, as plain an object as decoders make. */
export function record<Model extends object>(
  model: { [Field in keyof Model]: fc.Arbitrary<Model[Field]> },
): fc.Arbitrary<Model> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<Model>;
}

/** Bytes of every length that changes how a length is written. */
export const someBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 120, maxLength: 140 }) },
  { weight: 1, arbitrary: fc.constant(new Uint8Array(20_000).fill(7)) },
);

/** Safe integers from 0, small and large. */
export const someNumbers: fc.Arbitrary<number> = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 32, 2 ** 53 - 1),
);

/** Safe integers of either sign. */
export const signedNumbers: fc.Arbitrary<number> = fc.oneof(someNumbers, fc.maxSafeInteger());

/** Signed 64-bit integers. */
export const someLeases: fc.Arbitrary<bigint> = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);

/** Unsigned 64-bit integers. */
export const someIds: fc.Arbitrary<bigint> = fc.oneof(
  fc.constantFrom(0n, 1n, 2n ** 63n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
