/**
 * A server of gRPC over HTTP/2, made for many small calls: frames are read straight from the socket,
 * and what many calls answer in one turn of the event loop leaves in one piece. It knows what a
 * server of gRPC needs of HTTP/2 and no more; whatever else a client does ends its connection with a
 * reason.
 *
 * @module
 */

export { type CallHandler, type OpenCall, ServerCall } from "./call.ts";
export {
  CONNECTION_WINDOW_BYTES,
  type ConnectionLimits,
  HEADER_BYTES_MAX,
  OUTPUT_BYTES_MAX,
  STREAM_WINDOW_BYTES,
} from "./connection.ts";
export { Http2Error } from "./errors.ts";
export { type Headers, headerValue } from "./header_decoder.ts";
export { GrpcServer, type GrpcServerOptions, type GrpcServerTls } from "./server.ts";
export * from "./status.ts";
export { type HandleUnary, UnaryCall, unaryMethod } from "./unary.ts";
