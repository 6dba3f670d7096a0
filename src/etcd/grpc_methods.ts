/**
 * Methods of the etcd API as grpc-js serves them: bytes on the wire, our own codecs on either side.
 *
 * @module
 */

import type * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { ProtoReader, ProtoWriter } from "../kv/mod.ts";
import { GrpcStatus } from "./grpc_status.ts";
import type { Answer } from "./handlers.ts";
import type { MethodShape } from "./services.ts";

/** A method that a server registers. */
export interface ServedMethod {
  readonly definition: grpc.MethodDefinition<unknown, unknown>;
  readonly handler: grpc.UntypedHandleCall;
}

/** A method that takes one message and answers with one. */
export function unaryMethod<Request, Response>(
  path: string,
  decode: (reader: ProtoReader) => Request,
  encode: (writer: ProtoWriter, response: Response) => void,
  handle: (request: Request, deadline: number, answer: Answer<Response>) => void,
): ServedMethod {
  const writer = new ProtoWriter();
  // In an object, as grpc-js takes a request that is not truthy for a missing one.
  const requestDeserialize = (bytes: Buffer) => ({ request: decode(new ProtoReader(bytes)) });
  const responseSerialize = (response: unknown) => {
    encode(writer, response as Response);
    const bytes = writer.finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const handler: grpc.handleUnaryCall<{ request: Request }, Response> = (call, callback) => {
    handle(call.request.request, Number(call.getDeadline()), callback);
  };
  return {
    definition: { ...definitionOf(path, "unary"), requestDeserialize, responseSerialize },
    handler: handler as grpc.UntypedHandleCall,
  };
}

/** A method that takes one message, which says nothing, and answers with a stream of bytes. */
export function streamingMethod(
  path: string,
  serve: (call: grpc.ServerWritableStream<unknown, Buffer>) => void,
): ServedMethod {
  return {
    definition: { ...definitionOf(path, "server-stream"), requestDeserialize: () => ({}) },
    handler: serve as grpc.UntypedHandleCall,
  };
}

/** A method that is not served yet, and says so. */
export function unimplementedMethod(path: string, shape: MethodShape): ServedMethod {
  const details = `flaredb does not serve ${path} yet`;
  const status = { code: GrpcStatus.UNIMPLEMENTED, details };
  const answersByCallback = shape === "unary" || shape === "client-stream";
  const handler = answersByCallback
    ? (_call: unknown, callback: grpc.sendUnaryData<unknown>) => callback(status)
    : (call: grpc.ServerWritableStream<unknown, unknown>) => void call.emit("error", status);
  return { definition: definitionOf(path, shape), handler: handler as grpc.UntypedHandleCall };
}

/** Registers methods, by their paths, with a server. */
export function registerMethods(
  server: grpc.Server,
  methods: ReadonlyMap<string, ServedMethod>,
): void {
  const definitions: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
  const handlers: Record<string, grpc.UntypedHandleCall> = {};
  for (const [path, { definition, handler }] of methods) {
    definitions[path] = definition;
    handlers[path] = handler;
  }
  server.addService(definitions, handlers);
}

function definitionOf(
  path: string,
  shape: MethodShape,
): grpc.MethodDefinition<unknown, unknown> {
  const opaque = (value: unknown) => value as Buffer;
  return {
    path,
    requestStream: shape === "client-stream" || shape === "both-stream",
    responseStream: shape === "server-stream" || shape === "both-stream",
    requestSerialize: opaque,
    requestDeserialize: opaque,
    responseSerialize: opaque,
    responseDeserialize: opaque,
  };
}
