/**
 * TLS: certificates that may change while they are used, the names that certificates of nodes carry,
 * and both as gRPC takes them; and what all gRPC servers and clients share: how they listen, the bound
 * on connections, how failures read. Making certificates is in `authority.ts`, a face of its own.
 *
 * @module
 */

export {
  type Certificates,
  type CertificateSource,
  certificateSource,
  checkCertificates,
  type ClientCertificates,
} from "./certificates.ts";
export {
  CERTIFICATE_FILE_BYTES_MAX,
  CertificateFiles,
  type CertificateFilesOptions,
  readCertificateFile,
} from "./certificate_files.ts";
export { limitConnections } from "./connection_limit.ts";
export { CertificateError } from "./errors.ts";
export { withoutEmptyNote } from "./grpc_details.ts";
export { listenWith } from "./grpc_listening.ts";
export { certificateHasName, certificateNames, nodeCertificateName } from "./node_name.ts";
