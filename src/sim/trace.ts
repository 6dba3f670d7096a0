/**
 * The trace of a run: a cheap rolling hash over everything that happens (what goes into it is in
 * `fingerprint.ts`), and, when asked for, one readable line an event.
 *
 * @module
 */

/** Receives the lines of a readable trace. */
export type TraceSink = (line: string) => void;

/** What happened, as two 32-bit hashes that every engine computes alike. */
export class Trace {
  /** Whether anybody reads the lines: build them only then. */
  readonly verbose: boolean;
  readonly #sink: TraceSink | undefined;
  #high = 0x811c_9dc5 | 0;
  #low = 0x1b87_3593 | 0;

  constructor(sink?: TraceSink) {
    this.#sink = sink;
    this.verbose = sink !== undefined;
  }

  /** Adds a number to the hash: an integer, of which the low 32 bits count. */
  add(value: number): void {
    const bits = value | 0;
    this.#high = Math.imul(this.#high ^ bits, 0x0100_0193);
    this.#low = Math.imul((this.#low ^ bits) + (this.#high >>> 15), 0x85eb_ca6b);
  }

  /** The hash so far: 16 hexadecimal digits. */
  digest(): string {
    return hex(this.#high ^ (this.#high >>> 13)) + hex(this.#low ^ (this.#low >>> 16));
  }

  /** Writes a line, at a virtual time in microseconds. */
  line(timeUs: number, text: string): void {
    this.#sink?.(`${(timeUs / 1000).toFixed(3).padStart(10)} ${text}`);
  }
}

/** A 32-bit hash of bytes (FNV-1a). */
export function hashBytes(bytes: Uint8Array, seed = 0x811c_9dc5): number {
  let hash = seed | 0;
  for (let position = 0; position < bytes.length; position++) {
    hash = Math.imul(hash ^ bytes[position], 0x0100_0193);
  }
  return hash;
}

/** A 32-bit hash of a text. */
export function hashText(text: string): number {
  let hash = 5;
  for (let position = 0; position < text.length; position++) {
    hash = mix(hash, text.charCodeAt(position));
  }
  return hash;
}

/** A hash of plain data. Properties that are undefined do not count: JSON leaves them out. */
export function hashValue(value: unknown): number {
  if (typeof value === "number") return hashNumber(value);
  if (typeof value === "boolean") return value ? 2 : 3;
  if (typeof value !== "object" || value === null) return hashText(String(value));
  let hash = 7;
  if (Array.isArray(value)) {
    for (let position = 0; position < value.length; position++) {
      hash = mix(hash, hashValue(value[position]));
    }
    return hash;
  }
  // Not `for in`: over objects of many shapes V8 would compile it again and again.
  const names = Object.keys(value);
  for (let position = 0; position < names.length; position++) {
    const part = (value as Record<string, unknown>)[names[position]];
    if (part !== undefined) hash = mix(mix(hash, hashName(names[position])), hashValue(part));
  }
  return hash;
}

/** Numbers that `mix` would cut short are hashed as their text. */
function hashNumber(value: number): number {
  return value === (value | 0) ? mix(1, value) : hashText(String(value));
}

/** Hashes of names of properties: there are few. */
const NAMES = new Map<string, number>();
const NAMES_MAX = 1_000;

function hashName(name: string): number {
  const known = NAMES.get(name);
  if (known !== undefined) return known;
  const hash = hashText(name);
  if (NAMES.size < NAMES_MAX) NAMES.set(name, hash);
  return hash;
}

/** Mixes a number into a 32-bit hash. */
export function mix(hash: number, value: number): number {
  const mixed = Math.imul((hash ^ value) | 0, 0x9e37_79b1);
  return mixed ^ (mixed >>> 15);
}

function hex(bits: number): string {
  return (bits >>> 0).toString(16).padStart(8, "0");
}
