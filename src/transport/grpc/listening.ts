/**
 * How a transport begins to listen, with an error of its own when it cannot.
 *
 * @module
 */

import { createServer } from "node:net";
import type * as grpc from "@grpc/grpc-js";
import { TransportError } from "../errors.ts";

/**
 * Has `server` listen on `address`, `host:port`, and returns the port in use. After a failure the
 * server is shut down.
 *
 * @throws TransportError `LISTEN_FAILED` (by rejection).
 */
export async function bind(
  server: grpc.Server,
  address: string,
  credentials: grpc.ServerCredentials,
): Promise<number> {
  try {
    await tryListening(address);
    return await new Promise((resolve, reject) => {
      server.bindAsync(address, credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  } catch (cause) {
    server.forceShutdown();
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new TransportError("LISTEN_FAILED", `Cannot listen on ${address}: ${found}`, { cause });
  }
}

/** Listens for a moment: gRPC would write to the process's standard error when it cannot. */
function tryListening(address: string): Promise<void> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  // Nobody else has a port that the system chooses.
  if (port === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}
