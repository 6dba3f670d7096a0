/**
 * The thread that writes, when SQLite runs outside the event loop: a connection of its own, on which
 * it runs the statements that {@linkcode WorkerWriter} sends, one request at a time. What they mean is
 * known on the other side alone. It imports nothing but the runtime's own modules, so that a process
 * with limited permissions (on Deno) must be allowed to read this one file for it and no other.
 *
 * The layout of a batch, whose numbers are 32-bit where nothing else is said: how many runs; then of
 * each run its statement, {@link RUN how} to run it, how many values, and the values, of each its
 * {@link VALUE kind} and what the kind asks for (64 bits of a float, which holds every safe integer;
 * or a length and as many bytes). The first run of a statement names the next number that is free,
 * and its SQL follows the number. A batch never leaves the process, so its layout has no version.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

/** What the thread is started with. */
export interface WorkerOptions {
  /** Tells this thread from others, which may import this module as well. */
  readonly role: typeof WORKER_ROLE;
  /** The path of the database. */
  readonly path: string;
  /** How long its connection waits for a lock of another, in milliseconds. */
  readonly busyTimeoutMs: number;
}

/** The role of {@linkcode WorkerOptions}. */
export const WORKER_ROLE = "flaredb-storage-writer";

/** A batch of runs, all of them one transaction; SQL whose rows are wanted; or the last request. */
export type WorkerRequest = ArrayBuffer | readonly string[] | "close";

/** The buffer of a batch that was run, the rows of each text of SQL, or the end. */
export type WorkerReply =
  | ArrayBuffer
  | readonly (readonly unknown[][])[]
  | "done"
  | { readonly failure: WorkerFailure };

/** Why a request was not carried out; a transaction that was begun is rolled back. */
export interface WorkerFailure {
  readonly message: string;
  /** The error's code, and the result code of SQLite. */
  readonly code: string | undefined;
  readonly errcode: number | undefined;
  /** Set where a run should have changed one row and did not: how many such runs of the batch did. */
  readonly rowsFound: number | undefined;
}

/** How a statement is run: whatever it changes, until all its rows came, or to change one row. */
export const RUN = { once: 0, toTheEnd: 1, changingOneRow: 2 } as const;

/** The kinds of values. */
export const VALUE = { none: 0, number: 1, bytes: 2, text: 3 } as const;

const WORD_BYTES = 4;
const NUMBER_BYTES = 8;
const UTF8_DECODER = new TextDecoder();

/** Reads a batch. Bytes are parts of its buffer. */
export class BatchReader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(buffer: ArrayBuffer) {
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  /** The next 32-bit number. */
  word(): number {
    const value = this.#view.getUint32(this.#at);
    this.#at += WORD_BYTES;
    return value;
  }

  /** The next text. */
  text(): string {
    return UTF8_DECODER.decode(this.#part());
  }

  /** The next values. */
  values(): (number | string | Uint8Array | null)[] {
    const values = new Array(this.word());
    for (let i = 0; i < values.length; i++) values[i] = this.#value();
    return values;
  }

  #value(): number | string | Uint8Array | null {
    switch (this.word()) {
      case VALUE.none:
        return null;
      case VALUE.number: {
        const value = this.#view.getFloat64(this.#at);
        this.#at += NUMBER_BYTES;
        return value;
      }
      case VALUE.bytes:
        return this.#part();
      default:
        return this.text();
    }
  }

  #part(): Uint8Array {
    const length = this.word();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** A run that should have changed one row did not. */
class MissingRow {
  readonly rowsFound: number;

  constructor(rowsFound: number) {
    this.rowsFound = rowsFound;
  }
}

/** The connection, and the statements that batches have named so far. */
class StatementRunner {
  readonly #connection: DatabaseSync;
  readonly #statements: StatementSync[] = [];

  constructor({ path, busyTimeoutMs }: WorkerOptions) {
    this.#connection = new DatabaseSync(path, { timeout: busyTimeoutMs });
  }

  /** Runs a batch; after an error none of it has happened. */
  run(buffer: ArrayBuffer): void {
    const reader = new BatchReader(buffer);
    try {
      let rowsFound = 0;
      for (let left = reader.word(); left > 0; left--) {
        const statement = this.#statementOf(reader);
        const how = reader.word();
        const values = reader.values();
        if (how === RUN.toTheEnd) {
          statement.all(...values);
          continue;
        }
        const { changes } = statement.run(...values);
        if (how === RUN.changingOneRow && changes !== 1) throw new MissingRow(rowsFound);
        if (how === RUN.changingOneRow) rowsFound++;
      }
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** The rows of one statement. */
  rows(sql: string): unknown[][] {
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    return statement.all() as unknown as unknown[][];
  }

  close(): void {
    this.#connection.close();
  }

  #statementOf(reader: BatchReader): StatementSync {
    const number = reader.word();
    if (number === this.#statements.length) {
      this.#statements.push(this.#connection.prepare(reader.text()));
    }
    return this.#statements[number];
  }

  #rollBack(): void {
    try {
      this.#connection.prepare("ROLLBACK").run();
    } catch {
      // SQLite has rolled back by itself, as it does after most failures; the first error counts.
    }
  }
}

/** Opens the connection and answers requests until the last one. */
function serve(port: NonNullable<typeof parentPort>, options: WorkerOptions): void {
  const reply = (message: WorkerReply, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      reply({ failure: failureOf(error) });
    }
  };
  attempt(() => {
    const runner = new StatementRunner(options);
    port.on("message", (request: WorkerRequest) =>
      attempt(() => {
        if (request instanceof ArrayBuffer) {
          runner.run(request);
          return reply(request, [request]);
        }
        if (request !== "close") return reply(request.map((sql) => runner.rows(sql)));
        runner.close();
        reply("done");
      }));
    reply("done");
  });
}

/** What crosses of an error. */
function failureOf(error: unknown): WorkerFailure {
  const rowsFound = error instanceof MissingRow ? error.rowsFound : undefined;
  const { message = String(error), code, errcode } = error as Partial<WorkerFailure>;
  return { message, code, errcode, rowsFound };
}

if (parentPort !== null && (workerData as WorkerOptions | null)?.role === WORKER_ROLE) {
  serve(parentPort, workerData);
}
