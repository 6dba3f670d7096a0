/**
 * The status codes of gRPC, which errors of the client are told apart by.
 *
 * @module
 */

export { GRPC_STATUS_NAMES, GrpcStatus, type GrpcStatusName, grpcStatusName } from "../grpc/mod.ts";
