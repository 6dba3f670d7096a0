/**
 * `GrpcServer`: serves methods of gRPC over HTTP/2, with TLS or without. It is made for many small
 * calls: it answers several times as many a second as a general library does on the same runtime.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { type OpenCall, ServerCall } from "./call.ts";
import { type ConnectionLimits, ServerConnection } from "./connection.ts";
import { type Headers, headerValue } from "./header_decoder.ts";
import { httpStatusHeaders } from "./header_encoder.ts";
import { GrpcStatus } from "./status.ts";
import type { Http2Stream } from "./stream.ts";
import {
  type Certificates,
  type CertificateSource,
  certificateSource,
  type ClientCertificates,
  serverContext,
} from "../tls/mod.ts";

/** How a server speaks TLS. */
export interface GrpcServerTls {
  /** The certificate it shows; from a source, new connections use what is current. */
  readonly certificates: Certificates | CertificateSource;
  /** Whether clients must show a certificate of the authority in `certificates`. */
  readonly clientCertificates: ClientCertificates;
}

/** What a {@linkcode GrpcServer} is made of. */
export interface GrpcServerOptions extends ConnectionLimits {
  /** The methods by their paths, such as `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, OpenCall>;
  /** The longest message of a request, in bytes. */
  readonly messageBytesMax: number;
  /** Most connections at a time; beyond it new ones are closed at once. */
  readonly connectionsMax: number;
  /** Certificates, or plaintext. */
  readonly tls: GrpcServerTls | "insecure";
}

const METHOD_NOT_ALLOWED = httpStatusHeaders(405);
const UNSUPPORTED_MEDIA_TYPE = httpStatusHeaders(415);

/** Serves methods of gRPC. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #server: Server;
  readonly #unsubscribe: () => void;
  readonly #connections = new Set<ServerConnection>();
  /** Those whose handshake is not over as well. */
  readonly #sockets = new Set<Socket>();
  #closing: Promise<void> | undefined;

  /** @throws CertificateError when the certificates do not fit together */
  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const accept = (socket: Socket): void => this.#accept(socket);
    if (options.tls === "insecure") {
      this.#server = createServer(accept);
      this.#unsubscribe = () => {};
    } else {
      const { clientCertificates } = options.tls;
      const source = certificateSource(options.tls.certificates);
      const context = () => serverContext(source.current(), clientCertificates);
      const required = clientCertificates === "required";
      const server: TlsServer = createTlsServer(
        {
          ...context(),
          requestCert: required,
          rejectUnauthorized: required,
          ALPNProtocols: ["h2"],
        },
        accept,
      );
      this.#unsubscribe = source.subscribe(() => server.setSecureContext(context()));
      this.#server = server;
    }
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server.maxConnections = options.connectionsMax;
  }

  /** Listens on `host:port`, and returns the port. @throws Error by rejection when it cannot */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        // What fails later concerns one connection, and shows there.
        this.#server.on("error", () => {});
        resolve((this.#server.address() as { port: number }).port);
      });
    });
  }

  /**
   * Stops listening and lets calls under way end, for at most `graceMs`; connections that are still
   * open then are cut. Idempotent.
   */
  close(graceMs: number): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#unsubscribe();
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        for (const connection of this.#connections) connection.destroy();
        for (const socket of this.#sockets) socket.destroy();
        done();
      }, graceMs);
      if (this.#server.listening) this.#server.close(done);
      else done();
      for (const connection of this.#connections) connection.leave();
    });
    return this.#closing;
  }

  #accept(socket: Socket): void {
    const connection = new ServerConnection(
      socket,
      this.#options,
      (stream, headers) => this.#begin(stream, headers),
    );
    this.#connections.add(connection);
    socket.once("close", () => this.#connections.delete(connection));
  }

  #begin(stream: Http2Stream, headers: Headers): void {
    if (headerValue(headers, ":method") !== "POST") {
      return stream.headers(METHOD_NOT_ALLOWED, true);
    }
    if (headerValue(headers, "content-type")?.startsWith("application/grpc") !== true) {
      return stream.headers(UNSUPPORTED_MEDIA_TYPE, true);
    }
    const path = headerValue(headers, ":path") ?? "";
    const call = new ServerCall(stream, headers, this.#options.messageBytesMax);
    const method = this.#options.methods.get(path);
    if (method !== undefined) return call.open(method);
    call.end(GrpcStatus.UNIMPLEMENTED, `there is no method ${path}`);
  }
}
