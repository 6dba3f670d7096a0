/**
 * The transport over gRPC: {@linkcode GrpcTransport}, its options and their defaults.
 *
 * @example
 * ```ts
 * import { GrpcTransport } from "@flaredb/raft/transport/grpc";
 *
 * const transport = new GrpcTransport({
 *   clusterId: "example",
 *   nodeId: 1,
 *   listen: "127.0.0.1:0",
 *   insecure: true,
 * });
 * await transport.start({ receive() {}, unreachable() {}, snapshotSent() {} });
 * await transport.close();
 * ```
 *
 * @module
 */

export { GrpcTransport } from "./transport.ts";
export { type GrpcTransportOptions, PROTOCOL_VERSION, type TlsOptions } from "./options.ts";
export {
  CertificateError,
  CertificateFiles,
  type CertificateFilesOptions,
  type Certificates,
  type CertificateSource,
  nodeCertificateName,
} from "../../tls/mod.ts";
