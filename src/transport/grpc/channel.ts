/**
 * What gRPC is told: the method, the channel's and the server's options, the credentials. The only
 * bytes that gRPC sees are frames that the wire codec has made.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";
import {
  channelCredentials as tlsChannelCredentials,
  SourceServerCredentials,
} from "../../tls/grpc_credentials.ts";
import { certificateHasName, certificateNames } from "../../tls/mod.ts";
import { QUESTION_BYTES_MAX } from "../../wire/mod.ts";
import { type CheckedOptions, type CheckedTls, FRAME_OVERHEAD_BYTES } from "./options.ts";

/** The path of the messages' method: package, service and rpc of `proto/raft_service.proto`. */
export const DELIVER_PATH = "/flaredb.raft.v1.RaftService/Deliver";

/** The path of the snapshots' method. */
export const SEND_SNAPSHOT_PATH = "/flaredb.raft.v1.RaftService/SendSnapshot";

/** The path of the method that answers questions. */
export const ASK_PATH = "/flaredb.raft.v1.RaftService/Ask";

/** Passes frames through gRPC as they are. */
export function passBytes(bytes: Buffer): Buffer {
  return bytes;
}

/** The service, for a server that reads and writes raw frames. */
export const RAFT_SERVICE: grpc.ServiceDefinition = {
  Deliver: streamOfFrames(DELIVER_PATH),
  SendSnapshot: streamOfFrames(SEND_SNAPSHOT_PATH),
  Ask: methodOfBytes(ASK_PATH, false),
};

function streamOfFrames(path: string): grpc.MethodDefinition<Buffer, Buffer> {
  return methodOfBytes(path, true);
}

function methodOfBytes(path: string, streams: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: streams,
    responseStream: streams,
    requestSerialize: passBytes,
    requestDeserialize: passBytes,
    responseSerialize: passBytes,
    responseDeserialize: passBytes,
  };
}

/**
 * The largest frame that is received: what this side announces, with the overhead of a frame. The
 * dialer keeps its frames below what the listener announced.
 */
export function receiveBytesMax(options: CheckedOptions): number {
  return options.messageBytesMax + FRAME_OVERHEAD_BYTES;
}

/** The largest message that goes back to a dialer: an answer, with the overhead of its field. */
const ANSWER_BYTES_MAX = QUESTION_BYTES_MAX + FRAME_OVERHEAD_BYTES;

/** How a server treats its connections. */
export function serverOptions(options: CheckedOptions): grpc.ServerOptions {
  return {
    "grpc.max_receive_message_length": receiveBytesMax(options),
    "grpc.max_send_message_length": ANSWER_BYTES_MAX,
    "grpc.max_concurrent_streams": 16,
    "grpc.keepalive_time_ms": options.keepaliveMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
  };
}

/**
 * How a channel treats its one connection. Every attempt has a channel of its own, which never tries
 * again by itself: the transport decides when.
 */
export function channelOptions(options: CheckedOptions, nodeId: number): grpc.ChannelOptions {
  const name = options.tls?.peerName(nodeId);
  return {
    "grpc.max_receive_message_length": ANSWER_BYTES_MAX,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": options.keepaliveMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
    ...(name === undefined ? {} : { "grpc.ssl_target_name_override": name }),
  };
}

/** What a server shows, and asks of those who connect; to be closed with it. */
export interface ListenCredentials {
  readonly credentials: grpc.ServerCredentials;
  /** Stops following the source of certificates. */
  close(): void;
}

/** What this node listens with. */
export function listenCredentials(tls: CheckedTls | undefined): ListenCredentials {
  if (tls === undefined) {
    return { credentials: grpc.ServerCredentials.createInsecure(), close() {} };
  }
  const credentials = new SourceServerCredentials(tls.source, "required");
  return { credentials, close: () => credentials.close() };
}

/**
 * What a channel shows now, and asks of whom it connects to: a certificate with exactly the name that
 * `channelOptions` tells.
 */
export function channelCredentials(tls: CheckedTls | undefined): grpc.ChannelCredentials {
  if (tls === undefined) return grpc.credentials.createInsecure();
  return tlsChannelCredentials({
    ...tls.source.current(),
    check: (name, { raw }) =>
      certificateHasName(raw, name)
        ? undefined
        : new Error(`its certificate must carry the name ${name}: it has ${certificateNames(raw)}`),
  });
}
