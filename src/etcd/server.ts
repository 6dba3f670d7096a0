/**
 * `EtcdServer`: the etcd v3 API over gRPC, on every member alike. Writes are proposed through the
 * node, which forwards them to the leader; reads wait for a barrier and then read the local store.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import {
  type ProtoReader,
  type ProtoWriter,
  readDeleteRangeRequest,
  readPutRequest,
  readRangeRequest,
  readTxnRequest,
} from "../kv/mod.ts";
import { SourceServerCredentials } from "../tls/grpc_credentials.ts";
import { limitConnections, listenWith } from "../tls/mod.ts";
import {
  readMemberAddRequest,
  readMemberIdRequest,
  readMemberUpdateRequest,
  writeMemberAddResponse,
  writeMemberChangeResponse,
} from "./cluster_codec.ts";
import { ClusterHandlers } from "./cluster_handlers.ts";
import {
  readMemberListRequest,
  writeDeleteRangeResponse,
  writeMemberListResponse,
  writePutResponse,
  writeRangeResponse,
  writeStatusResponse,
  writeTxnResponse,
} from "./codec.ts";
import { COUNTERS_PATH, writeCounters } from "./counters.ts";
import { ListenError } from "./errors.ts";
import {
  registerMethods,
  type ServedMethod,
  unaryMethod,
  unimplementedMethod,
} from "./grpc_methods.ts";
import { type Answer, EtcdHandlers } from "./handlers.ts";
import { moveLeader } from "./move_leader.ts";
import {
  type CheckedServerOptions,
  checkServerOptions,
  type EtcdServerOptions,
  FRAME_OVERHEAD_BYTES,
} from "./server_options.ts";
import { snapshotMethod } from "./snapshot_stream.ts";
import { addSessionMethods } from "./session_handlers.ts";
import { ETCD_SERVICES, methodPath } from "./services.ts";

/** Serves the etcd v3 API of one member. */
export class EtcdServer {
  readonly #options: CheckedServerOptions;
  readonly #server: grpc.Server;
  readonly #credentials: SourceServerCredentials | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Checks the options; `start` listens.
   *
   * @throws ConfigError when an option is invalid; CertificateError when a certificate is.
   */
  constructor(options: EtcdServerOptions) {
    this.#options = checkServerOptions(options);
    const { tls, requestBytesMax, streamsPerConnectionMax } = this.#options;
    if (tls !== "insecure") {
      const { certificates, clientCertificates = "none" } = tls;
      this.#credentials = new SourceServerCredentials(certificates, clientCertificates);
    }
    this.#server = new grpc.Server({
      "grpc.max_receive_message_length": requestBytesMax + FRAME_OVERHEAD_BYTES,
      "grpc.max_send_message_length": -1,
      "grpc.enable_channelz": 0,
      "grpc.max_concurrent_streams": streamsPerConnectionMax,
    });
    registerMethods(this.#server, allMethods(new EtcdHandlers(this.#options), this.#options));
  }

  /** Listens. Returns the address with the port that was bound. @throws ListenError */
  async start(): Promise<string> {
    const { listen } = this.#options;
    const credentials = this.#credentials ?? grpc.ServerCredentials.createInsecure();
    let port: number;
    try {
      port = await listenWith(this.#server, listen, credentials);
    } catch (cause) {
      throw new ListenError(listen, cause as Error);
    }
    limitConnections(this.#server, this.#options.connectionsMax);
    return listen.replace(/:\d+$/, `:${port}`);
  }

  /**
   * Stops listening and lets calls under way end, for at most `closeGraceMs`; connections that are
   * still open then are cut. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#credentials?.close();
        this.#server.forceShutdown();
        resolve();
      };
      const timer = setTimeout(finish, this.#options.closeGraceMs);
      this.#server.tryShutdown(finish);
    });
    return this.#closing;
  }
}

/** The methods of all services: those that are not served yet say so. */
function allMethods(
  handlers: EtcdHandlers,
  options: CheckedServerOptions,
): Map<string, ServedMethod> {
  const methods = servedMethods(handlers, options);
  for (const [service, names] of Object.entries(ETCD_SERVICES)) {
    for (const [name, shape] of Object.entries(names)) {
      const path = methodPath(service, name);
      if (!methods.has(path)) methods.set(path, unimplementedMethod(path, shape));
    }
  }
  methods.set(
    COUNTERS_PATH,
    unaryMethod(
      COUNTERS_PATH,
      () => undefined,
      writeCounters,
      (_request, _deadline, answer) => handlers.counters(answer),
    ),
  );
  return methods;
}

function servedMethods(
  handlers: EtcdHandlers,
  options: CheckedServerOptions,
): Map<string, ServedMethod> {
  const served = new Map<string, ServedMethod>();
  const add = <Request, Response>(
    path: string,
    decode: (reader: ProtoReader) => Request,
    encode: (writer: ProtoWriter, response: Response) => void,
    handle: (request: Request, deadline: number, answer: Answer<Response>) => void,
  ) => served.set(path, unaryMethod(path, decode, encode, handle));
  add(
    "/etcdserverpb.KV/Range",
    readRangeRequest,
    writeRangeResponse,
    handlers.range.bind(handlers),
  );
  add("/etcdserverpb.KV/Put", readPutRequest, writePutResponse, handlers.put.bind(handlers));
  add(
    "/etcdserverpb.KV/DeleteRange",
    readDeleteRangeRequest,
    writeDeleteRangeResponse,
    handlers.deleteRange.bind(handlers),
  );
  add(
    "/etcdserverpb.KV/Txn",
    (reader) => readTxnRequest(reader),
    writeTxnResponse,
    handlers.txn.bind(handlers),
  );
  add(
    "/etcdserverpb.Cluster/MemberList",
    readMemberListRequest,
    writeMemberListResponse,
    handlers.memberList.bind(handlers),
  );
  add(
    "/etcdserverpb.Maintenance/Status",
    () => undefined,
    writeStatusResponse,
    (_request, _deadline, answer) => handlers.status(answer),
  );
  add(
    "/etcdserverpb.Maintenance/MoveLeader",
    readMemberIdRequest,
    writeMemberChangeResponse,
    (request, deadline, answer) => moveLeader(options, handlers, request, deadline, answer),
  );
  const snapshotPath = methodPath("Maintenance", "Snapshot");
  served.set(snapshotPath, snapshotMethod(snapshotPath, options));
  addSessionMethods(add, handlers, options);
  const { membership } = options;
  if (membership === undefined) return served;
  const cluster = new ClusterHandlers(options, membership, handlers);
  add(
    "/etcdserverpb.Cluster/MemberAdd",
    readMemberAddRequest,
    writeMemberAddResponse,
    cluster.add.bind(cluster),
  );
  add(
    "/etcdserverpb.Cluster/MemberUpdate",
    readMemberUpdateRequest,
    writeMemberChangeResponse,
    cluster.update.bind(cluster),
  );
  for (
    const [name, handle] of [["Promote", cluster.promote], ["Remove", cluster.remove]] as const
  ) {
    add(
      `/etcdserverpb.Cluster/Member${name}`,
      readMemberIdRequest,
      writeMemberChangeResponse,
      handle.bind(cluster),
    );
  }
  return served;
}
