/** A server with a few methods of every kind, and what talks to it byte by byte. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { FrameFlag, FrameType } from "../../src/grpc/frames.ts";
import {
  GrpcServer,
  type GrpcServerOptions,
  type OpenCall,
  unaryMethod,
} from "../../src/grpc/mod.ts";
import { until } from "../process/support.ts";

/** What the methods below saw. */
export interface Seen {
  /** Calls of `/t/Hold` that wait for `release`. */
  held: (() => void)[];
  /** How many calls were cancelled. */
  cancelled: number;
}

/** The methods: Echo, Hold (answers when released), Stream (n messages of a size), Bidi (echoes). */
export function methodsOf(seen: Seen): Map<string, OpenCall> {
  return new Map<string, OpenCall>([
    ["/t/Echo", unaryMethod((request, call) => call.respond(request))],
    [
      "/t/Throw",
      unaryMethod(() => {
        throw new Error("on purpose: 100 % ü");
      }),
    ],
    ["/t/Hold", unaryMethod((request, call) => seen.held.push(() => call.respond(request)))],
    ["/t/Stream", (call) => ({
      message: (bytes) => {
        const [count, size] = JSON.parse(Buffer.from(bytes).toString()) as [number, number];
        void (async () => {
          for (let at = 0; at < count && !call.isOver; at++) {
            call.send(new Uint8Array(size).fill(at));
            await call.untilSent();
          }
          call.end();
        })();
      },
      end: () => {},
      cancelled: () => void seen.cancelled++,
    })],
    ["/t/Bidi", (call) => ({
      message: (bytes) => call.send(bytes),
      end: () => call.end(),
      cancelled: () => void seen.cancelled++,
    })],
  ]);
}

/** Runs `action` with a server on loopback; all is closed afterwards. */
export async function withGrpcServer(
  action: (endpoint: string, seen: Seen, server: GrpcServer) => Promise<void>,
  options: Partial<GrpcServerOptions> = {},
): Promise<void> {
  const seen: Seen = { held: [], cancelled: 0 };
  const server = new GrpcServer({
    methods: methodsOf(seen),
    messageBytesMax: 1024 * 1024,
    streamsMax: 100,
    connectionsMax: 100,
    tls: "insecure",
    ...options,
  });
  const port = await server.listen("127.0.0.1", 0);
  try {
    await action(`127.0.0.1:${port}`, seen, server);
  } finally {
    await server.close(0);
  }
}

/** A frame that arrived. */
export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A connection on which frames are written by hand. */
export class RawClient {
  readonly frames: ReceivedFrame[] = [];
  closed = false;
  readonly #socket: Socket;
  #input = Buffer.alloc(0);

  constructor(endpoint: string, preface = true) {
    const [host, port] = endpoint.split(":");
    this.#socket = connect(Number(port), host);
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.closed = true);
    if (!preface) return;
    this.write(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    this.frame(FrameType.settings, 0, 0);
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  frame(
    type: number,
    flags: number,
    streamId: number,
    payload: Uint8Array = new Uint8Array(),
  ): void {
    this.write(frameOf(type, flags, streamId, payload));
  }

  /** The headers of a call, all literals; `more` are added to those that every call has. */
  headers(streamId: number, path: string, more: Record<string, string> = {}, flags = 0): void {
    const block = headerBlock({
      ":method": "POST",
      ":scheme": "http",
      ":path": path,
      "content-type": "application/grpc",
      ...more,
    });
    this.frame(FrameType.headers, FrameFlag.endHeaders | flags, streamId, block);
  }

  /** A message, in a frame of its own. */
  message(streamId: number, bytes: Uint8Array, last = true): void {
    this.frame(FrameType.data, last ? FrameFlag.endStream : 0, streamId, messageOf(bytes));
  }

  /** Waits for a frame of this type, on this stream. */
  async frameOf(type: number, streamId = 0): Promise<ReceivedFrame> {
    return await until(`a frame of type ${type}`, () => this.find(type, streamId));
  }

  find(type: number, streamId: number): ReceivedFrame | undefined {
    return this.frames.find((one) => one.type === type && one.streamId === streamId);
  }

  /** Waits until the server ends the connection, and returns the code it gave, and its reason. */
  async farewell(): Promise<[code: number, reason: string]> {
    await until("the end of the connection", () => this.closed);
    const { payload } = this.frames.find(({ type }) => type === FrameType.goAway)!;
    return [payload.readUInt32BE(4), payload.subarray(8).toString()];
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    while (this.#input.length >= 9) {
      const end = 9 + this.#input.readUIntBE(0, 3);
      if (this.#input.length < end) return;
      this.frames.push({
        type: this.#input[3],
        flags: this.#input[4],
        streamId: this.#input.readUInt32BE(5),
        payload: Buffer.from(this.#input.subarray(9, end)),
      });
      this.#input = this.#input.subarray(end);
    }
  }
}

/** A frame as bytes. */
export function frameOf(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array,
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/** A message with its prefix. */
export function messageOf(bytes: Uint8Array, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** Headers as literals that change no table; each text is shorter than 127 characters. */
export function headerBlock(headers: Record<string, string>): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat(
    Object.entries(headers).map(([name, value]) =>
      Buffer.concat([Buffer.from([0]), text(name), text(value)])
    ),
  );
}
