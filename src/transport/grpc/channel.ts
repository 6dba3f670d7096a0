/**
 * What gRPC is told: the method, the channel's and the server's options, the credentials. The only
 * bytes that gRPC sees are frames that the wire codec has made.
 *
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { type CheckedOptions, FRAME_OVERHEAD_BYTES, type TlsOptions } from "./options.ts";

/** The method's path: package, service and rpc of `proto/raft_service.proto`. */
export const DELIVER_PATH = "/flaredb.raft.v1.RaftService/Deliver";

/** Passes frames through gRPC as they are. */
export function passBytes(bytes: Buffer): Buffer {
  return bytes;
}

/** The service, for a server that reads and writes raw frames. */
export const RAFT_SERVICE: grpc.ServiceDefinition = {
  Deliver: {
    path: DELIVER_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: passBytes,
    requestDeserialize: passBytes,
    responseSerialize: passBytes,
    responseDeserialize: passBytes,
  },
};

/**
 * The largest frame that is received: what this side announces, with the overhead of a frame. The
 * dialer keeps its frames below what the listener announced.
 */
export function receiveBytesMax(options: CheckedOptions): number {
  return options.messageBytesMax + FRAME_OVERHEAD_BYTES;
}

/** How a server treats its connections. */
export function serverOptions(options: CheckedOptions): grpc.ServerOptions {
  return {
    "grpc.max_receive_message_length": receiveBytesMax(options),
    "grpc.max_send_message_length": 64 * 1024,
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
  const name = options.tls?.peerName?.(nodeId);
  return {
    "grpc.max_receive_message_length": 64 * 1024,
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

/** What a server shows, and asks of those who connect. */
export function serverCredentials(tls: TlsOptions | undefined): grpc.ServerCredentials {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure();
  const pair = { private_key: pem(tls.key), cert_chain: pem(tls.cert) };
  return grpc.ServerCredentials.createSsl(pem(tls.ca), [pair], true);
}

/** What a channel shows, and asks of whom it connects to. */
export function channelCredentials(tls: TlsOptions | undefined): grpc.ChannelCredentials {
  if (tls === undefined) return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
}

function pem(text: string | Uint8Array): Buffer {
  return typeof text === "string" ? Buffer.from(text) : Buffer.from(text);
}
