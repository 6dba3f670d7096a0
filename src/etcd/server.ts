/**
 * `EtcdServer`: the etcd v3 API over gRPC, on every member alike. Writes are proposed through the
 * node, which forwards them to the leader; reads wait for a barrier and then read the local store.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import {
  ProtoReader,
  ProtoWriter,
  readDeleteRangeRequest,
  readPutRequest,
  readRangeRequest,
  readTxnRequest,
} from "../kv/mod.ts";
import { SourceServerCredentials } from "../tls/grpc_credentials.ts";
import { limitConnections } from "../tls/mod.ts";
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
import { GrpcStatus } from "./grpc_status.ts";
import { type Answer, EtcdHandlers } from "./handlers.ts";
import {
  type CheckedServerOptions,
  checkServerOptions,
  type EtcdServerOptions,
  FRAME_OVERHEAD_BYTES,
} from "./server_options.ts";
import { serveSnapshot } from "./snapshot_stream.ts";
import { ETCD_SERVICES, methodPath, type MethodShape } from "./services.ts";

/** Serves the etcd v3 API of one member. */
export class EtcdServer {
  readonly #options: CheckedServerOptions;
  readonly #server: grpc.Server;
  readonly #credentials: SourceServerCredentials | undefined;
  #closing: Promise<void> | undefined;

  /** @throws ConfigError when an option is invalid; CertificateError when a certificate is */
  /** Checks the options; `start` listens. @throws ConfigError */
  constructor(options: EtcdServerOptions) {
    this.#options = checkServerOptions(options);
    const { tls } = this.#options;
    if (tls !== "insecure") {
      const { certificates, clientCertificates = "none" } = tls;
      this.#credentials = new SourceServerCredentials(certificates, clientCertificates);
    }
    this.#server = new grpc.Server({
      "grpc.max_receive_message_length": this.#options.requestBytesMax + FRAME_OVERHEAD_BYTES,
      "grpc.max_send_message_length": -1,
      "grpc.enable_channelz": 0,
      "grpc.max_concurrent_streams": this.#options.streamsPerConnectionMax,
    });
    registerServices(this.#server, new EtcdHandlers(this.#options), this.#options);
  }

  /** Listens. Returns the address with the port that was bound. @throws ListenError */
  start(): Promise<string> {
    const { listen } = this.#options;
    const credentials = this.#credentials ?? grpc.ServerCredentials.createInsecure();
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(listen, credentials, (cause, port) => {
        if (cause !== null) return reject(new ListenError(listen, cause));
        limitConnections(this.#server, this.#options.connectionsMax);
        resolve(listen.replace(/:\d+$/, `:${port}`));
      });
    });
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

const SNAPSHOT_PATH = methodPath("Maintenance", "Snapshot");

interface ServedMethod {
  readonly definition: grpc.MethodDefinition<unknown, unknown>;
  readonly handler: grpc.UntypedHandleCall;
}

function registerServices(
  server: grpc.Server,
  handlers: EtcdHandlers,
  options: CheckedServerOptions,
): void {
  const served = servedMethods(handlers, options);
  for (const [service, methods] of Object.entries(ETCD_SERVICES)) {
    const definition: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
    const implementation: Record<string, grpc.UntypedHandleCall> = {};
    for (const [name, shape] of Object.entries(methods)) {
      const path = methodPath(service, name);
      const method = served.get(path) ?? unimplemented(path, shape);
      definition[name] = method.definition;
      implementation[name] = method.handler;
    }
    server.addService(definition, implementation);
  }
  const { definition, handler } = unary(
    COUNTERS_PATH,
    () => ({}),
    writeCounters,
    (_request, _deadline, answer) => handlers.counters(answer),
  );
  server.addService({ Counters: definition }, { Counters: handler });
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
  ) => served.set(path, unary(path, decode, encode, handle));
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
    // Without a value grpc-js takes the request for missing.
    () => ({}),
    writeStatusResponse,
    (_request, _deadline, answer) => handlers.status(answer),
  );
  served.set(SNAPSHOT_PATH, snapshotMethod(options));
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

function snapshotMethod(options: CheckedServerOptions): ServedMethod {
  const definition = methodDefinition(SNAPSHOT_PATH, "server-stream");
  definition.requestDeserialize = () => ({});
  const handler = (call: grpc.ServerWritableStream<unknown, unknown>) =>
    void serveSnapshot(call, options);
  return { definition, handler: handler as grpc.UntypedHandleCall };
}

function unary<Request, Response>(
  path: string,
  decode: (reader: ProtoReader) => Request,
  encode: (writer: ProtoWriter, response: Response) => void,
  handle: (request: Request, deadline: number, answer: Answer<Response>) => void,
): ServedMethod {
  const writer = new ProtoWriter();
  const definition = methodDefinition(path, "unary");
  definition.requestDeserialize = (bytes) => decode(new ProtoReader(bytes));
  definition.responseSerialize = (response) => {
    encode(writer, response as Response);
    const bytes = writer.finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const handler: grpc.handleUnaryCall<Request, Response> = (call, callback) => {
    handle(call.request, Number(call.getDeadline()), callback);
  };
  return { definition, handler: handler as grpc.UntypedHandleCall };
}

function methodDefinition(
  path: string,
  shape: MethodShape,
): {
  -readonly [K in keyof grpc.MethodDefinition<unknown, unknown>]: grpc.MethodDefinition<
    unknown,
    unknown
  >[K];
} {
  const opaque = (value: unknown) => value as Buffer;
  return {
    path,
    requestStream: shape === "client-stream" || shape === "both-stream",
    responseStream: shape === "server-stream" || shape === "both-stream",
    requestSerialize: opaque,
    requestDeserialize: opaque,
    responseSerialize: opaque,
    responseDeserialize: opaque,
  };
}

function unimplemented(path: string, shape: MethodShape): ServedMethod {
  const status = {
    code: GrpcStatus.UNIMPLEMENTED,
    details: `flaredb does not serve ${path} yet`,
  };
  const definition = methodDefinition(path, shape);
  const answersByCallback = shape === "unary" || shape === "client-stream";
  const handler = answersByCallback
    ? (_call: unknown, callback: grpc.sendUnaryData<unknown>) => callback(status)
    : (call: grpc.ServerWritableStream<unknown, unknown>) => void call.emit("error", status);
  return { definition, handler: handler as grpc.UntypedHandleCall };
}
