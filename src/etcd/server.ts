/**
 * `EtcdServer`: the etcd v3 API over gRPC, on every member alike. Writes are proposed through the
 * node, which forwards them to the leader; reads wait for a barrier and then read the local store.
 *
 * @module
 */

import { GrpcServer, GrpcStatus, type OpenCall, unaryMethod } from "../grpc/mod.ts";
import {
  ProtoReader,
  ProtoWriter,
  readDeleteRangeRequest,
  readPutRequest,
  readRangeRequest,
  readTxnRequest,
} from "../kv/mod.ts";
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
  readonly #server: GrpcServer;

  /**
   * Checks the options; `start` listens.
   *
   * @throws ConfigError when an option is invalid; CertificateError when a certificate is.
   */
  constructor(options: EtcdServerOptions) {
    this.#options = checkServerOptions(options);
    const { tls, requestBytesMax, streamsPerConnectionMax, connectionsMax } = this.#options;
    this.#server = new GrpcServer({
      methods: allMethods(new EtcdHandlers(this.#options), this.#options),
      messageBytesMax: requestBytesMax + FRAME_OVERHEAD_BYTES,
      streamsMax: streamsPerConnectionMax,
      connectionsMax,
      tls: tls === "insecure" ? tls : { clientCertificates: "none", ...tls },
    });
  }

  /** Listens. Returns the address with the port that was bound. @throws ListenError */
  async start(): Promise<string> {
    const { listen } = this.#options;
    const colon = listen.lastIndexOf(":");
    const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
    try {
      const port = await this.#server.listen(host, Number(listen.slice(colon + 1)));
      return `${listen.slice(0, colon)}:${port}`;
    } catch (cause) {
      throw new ListenError(listen, cause as Error);
    }
  }

  /**
   * Stops listening and lets calls under way end, for at most `closeGraceMs`; connections that are
   * still open then are cut. Idempotent.
   */
  close(): Promise<void> {
    return this.#server.close(this.#options.closeGraceMs);
  }
}

/** The methods of all services: those that are not served yet say so. */
function allMethods(
  handlers: EtcdHandlers,
  options: CheckedServerOptions,
): Map<string, OpenCall> {
  const methods = servedMethods(handlers, options);
  for (const [service, names] of Object.entries(ETCD_SERVICES)) {
    for (const name of Object.keys(names)) {
      const path = methodPath(service, name);
      if (!methods.has(path)) methods.set(path, unimplemented(path));
    }
  }
  methods.set(
    COUNTERS_PATH,
    unary(
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
): Map<string, OpenCall> {
  const served = new Map<string, OpenCall>();
  const add = <Request, Response>(
    path: string,
    decode: (reader: ProtoReader) => Request,
    encode: (writer: ProtoWriter, response: Response) => void,
    handle: (request: Request, deadline: number, answer: Answer<Response>) => void,
  ) => served.set(path, unary(decode, encode, handle));
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
  served.set(methodPath("Maintenance", "Snapshot"), snapshotMethod(options));
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

function unary<Request, Response>(
  decode: (reader: ProtoReader) => Request,
  encode: (writer: ProtoWriter, response: Response) => void,
  handle: (request: Request, deadline: number, answer: Answer<Response>) => void,
): OpenCall {
  const writer = new ProtoWriter();
  return unaryMethod((bytes, call) => {
    handle(decode(new ProtoReader(bytes)), call.deadline, (error, response) => {
      if (error !== null) return call.fail(error.code, error.details);
      encode(writer, response as Response);
      call.respond(writer.finish());
    });
  });
}

function unimplemented(path: string): OpenCall {
  return (call) => {
    call.end(GrpcStatus.UNIMPLEMENTED, `flaredb does not serve ${path} yet`);
    return { message: () => {}, end: () => {} };
  };
}
