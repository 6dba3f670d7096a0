/**
 * `flaredb.v1.Diagnostics/Counters`: what a member has counted since its start, by name. It is
 * served beside the services of etcd, for whoever wants to see where the work goes.
 *
 * @module
 */

import { LENGTH_DELIMITED, type ProtoReader, type ProtoWriter, VARINT } from "../kv/mod.ts";

/** Counts by name, such as `peer.proposalEntries`. */
export type Counters = Readonly<Record<string, number>>;

/** The path of the method on the wire. */
export const COUNTERS_PATH = "/flaredb.v1.Diagnostics/Counters";

const COUNTER_TAG = 1 << 3 | LENGTH_DELIMITED;
const NAME_TAG = 1 << 3 | LENGTH_DELIMITED;
const VALUE_TAG = 2 << 3 | VARINT;

/** Writes a `CountersResponse`. @throws KvEncodeError when a count is not a safe integer */
export function writeCounters(writer: ProtoWriter, counters: Counters): void {
  for (const [name, value] of Object.entries(counters).reverse()) {
    const end = writer.written;
    writer.number(VALUE_TAG, value);
    writer.string(NAME_TAG, name);
    writer.message(COUNTER_TAG, end);
  }
}

/** Reads a `CountersResponse`. @throws KvDecodeError when it is malformed */
export function readCounters(reader: ProtoReader): Counters {
  const counters: Record<string, number> = {};
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== COUNTER_TAG) {
      reader.skip(tag);
      continue;
    }
    const [name, value] = reader.message(readCounter);
    counters[name] = value;
  }
  return counters;
}

function readCounter(reader: ProtoReader): [name: string, value: number] {
  let name = "";
  let value = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === NAME_TAG) name = reader.string();
    else if (tag === VALUE_TAG) value = reader.number();
    else reader.skip(tag);
  }
  return [name, value];
}
