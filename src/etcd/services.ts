/**
 * Every method of the etcd v3 API by service, and how it streams: what a server registers, so that
 * a method that is not built yet is told apart from one that does not exist.
 *
 * @module
 */

/** Which sides of a call are streams. */
export type MethodShape = "unary" | "client-stream" | "server-stream" | "both-stream";

/** The methods of each service of the package `etcdserverpb`. */
export const ETCD_SERVICES: Readonly<Record<string, Readonly<Record<string, MethodShape>>>> = {
  KV: {
    Range: "unary",
    RangeStream: "server-stream",
    Put: "unary",
    DeleteRange: "unary",
    Txn: "unary",
    Compact: "unary",
  },
  Watch: { Watch: "both-stream" },
  Lease: {
    LeaseGrant: "unary",
    LeaseRevoke: "unary",
    LeaseKeepAlive: "both-stream",
    LeaseTimeToLive: "unary",
    LeaseLeases: "unary",
  },
  Cluster: {
    MemberAdd: "unary",
    MemberRemove: "unary",
    MemberUpdate: "unary",
    MemberList: "unary",
    MemberPromote: "unary",
  },
  Maintenance: {
    Alarm: "unary",
    Status: "unary",
    Defragment: "unary",
    Hash: "unary",
    HashKV: "unary",
    Snapshot: "server-stream",
    MoveLeader: "unary",
    Downgrade: "unary",
  },
  Auth: {
    AuthEnable: "unary",
    AuthDisable: "unary",
    AuthStatus: "unary",
    Authenticate: "unary",
    UserAdd: "unary",
    UserGet: "unary",
    UserList: "unary",
    UserDelete: "unary",
    UserChangePassword: "unary",
    UserGrantRole: "unary",
    UserRevokeRole: "unary",
    RoleAdd: "unary",
    RoleGet: "unary",
    RoleList: "unary",
    RoleDelete: "unary",
    RoleGrantPermission: "unary",
    RoleRevokePermission: "unary",
  },
};

/** The path of a method on the wire. */
export function methodPath(service: string, method: string): string {
  return `/etcdserverpb.${service}/${method}`;
}
