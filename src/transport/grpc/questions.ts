/**
 * Questions between nodes over gRPC: each is one unary call on a connection of its own, opened with
 * the hello of every stream, and so checked like one.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { clientCertificate } from "../../tls/grpc_credentials.ts";
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  type Question,
} from "../../wire/mod.ts";
import { AskError } from "../errors.ts";
import { nameOf, noteRefusal, refusalOf } from "./admission.ts";
import { ASK_PATH, channelCredentials, channelOptions, passBytes } from "./channel.ts";
import type { Context } from "./context.ts";
import { PROTOCOL_VERSION } from "./options.ts";

/** Asks other nodes. */
export class Asker {
  readonly #context: Context;
  readonly #calls = new Set<grpc.ClientUnaryCall>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Asks a node. @throws AskError by rejection */
  async ask(
    nodeId: number,
    address: string,
    body: Uint8Array,
    deadlineMs: number,
  ): Promise<Uint8Array> {
    const { options } = this.#context;
    const question = this.#encode(nodeId, body);
    const client = new grpc.Client(
      address,
      channelCredentials(options.tls),
      channelOptions(options, nodeId),
    );
    try {
      return readAnswer(nodeId, await this.#call(client, nodeId, question, deadlineMs));
    } finally {
      client.close();
    }
  }

  /** Gives up what is under way. */
  close(): void {
    for (const call of this.#calls) call.cancel();
  }

  #call(
    client: grpc.Client,
    nodeId: number,
    question: Buffer,
    deadlineMs: number,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        ASK_PATH,
        passBytes,
        passBytes,
        question,
        { deadline: Date.now() + deadlineMs },
        (error, answer) => {
          this.#calls.delete(call);
          if (error === null && answer !== undefined) resolve(answer);
          else reject(askErrorOf(nodeId, error));
        },
      );
      this.#calls.add(call);
    });
  }

  #encode(toNode: number, body: Uint8Array): Buffer {
    const { clusterId, nodeId: fromNode } = this.#context.options;
    const protocolVersion = PROTOCOL_VERSION;
    const hello = { protocolVersion, clusterId, fromNode, toNode, features: [] };
    try {
      return Buffer.from(encodeQuestion({ hello, body }));
    } catch (cause) {
      throw new AskError(toNode, (cause as Error).message, false, { cause });
    }
  }
}

function readAnswer(nodeId: number, bytes: Buffer): Uint8Array {
  try {
    return decodeAnswer(bytes);
  } catch (cause) {
    throw new AskError(nodeId, (cause as Error).message, true, { cause });
  }
}

function askErrorOf(nodeId: number, error: grpc.ServiceError | null): AskError {
  if (error === null) return new AskError(nodeId, "its answer is missing", true);
  const reason = `${grpc.status[error.code] ?? error.code}: ${error.details}`;
  return new AskError(nodeId, reason, !neverArrived(error), { cause: error });
}

/** Whether it is certain that the node did not begin to answer. */
function neverArrived({ code, details }: grpc.ServiceError): boolean {
  return code === grpc.status.FAILED_PRECONDITION || code === grpc.status.UNIMPLEMENTED ||
    code === grpc.status.UNAVAILABLE && details.startsWith("No connection established");
}

/** Answers questions of other nodes. */
export class Answerer {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Serves one call of `RaftService.Ask`. */
  serve(call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>): void {
    this.#answer(call).then(
      (body) => answer(null, Buffer.from(encodeAnswer(body))),
    ).catch((status) => answer(status));
  }

  /** Rejects with a status of gRPC. */
  async #answer(call: grpc.ServerUnaryCall<Buffer, Buffer>): Promise<Uint8Array> {
    const { hello, body } = this.#open(call);
    const { handler, counters, log } = this.#context;
    if (handler === undefined) throw { code: grpc.status.UNAVAILABLE, details: "the node ends" };
    if (handler.answer === undefined) {
      throw { code: grpc.status.FAILED_PRECONDITION, details: "it answers nothing" };
    }
    try {
      return await handler.answer(hello.fromNode, body);
    } catch (error) {
      counters.handlerErrors++;
      const text = error instanceof Error ? error.message : String(error);
      log.warn("answer", `A question of node ${hello.fromNode} could not be answered: ${text}`);
      throw { code: grpc.status.UNKNOWN, details: text };
    }
  }

  #open(call: grpc.ServerUnaryCall<Buffer, Buffer>): Question {
    const who = nameOf(undefined, call.getPeer());
    let question: Question;
    try {
      question = decodeQuestion(call.request);
    } catch (error) {
      const { message } = error as Error;
      noteRefusal(this.#context, "refusedHandshake", who, message);
      throw { code: grpc.status.FAILED_PRECONDITION, details: message };
    }
    const certificate = clientCertificate(call);
    const refusal = refusalOf(question.hello, this.#context.options, certificate);
    if (refusal === undefined) return question;
    noteRefusal(this.#context, refusal.counter, who, refusal.reason);
    throw { code: grpc.status.FAILED_PRECONDITION, details: refusal.reason };
  }
}
