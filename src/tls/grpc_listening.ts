/**
 * How a gRPC server begins to listen, the one for peers and the one for clients alike.
 *
 * @module
 */

import { createServer } from "node:net";
import type * as grpc from "@grpc/grpc-js";

/**
 * Has `server` listen on `address`, `host:port`, and returns the port in use.
 *
 * @throws Error of the system (by rejection) when it cannot. The server is not shut down.
 */
export async function listenWith(
  server: grpc.Server,
  address: string,
  credentials: grpc.ServerCredentials,
): Promise<number> {
  await tryListening(address);
  return await new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
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
