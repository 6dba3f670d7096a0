/**
 * The etcd v3 API over a replicated key-value store, and a small client of it.
 *
 * @module
 */

export {
  backupChunks,
  type BackupDescription,
  BackupError,
  type OpenBackup,
  openBackup,
} from "./backup.ts";
export * from "./client.ts";
export * from "./client_options.ts";
export * from "./cluster_codec.ts";
export * from "./cluster_messages.ts";
export * from "./codec.ts";
export * from "./counters.ts";
export * from "./errors.ts";
export * from "./grpc_status.ts";
export { clusterIdNumber } from "./handlers.ts";
export * from "./messages.ts";
export { EtcdServer } from "./server.ts";
export * from "./server_options.ts";
export { ETCD_SERVICES, methodPath, type MethodShape } from "./services.ts";
export { EtcdStatus, type EtcdStatusName, type StatusError } from "./status_errors.ts";
export {
  CertificateError,
  CertificateFiles,
  type CertificateFilesOptions,
  type Certificates,
  type CertificateSource,
  type ClientCertificates,
} from "../tls/mod.ts";
export { EtcdSession, type SessionWrite } from "./session.ts";
