/**
 * The status codes of gRPC by number, for error messages and `code` of errors.
 *
 * @module
 */

/** The names of the statuses; the place of each is its number. */
export const GRPC_STATUS_NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** The name of a gRPC status. */
export type GrpcStatusName = (typeof GRPC_STATUS_NAMES)[number];

/** The number of each status. */
export const GrpcStatus = Object.freeze(
  Object.fromEntries(GRPC_STATUS_NAMES.map((name, code) => [name, code])),
) as Readonly<Record<GrpcStatusName, number>>;

/** The name of a status number; `"UNKNOWN"` for one that gRPC does not define. */
export function grpcStatusName(code: number): GrpcStatusName {
  return GRPC_STATUS_NAMES[code] ?? "UNKNOWN";
}
