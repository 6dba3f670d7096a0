/**
 * The method that the probe calls: bytes in, the same bytes out.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { MethodDefinition } from "@grpc/grpc-js";

/** The method's name in its service. */
export const METHOD_NAME = "Echo";

const serialize = (value: Uint8Array) => Buffer.from(value);
const deserialize = (value: Buffer): Uint8Array => value;

/** The method, as gRPC wants it described. */
export const ECHO: MethodDefinition<Uint8Array, Uint8Array> = {
  path: `/flaredb.Probe/${METHOD_NAME}`,
  requestStream: false,
  responseStream: false,
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
};
