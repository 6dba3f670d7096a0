/**
 * A bound on the connections of a gRPC server.
 *
 * @module
 */

import type * as grpc from "@grpc/grpc-js";

/** The part of a gRPC server that has no public name: the listening servers behind it. */
interface Listeners {
  readonly http2Servers?: ReadonlyMap<{ maxConnections?: number }, unknown>;
}

/**
 * Makes a server that listens already drop every connection beyond `connectionsMax` at once. gRPC has
 * no option for it, but what listens behind it has, on all runtimes; a test holds that it is found.
 */
export function limitConnections(server: grpc.Server, connectionsMax: number): void {
  for (const listener of (server as unknown as Listeners).http2Servers?.keys() ?? []) {
    listener.maxConnections = connectionsMax;
  }
}
