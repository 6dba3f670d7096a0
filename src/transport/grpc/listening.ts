/**
 * How a transport begins to listen, with an error of its own when it cannot.
 *
 * @module
 */

import type * as grpc from "@grpc/grpc-js";
import { listenWith } from "../../tls/mod.ts";
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
    return await listenWith(server, address, credentials);
  } catch (cause) {
    server.forceShutdown();
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new TransportError("LISTEN_FAILED", `Cannot listen on ${address}: ${found}`, { cause });
  }
}
