/**
 * A connection that makes unary gRPC calls at the least cost, for a load generator that shares the
 * machine with what it measures: HTTP/2 frames straight over a socket, request headers from HPACK's
 * tables, all that is written in one turn in one piece, and response headers left unread. A call
 * counts as answered when a message came; a status that is not OK comes without one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { Flag, Frame, FRAME_HEADER_BYTES, GRPC_PREFIX_BYTES, Setting } from "./http2_frames.ts";
import { RequestHeaders } from "./http2_headers.ts";

/** Takes the bytes of the response, which are valid during the call only, or why there are none. */
export type Answered = (message: Uint8Array | undefined, failure: string) => void;

interface Call {
  readonly answered: Answered;
  /** What has arrived of the response. */
  body: Buffer | undefined;
}

interface Waiting {
  readonly path: string;
  readonly message: Uint8Array;
  readonly answered: Answered;
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const WINDOW_MAX = 0x7fff_ffff;
const WINDOW_DEFAULT = 65_535;
const WINDOW_RENEWED_BELOW = 0x4000_0000;
const STREAM_WINDOW = 16 * 1024 * 1024;

/** One connection, without TLS. */
export class Http2Connection {
  readonly #socket: Socket;
  readonly #headers: RequestHeaders;
  readonly #calls = new Map<number, Call>();
  #nextStream = 1;
  #output: Buffer = Buffer.allocUnsafe(64 * 1024);
  #outputBytes = 0;
  #input: Buffer | undefined;
  #reading = false;
  /** What may still be sent on the whole connection, and on a new stream. */
  #sendWindow = WINDOW_DEFAULT;
  #streamWindow = WINDOW_DEFAULT;
  #receiveWindow = WINDOW_MAX;
  /** Calls that wait for the window. */
  #waiting: Waiting[] = [];
  #failure: string | undefined;

  private constructor(socket: Socket, authority: string) {
    this.#socket = socket;
    this.#headers = new RequestHeaders(authority);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#fail(error.message));
    socket.on("close", () => this.#fail("the connection was closed"));
    this.#open();
  }

  /** Connects to `host:port`. @throws Error by rejection when nobody listens there. */
  static connect(endpoint: string): Promise<Http2Connection> {
    const [host, port] = endpoint.split(":");
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), host);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Http2Connection(socket, endpoint));
      });
    });
  }

  /**
   * Makes a call; it leaves with the next `flush`, or at the end of what is being read. `message` is
   * copied.
   */
  call(path: string, message: Uint8Array, answered: Answered): void {
    if (this.#failure !== undefined) return answered(undefined, this.#failure);
    const bytes = GRPC_PREFIX_BYTES + message.length;
    if (bytes > this.#sendWindow || bytes > this.#streamWindow) {
      this.#waiting.push({ path, message: Uint8Array.from(message), answered });
      return;
    }
    this.#sendWindow -= bytes;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#calls.set(stream, { answered, body: undefined });
    const headers = this.#headers.encode(path);
    this.#frameHeader(Frame.headers, Flag.endHeaders, stream, headers.length);
    this.#append(headers);
    this.#frameHeader(Frame.data, Flag.endStream, stream, bytes);
    this.#reserve(GRPC_PREFIX_BYTES);
    this.#output[this.#outputBytes] = 0;
    this.#outputBytes = this.#output.writeUInt32BE(message.length, this.#outputBytes + 1);
    this.#append(message);
  }

  /** Makes a call and waits for its response. @throws Error by rejection when there is none. */
  ask(path: string, message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.call(path, message, (response, failure) => {
        if (response === undefined) reject(new Error(`${path}: ${failure}`));
        else resolve(Uint8Array.from(response));
      });
      this.flush();
    });
  }

  /** Sends what was written. */
  flush(): void {
    if (this.#outputBytes === 0 || this.#reading) return;
    this.#socket.write(Buffer.from(this.#output.subarray(0, this.#outputBytes)));
    this.#outputBytes = 0;
  }

  /** Cuts the connection; calls under way fail. */
  close(): void {
    this.#fail("the connection was closed here");
    this.#socket.destroy();
  }

  #open(): void {
    this.#append(Buffer.from(PREFACE, "latin1"));
    // Without a table the server's headers change no state, and need not be read.
    this.#frameHeader(Frame.settings, 0, 0, 12);
    this.#writeSetting(Setting.headerTableBytes, 0);
    this.#writeSetting(Setting.initialWindow, STREAM_WINDOW);
    this.#writeNumberFrame(Frame.windowUpdate, 0, WINDOW_MAX - WINDOW_DEFAULT);
    this.flush();
  }

  #read(chunk: Buffer): void {
    let input = this.#input === undefined ? chunk : Buffer.concat([this.#input, chunk]);
    this.#input = undefined;
    this.#reading = true;
    while (input.length >= FRAME_HEADER_BYTES) {
      const length = input.readUIntBE(0, 3);
      const end = FRAME_HEADER_BYTES + length;
      if (input.length < end) break;
      const stream = input.readUInt32BE(5) & WINDOW_MAX;
      this.#receive(input[3], input[4], stream, input.subarray(FRAME_HEADER_BYTES, end));
      input = input.subarray(end);
    }
    if (input.length > 0) this.#input = Buffer.from(input);
    this.#reading = false;
    this.flush();
  }

  #receive(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case Frame.data:
        return this.#receiveData(flags, stream, payload);
      case Frame.headers:
        if ((flags & Flag.endStream) !== 0) this.#end(stream, "it ended with a status, no message");
        return;
      case Frame.resetStream:
        return this.#end(stream, `the stream was reset with code ${payload.readUInt32BE(0)}`);
      case Frame.settings:
        if ((flags & Flag.acknowledge) === 0) this.#receiveSettings(payload);
        return;
      case Frame.ping:
        if ((flags & Flag.acknowledge) !== 0) return;
        this.#frameHeader(Frame.ping, Flag.acknowledge, 0, payload.length);
        return this.#append(payload);
      case Frame.goAway:
        return this.#fail(`the server is going away, code ${payload.readUInt32BE(4)}`);
      case Frame.windowUpdate:
        if (stream === 0) this.#sendWindow += payload.readUInt32BE(0);
        return this.#sendWaiting();
    }
  }

  #receiveData(flags: number, stream: number, payload: Buffer): void {
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < WINDOW_RENEWED_BELOW) {
      this.#writeNumberFrame(Frame.windowUpdate, 0, WINDOW_MAX - this.#receiveWindow);
      this.#receiveWindow = WINDOW_MAX;
    }
    if ((flags & Flag.padded) !== 0) payload = payload.subarray(1, payload.length - payload[0]);
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    // Read before this turn ends; only a message in parts must outlive it.
    if (call.body === undefined && isWholeMessage(payload)) {
      this.#calls.delete(stream);
      return call.answered(payload.subarray(GRPC_PREFIX_BYTES), "");
    }
    call.body = call.body === undefined
      ? Buffer.from(payload)
      : Buffer.concat([call.body, payload]);
    if (!isWholeMessage(call.body)) return;
    this.#calls.delete(stream);
    call.answered(call.body.subarray(GRPC_PREFIX_BYTES), "");
  }

  #end(stream: number, failure: string): void {
    const call = this.#calls.get(stream);
    this.#calls.delete(stream);
    call?.answered(undefined, failure);
  }

  #receiveSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const setting = payload.readUInt16BE(at);
      if (setting === Setting.initialWindow) this.#streamWindow = value;
      if (setting === Setting.headerTableBytes && value < RequestHeaders.tableBytes) {
        this.#fail(`the server keeps only ${value} bytes of headers`);
      }
    }
    this.#frameHeader(Frame.settings, Flag.acknowledge, 0, 0);
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { path, message, answered } of waiting) this.call(path, message, answered);
  }

  #fail(failure: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    const calls = [...this.#calls.values(), ...this.#waiting];
    this.#calls.clear();
    this.#waiting = [];
    for (const { answered } of calls) answered(undefined, failure);
  }

  #frameHeader(type: number, flags: number, stream: number, length: number): void {
    this.#reserve(FRAME_HEADER_BYTES);
    const at = this.#output.writeUIntBE(length, this.#outputBytes, 3);
    this.#output[at] = type;
    this.#output[at + 1] = flags;
    this.#outputBytes = this.#output.writeUInt32BE(stream, at + 2);
  }

  #writeNumberFrame(type: number, stream: number, value: number): void {
    this.#frameHeader(type, 0, stream, 4);
    this.#reserve(4);
    this.#outputBytes = this.#output.writeUInt32BE(value, this.#outputBytes);
  }

  #writeSetting(setting: number, value: number): void {
    this.#reserve(6);
    const at = this.#output.writeUInt16BE(setting, this.#outputBytes);
    this.#outputBytes = this.#output.writeUInt32BE(value, at);
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#output.set(bytes, this.#outputBytes);
    this.#outputBytes += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#outputBytes + bytes <= this.#output.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#output.length * 2, this.#outputBytes + bytes));
    this.#output.copy(grown, 0, 0, this.#outputBytes);
    this.#output = grown;
  }
}

function isWholeMessage(body: Buffer): boolean {
  return body.length >= GRPC_PREFIX_BYTES &&
    body.length === GRPC_PREFIX_BYTES + body.readUInt32BE(1);
}
