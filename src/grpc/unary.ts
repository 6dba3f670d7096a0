/**
 * Methods that take one message and answer with one.
 *
 * @module
 */

import type { CallHandler, OpenCall, ServerCall } from "./call.ts";
import { GrpcStatus } from "./status.ts";

/** Takes the request and answers, now or later, through `respond` and `fail`. */
export type HandleUnary = (request: Uint8Array, call: UnaryCall) => void;

/** A call that awaits one answer. */
export class UnaryCall implements CallHandler {
  readonly #call: ServerCall;
  readonly #handle: HandleUnary;
  #request: Uint8Array | undefined;

  /** Begins the call. */
  constructor(call: ServerCall, handle: HandleUnary) {
    this.#call = call;
    this.#handle = handle;
  }

  /** When the client wants it to be over, as of `Date.now()`; `Infinity` when it did not say. */
  get deadline(): number {
    return this.#call.deadline;
  }

  /** Answers with a message, which must not change afterwards. */
  respond(message: Uint8Array): void {
    this.#call.send(message);
    this.#call.end();
  }

  /** Answers with a status that is not OK. */
  fail(code: number, details: string): void {
    this.#call.end(code, details);
  }

  /** From the call: the request. */
  message(bytes: Uint8Array): void {
    if (this.#request === undefined) this.#request = bytes;
    else this.fail(GrpcStatus.INTERNAL, "the method takes one message: found more");
  }

  /** From the call: the request is complete. */
  end(): void {
    if (this.#request === undefined) {
      return this.fail(GrpcStatus.INTERNAL, "the method takes one message: found none");
    }
    this.#handle(this.#request, this);
  }
}

/** A method that takes one message and answers with one. */
export function unaryMethod(handle: HandleUnary): OpenCall {
  return (call) => new UnaryCall(call, handle);
}
