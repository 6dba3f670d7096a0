/**
 * A loopback proxy between two nodes. Each of its directions can be delayed or held back by itself,
 * and its connections can be cut, so that a test decides what the network does.
 */

import type { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What waits in one direction of a connection before its sender is told to wait. */
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;

/** One direction through a proxy, over all of its connections. Bytes keep their order. */
export class Direction {
  /** How long bytes are under way, in milliseconds. */
  delayMs = 0;
  /** How much longer some of them are, at most, in milliseconds. */
  jitterMs = 0;
  /** Bytes forwarded. */
  bytes = 0;
  /** Called after each forwarded piece. */
  onBytes: () => void = () => {};
  #isHeld = false;
  readonly #waiting = new Set<() => void>();

  /** Whether nothing passes. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Lets nothing pass, not even the end of a connection. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Lets everything pass again, what was held back first. */
  release(): void {
    this.#isHeld = false;
    for (const resume of [...this.#waiting]) resume();
  }

  /** Calls `resume` after each `release`, until the returned function is called. */
  whenReleased(resume: () => void): () => void {
    this.#waiting.add(resume);
    return () => void this.#waiting.delete(resume);
  }

  /** How long a piece that comes now is under way. */
  draw(): number {
    return this.delayMs + Math.random() * this.jitterMs;
  }
}

/** Passes what comes from one socket on to another, in a direction. */
export class Pipe {
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #queue: { readonly chunk: Buffer; readonly at: number }[] = [];
  readonly #forget: () => void;
  #queuedBytes = 0;
  #lastAt = 0;
  #hasEnded = false;
  #isFull = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(direction: Direction, from: Socket, to: Socket) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#forget = direction.whenReleased(() => this.#pump());
    from.on("data", (chunk: Buffer) => this.take(chunk));
    from.on("close", () => {
      this.#hasEnded = true;
      this.#pump();
    });
    to.on("drain", () => {
      this.#isFull = false;
      this.#pump();
    });
    to.on("close", () => this.#discard());
  }

  /** Passes on what was read from the first socket already. */
  take(chunk: Buffer): void {
    if (this.#to.destroyed) return;
    const at = Math.max(this.#lastAt, performance.now() + this.#direction.draw());
    this.#lastAt = at;
    this.#queue.push({ chunk, at });
    this.#queuedBytes += chunk.length;
    this.#pump();
    if (this.#queuedBytes >= QUEUE_BYTES_MAX) this.#from.pause();
  }

  /** Passes on what is due. */
  #pump(): void {
    clearTimeout(this.#timer);
    while (this.#queue.length > 0 && !this.#direction.isHeld && !this.#isFull) {
      if (this.#to.destroyed) return this.#discard();
      const leftMs = this.#queue[0].at - performance.now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(leftMs));
        return;
      }
      const { chunk } = this.#queue.shift()!;
      this.#queuedBytes -= chunk.length;
      this.#isFull = !this.#to.write(chunk);
      this.#direction.bytes += chunk.length;
      this.#direction.onBytes();
    }
    if (this.#isFull) this.#from.pause();
    else if (this.#queuedBytes < QUEUE_BYTES_MAX) this.#from.resume();
    if (!this.#hasEnded || this.#queue.length > 0 || this.#direction.isHeld) return;
    this.#forget();
    this.#to.end(() => this.#to.destroy());
  }

  /** Nobody is left to pass anything to; that the connection is closed is told the other way. */
  #discard(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#from.resume();
    if (this.#hasEnded) this.#forget();
  }
}

/** Forwards connections to one address. */
export class LoopbackProxy {
  /** From those who connect. */
  readonly forward: Direction = new Direction();
  /** To those who connect. */
  readonly backward: Direction = new Direction();
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #address = "";

  private constructor(target: string) {
    const [host, port] = target.split(":");
    this.#target = { host, port: Number(port) };
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Starts to forward to `target`, `host:port`. */
  static async start(target: string): Promise<LoopbackProxy> {
    const proxy = new LoopbackProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    const bound = proxy.#server.address() as { port: number };
    proxy.#address = `127.0.0.1:${bound.port}`;
    return proxy;
  }

  get address(): string {
    return this.#address;
  }

  /** Resets every connection, with what is under way; new ones are served. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** While a direction is held, nobody at the other end learns of the connection. */
  #accept(socket: Socket): void {
    this.#track(socket);
    let opened = false;
    const open = (): void => {
      if (opened || socket.destroyed || this.forward.isHeld || this.backward.isHeld) return;
      opened = true;
      const out = connect(this.#target.port, this.#target.host);
      this.#track(out);
      new Pipe(this.forward, socket, out);
      new Pipe(this.backward, out, socket);
    };
    const forgets = [this.forward.whenReleased(open), this.backward.whenReleased(open)];
    socket.on("close", () => forgets.forEach((forget) => forget()));
    open();
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
