/** A client and a server that speak gRPC in raw frames, to say what no transport would say. */

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import type { TransportCounters } from "../../src/transport/mod.ts";
import { GrpcTransport, type GrpcTransportOptions } from "../../src/transport/grpc/mod.ts";
import {
  encodeHello,
  encodeReceived,
  encodeWelcome,
  type Hello,
  type Welcome,
} from "../../src/wire/mod.ts";
import { Recorder, until } from "./support.ts";

const PATH = "/flaredb.raft.v1.RaftService/Deliver";
const pass = (bytes: Buffer): Buffer => bytes;

/** A started transport and what it reports. */
export interface Started {
  readonly transport: GrpcTransport;
  readonly recorder: Recorder;
}

/** Runs a test with a function that starts transports, and closes them afterwards. */
export async function withTransports(
  run: (
    start: (nodeId: number, options?: Partial<GrpcTransportOptions>) => Promise<Started>,
  ) => Promise<void>,
): Promise<void> {
  const started: GrpcTransport[] = [];
  try {
    await run(async (nodeId, options = {}) => {
      const transport = new GrpcTransport({
        clusterId: "test",
        nodeId,
        listen: "127.0.0.1:0",
        backoffMs: 10,
        backoffMsMax: 100,
        drainMs: 50,
        ...(options.tls === undefined ? { insecure: true } : {}),
        ...options,
      });
      started.push(transport);
      const recorder = new Recorder();
      await transport.start(recorder);
      return { transport, recorder };
    });
  } finally {
    await Promise.all(started.map((transport) => transport.close()));
  }
}

/** A raw stream to a transport. */
export class RawClient {
  readonly replies: Buffer[] = [];
  status: { code: number; details: string } | undefined;
  private readonly client: grpc.Client;
  private readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;

  constructor(address: string) {
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    this.call = this.client.makeBidiStreamRequest(PATH, pass, pass);
    this.call.on("data", (reply: Buffer) => this.replies.push(reply));
    this.call.on("error", (error: grpc.ServiceError) => this.status ??= error);
    this.call.on("status", (status: grpc.StatusObject) => this.status ??= status);
  }

  send(frame: Uint8Array): void {
    this.call.write(Buffer.from(frame));
  }

  /** Opens as node 9 of the cluster "test", meant for node 1, and waits until that is accepted. */
  async open(changes: Partial<Hello> = {}): Promise<void> {
    this.send(encodeHello({ ...HELLO, ...changes }));
    await until("the welcome", () => this.replies.length === 1);
  }

  /** Waits until the server has ended the call. */
  async ended(): Promise<{ code: number; details: string }> {
    await until("the end of the call", () => this.status !== undefined);
    return this.status!;
  }

  close(): void {
    this.call.cancel();
    this.client.close();
  }
}

/** What a raw client opens with. */
export const HELLO: Hello = {
  protocolVersion: 1,
  clusterId: "test",
  fromNode: 9,
  toNode: 1,
  features: [],
};

/** A server in the place of node 2, which answers with what it is told to and may stop reading. */
export class RawServer {
  readonly frames: Buffer[] = [];
  calls: grpc.ServerDuplexStream<Buffer, Buffer>[] = [];
  private readonly server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  private port = 0;

  private receivedBytes = 0;
  /** While true, it takes frames without saying so, as a receiver does that is slow to read. */
  private silent = false;

  /** @param reply what to answer a hello with; null never answers. */
  constructor(reply: Uint8Array | null = welcome()) {
    const service = {
      Deliver: {
        path: PATH,
        requestStream: true,
        responseStream: true,
        requestSerialize: pass,
        requestDeserialize: pass,
        responseSerialize: pass,
        responseDeserialize: pass,
      },
    };
    this.server.addService(service, {
      Deliver: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        this.calls.push(call);
        let greeted = false;
        call.on("data", (frame: Buffer) => {
          if (greeted) this.receive(call, frame);
          else if (reply !== null) call.write(Buffer.from(reply));
          greeted = true;
        });
        call.on("error", () => {});
      },
    });
  }

  async start(): Promise<string> {
    this.port = await new Promise<number>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure();
      this.server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    return `127.0.0.1:${this.port}`;
  }

  /** Stops reading, as far as the sender can tell. */
  pause(): void {
    this.silent = true;
  }

  /** Reads on. */
  resume(): void {
    this.silent = false;
    this.confirm();
  }

  private receive(call: grpc.ServerDuplexStream<Buffer, Buffer>, frame: Buffer): void {
    this.frames.push(frame);
    this.receivedBytes += frame.length;
    if (!this.silent && this.calls.at(-1) === call) this.confirm();
  }

  private confirm(): void {
    this.calls.at(-1)!.write(Buffer.from(encodeReceived(this.receivedBytes)));
  }

  close(): void {
    this.server.forceShutdown();
  }
}

/** A welcome of node 2. */
export function welcome(changes: Partial<Welcome> = {}): Uint8Array {
  return encodeWelcome({
    protocolVersion: 1,
    node: 2,
    features: [],
    messageBytesMax: 0,
    windowBytes: 100_000,
    ...changes,
  });
}

/** The counters that are not 0 among those of refusals. */
export function refusals(transport: GrpcTransport): Partial<TransportCounters> {
  return Object.fromEntries(
    Object.entries(transport.counters()).filter(([name, count]) =>
      name.startsWith("refused") && count > 0
    ),
  );
}
