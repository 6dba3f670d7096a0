/**
 * The statements of one transaction as bytes, on their way to the thread that runs them: one buffer a
 * batch, which is transferred and not copied, as cloning values one by one costs far more than
 * writing them. The layout is told in `worker.ts`, which reads it.
 *
 * @module
 */

import { missingRowError, type SqlValue } from "./database.ts";
import type { StorageError } from "../errors.ts";
import type { TransactionStatement, TransactionTarget } from "./transaction.ts";
import { RUN, VALUE } from "./worker.ts";

const WORD_BYTES = 4;
const NUMBER_BYTES = 8;

/** Buffers grow to the next multiple of this, so that the next batch fits as well. */
const GROWTH_BYTES = 64 * 1024;

/** A buffer beyond this size is not kept for the next batch. */
const KEPT_BUFFER_BYTES_MAX = 1024 * 1024;

const UTF8_ENCODER = new TextEncoder();

/** Collects the runs of statements, for {@linkcode StatementBatch.take} to hand over. */
export class StatementBatch implements TransactionTarget {
  #buffer = new ArrayBuffer(0);
  #view = new DataView(this.#buffer);
  #bytes = new Uint8Array(this.#buffer);
  #at = WORD_BYTES;
  #runs = 0;
  /** The rows that runs must change, in order. */
  #rows: string[] = [];
  readonly #statements = new Map<string, TransactionStatement>();
  /** How many statements the other side has been told of. */
  #told = 0;

  /** The same SQL is the same statement, however often it is prepared. */
  prepare(sql: string): TransactionStatement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    let number = -1;
    const run = (how: number, parameters: SqlValue[]): void => {
      const isNew = number < 0;
      if (isNew) number = this.#told++;
      this.#reserve(WORD_BYTES);
      this.#word(number);
      if (isNew) this.#text(sql);
      this.#run(how, parameters);
    };
    const statement: TransactionStatement = {
      run: (...parameters) => run(RUN.once, parameters),
      runOne: (row, ...parameters) => {
        this.#rows.push(row);
        run(RUN.changingOneRow, parameters);
      },
      all: (...parameters) => run(RUN.toTheEnd, parameters),
    };
    this.#statements.set(sql, statement);
    return statement;
  }

  /** What was collected; the next batch begins. */
  take(): ArrayBuffer {
    this.#reserve(0);
    const buffer = this.#buffer;
    this.#view.setUint32(0, this.#runs);
    this.#use(new ArrayBuffer(0));
    this.#runs = 0;
    this.#at = WORD_BYTES;
    return buffer;
  }

  /** Takes the buffer of a batch that was run back, for the next one. */
  reuse(buffer: ArrayBuffer): void {
    this.#rows = [];
    if (buffer.byteLength <= KEPT_BUFFER_BYTES_MAX) this.#use(buffer);
  }

  /** The error for a batch of which only so many rows were there to be changed. */
  missingRow(rowsFound: number): StorageError {
    return missingRowError(this.#rows[rowsFound]);
  }

  #run(how: number, parameters: SqlValue[]): void {
    this.#runs++;
    this.#reserve(2 * WORD_BYTES);
    this.#word(how);
    this.#word(parameters.length);
    for (let i = 0; i < parameters.length; i++) this.#value(parameters[i]);
  }

  #value(value: SqlValue): void {
    this.#reserve(WORD_BYTES + NUMBER_BYTES);
    if (typeof value === "number") {
      this.#word(VALUE.number);
      this.#view.setFloat64(this.#at, value);
      this.#at += NUMBER_BYTES;
    } else if (value === null) {
      this.#word(VALUE.none);
    } else if (typeof value === "string") {
      this.#word(VALUE.text);
      this.#text(value);
    } else {
      this.#word(VALUE.bytes);
      this.#part(value);
    }
  }

  #text(text: string): void {
    this.#part(UTF8_ENCODER.encode(text));
  }

  #part(bytes: Uint8Array): void {
    this.#reserve(WORD_BYTES + bytes.length);
    this.#word(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Needs {@linkcode StatementBatch.#reserve} before. */
  #word(value: number): void {
    this.#view.setUint32(this.#at, value);
    this.#at += WORD_BYTES;
  }

  /** Makes room for so many bytes more. */
  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    const { byteLength } = this.#buffer;
    if (needed <= byteLength) return;
    const before = this.#bytes;
    const grown = Math.ceil(Math.max(needed, 2 * byteLength) / GROWTH_BYTES) * GROWTH_BYTES;
    this.#use(new ArrayBuffer(grown));
    this.#bytes.set(before);
  }

  #use(buffer: ArrayBuffer): void {
    this.#buffer = buffer;
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }
}
