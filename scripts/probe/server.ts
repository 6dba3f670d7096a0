/**
 * What the probe runs on the runtime in question: a gRPC server that answers after a moment. It prints
 * its port, and `closed` when it has shut down after the end of its standard input.
 *
 * @module
 */

import process from "node:process";
import * as grpc from "@grpc/grpc-js";
import { ECHO, METHOD_NAME } from "./echo.ts";

const DELAY_MS = 2;

const server = new grpc.Server();
server.addService({ [METHOD_NAME]: ECHO }, {
  // Late, so that calls of one client overlap.
  [METHOD_NAME]: (
    { request }: grpc.ServerUnaryCall<Uint8Array, Uint8Array>,
    answer: grpc.sendUnaryData<Uint8Array>,
  ) => setTimeout(() => answer(null, request), DELAY_MS),
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(port);
});
process.stdin.resume();
process.stdin.once("end", () => {
  server.tryShutdown(() => {
    console.log("closed");
    process.exit(0);
  });
});
