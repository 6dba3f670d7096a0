/**
 * The operations of one transaction as bytes, on their way to the thread that writes them: one
 * buffer a batch, which is transferred and not copied, as cloning entries one by one costs far more
 * than writing them. It never leaves the process, so its layout has no version.
 *
 * Numbers are 64-bit floats, which hold every safe integer; lengths and kinds are 32-bit; a region's
 * state is JSON, as there is one a region and batch.
 *
 * @module
 */

import type { RaftLogEntry } from "../../raft/mod.ts";
import { entryTypeNumber, entryTypeOf } from "./rows.ts";
import type { SaveRegionOperation, WriteOperation } from "./writer.ts";

const KINDS: readonly WriteOperation["kind"][] = [
  "append",
  "delete",
  "create-region",
  "save-region",
  "save-snapshot",
  "vacuum",
];

const WORD_BYTES = 4;
const NUMBER_BYTES = 8;
/** An entry without its command and context: index, term, type, and two lengths. */
const ENTRY_BYTES = 2 * NUMBER_BYTES + 3 * WORD_BYTES;
/** The length that stands for an absent value. */
const ABSENT = 0xffffffff;
/** Buffers grow to the next multiple of this, so that the next batch fits as well. */
const GROWTH_BYTES = 64 * 1024;

const UTF8_ENCODER = new TextEncoder();
const UTF8_DECODER = new TextDecoder();

/** Writes `operations` into `buffer`, or into a larger one when they do not fit. */
export function encodeBatch(
  operations: readonly WriteOperation[],
  buffer: ArrayBuffer | undefined,
): ArrayBuffer {
  const texts = operations.map(stateText);
  let bytes = WORD_BYTES;
  for (let i = 0; i < operations.length; i++) bytes += sizeOf(operations[i], texts[i]);
  const target = buffer !== undefined && buffer.byteLength >= bytes
    ? buffer
    : new ArrayBuffer(Math.ceil(bytes / GROWTH_BYTES) * GROWTH_BYTES);
  const writer = new BatchWriter(target);
  writer.word(operations.length);
  for (let i = 0; i < operations.length; i++) writer.operation(operations[i], texts[i]);
  return target;
}

/** The operations in `buffer`; their bytes are parts of it. */
export function decodeBatch(buffer: ArrayBuffer): WriteOperation[] {
  const reader = new BatchReader(buffer);
  const count = reader.word();
  const operations: WriteOperation[] = [];
  for (let i = 0; i < count; i++) operations.push(reader.operation());
  return operations;
}

function stateText(operation: WriteOperation): Uint8Array | undefined {
  return "state" in operation ? UTF8_ENCODER.encode(JSON.stringify(operation.state)) : undefined;
}

function sizeOf(operation: WriteOperation, text: Uint8Array | undefined): number {
  // The kind, at most three numbers, and a length.
  let bytes = 2 * WORD_BYTES + 3 * NUMBER_BYTES + (text?.length ?? 0);
  if (operation.kind === "save-snapshot") bytes += operation.data?.length ?? 0;
  if (operation.kind !== "append") return bytes;
  const { entries } = operation;
  for (let i = 0; i < entries.length; i++) {
    bytes += ENTRY_BYTES + entries[i].command.length + (entries[i].context?.length ?? 0);
  }
  return bytes;
}

class BatchWriter {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(buffer: ArrayBuffer) {
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  word(value: number): void {
    this.#view.setUint32(this.#at, value);
    this.#at += WORD_BYTES;
  }

  operation(operation: WriteOperation, text: Uint8Array | undefined): void {
    this.word(KINDS.indexOf(operation.kind));
    switch (operation.kind) {
      case "append":
        this.#numbers(operation.slot, operation.regionId);
        this.word(operation.entries.length);
        for (let i = 0; i < operation.entries.length; i++) this.#entry(operation.entries[i]);
        break;
      case "delete":
        this.#numbers(operation.slot, operation.low, operation.high);
        break;
      case "create-region":
      case "save-region":
        this.#numbers(operation.slot, operation.regionId, operation.peerId);
        this.#value(text);
        break;
      case "save-snapshot":
        this.#numbers(operation.slot, operation.regionId, operation.index);
        this.#value(operation.data);
        break;
      case "vacuum":
        this.#numbers(operation.pagesMax);
        break;
    }
  }

  #entry({ index, term, type, command, context }: RaftLogEntry): void {
    this.#numbers(index, term);
    this.word(entryTypeNumber(type));
    this.#value(command);
    this.#value(context);
  }

  #numbers(...values: number[]): void {
    for (let i = 0; i < values.length; i++) {
      this.#view.setFloat64(this.#at, values[i]);
      this.#at += NUMBER_BYTES;
    }
  }

  #value(value: Uint8Array | undefined): void {
    if (value === undefined) return this.word(ABSENT);
    this.word(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }
}

class BatchReader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(buffer: ArrayBuffer) {
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  word(): number {
    const value = this.#view.getUint32(this.#at);
    this.#at += WORD_BYTES;
    return value;
  }

  operation(): WriteOperation {
    const kind = KINDS[this.word()];
    switch (kind) {
      case "append": {
        const [slot, regionId] = [this.#number(), this.#number()];
        const entries: RaftLogEntry[] = new Array(this.word());
        for (let i = 0; i < entries.length; i++) entries[i] = this.#entry();
        return { kind, slot, regionId, entries };
      }
      case "delete":
        return { kind, slot: this.#number(), low: this.#number(), high: this.#number() };
      case "create-region":
      case "save-region": {
        const [slot, regionId, peerId] = [this.#number(), this.#number(), this.#number()];
        const state: SaveRegionOperation["state"] = JSON.parse(
          UTF8_DECODER.decode(this.#value() as Uint8Array),
        );
        return { kind, slot, regionId, peerId, state };
      }
      case "save-snapshot": {
        const [slot, regionId, index] = [this.#number(), this.#number(), this.#number()];
        return { kind, slot, regionId, index, data: this.#value() };
      }
      case "vacuum":
        return { kind, pagesMax: this.#number() };
    }
  }

  #entry(): RaftLogEntry {
    const [index, term] = [this.#number(), this.#number()];
    const type = entryTypeOf(this.word());
    const command = this.#value() as Uint8Array;
    return { index, term, type, command, context: this.#value() };
  }

  #number(): number {
    const value = this.#view.getFloat64(this.#at);
    this.#at += NUMBER_BYTES;
    return value;
  }

  #value(): Uint8Array | undefined {
    const length = this.word();
    if (length === ABSENT) return undefined;
    const value = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return value;
  }
}
