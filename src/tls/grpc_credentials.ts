/**
 * Certificates as gRPC takes them, in the one way that works alike on all runtimes.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import type { PeerCertificate } from "node:tls";
import {
  type Certificates,
  type CertificateSource,
  certificateSource,
  type ClientCertificates,
  pemBytes,
  serverContext,
} from "./certificates.ts";

/**
 * What a gRPC server shows, and asks of those who connect. When the source changes, connections that
 * are accepted from then on use what is new.
 */
export class SourceServerCredentials extends grpc.ServerCredentials {
  private readonly unsubscribe: () => void;

  /**
   * @throws CertificateError when the certificates do not fit together, or clients must show one and
   *   there is no authority to check it against.
   */
  constructor(given: Certificates | CertificateSource, clients: ClientCertificates) {
    const source = certificateSource(given);
    const requestCert = clients === "required";
    super(
      { requestCert, rejectUnauthorized: requestCert },
      serverContext(source.current(), clients),
    );
    this.unsubscribe = source.subscribe(() => {
      this.updateSecureContextOptions(serverContext(source.current(), clients));
    });
  }

  /** Stops following the source. */
  close(): void {
    this.unsubscribe();
  }

  /** Whether `other` is this very object. */
  override _equals(other: grpc.ServerCredentials): boolean {
    return other === this;
  }
}

/** A call that a server received over TLS or not. */
interface ReceivedCall {
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Uint8Array } };
}

/** The certificate of whoever made a call: its bytes; undefined when none was asked for and shown. */
export function clientCertificate(call: ReceivedCall): Uint8Array | undefined {
  return call.getAuthContext().sslPeerCertificate?.raw;
}

/** What a channel shows, and how it checks whom it connects to. */
export interface ChannelTls {
  /** The authorities that the server's certificate must come from; the system's when absent. */
  readonly ca?: string | Uint8Array;
  /** The own certificate and key, where the server asks for one. */
  readonly certificate?: string | Uint8Array;
  readonly privateKey?: string | Uint8Array;
  /**
   * Returns what is wrong with the certificate of the server, whose authority and dates hold; or
   * undefined. `name` is the host, or what `grpc.ssl_target_name_override` says instead.
   */
  readonly check: (name: string, server: PeerCertificate) => Error | undefined;
}

/** A channel's credentials; `check` decides on the server's name. @throws when the PEM cannot be read */
export function channelCredentials(tls: ChannelTls): grpc.ChannelCredentials {
  const { ca, certificate, privateKey, check } = tls;
  return grpc.credentials.createSsl(
    ca === undefined ? null : pemBytes(ca),
    privateKey === undefined ? null : pemBytes(privateKey),
    certificate === undefined ? null : pemBytes(certificate),
    { checkServerIdentity: check },
  );
}
