/** A loopback proxy between two nodes, whose connections a test can cut. */

import { connect, createServer, type Server, type Socket } from "node:net";

/** Forwards connections to one address. */
export class LoopbackProxy {
  /** Bytes forwarded from those who connect. */
  bytes = 0;
  /** While true, nothing is forwarded to those who connect. */
  silent = false;
  /** Called after each forwarded piece. */
  onBytes: () => void = () => {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] = [];
  #address = "";

  private constructor(target: string) {
    const [host, port] = target.split(":");
    this.#server = createServer((socket) => {
      const out = connect(Number(port), host);
      this.#sockets.add(socket);
      this.#sockets.add(out);
      socket.on("data", (chunk) => {
        this.bytes += chunk.length;
        if (!out.write(chunk)) socket.pause();
        this.onBytes();
      });
      out.on("drain", () => socket.resume());
      out.on("data", (chunk) => {
        if (this.silent) this.#held.push(() => void socket.write(chunk));
        else if (!socket.write(chunk)) out.pause();
      });
      socket.on("drain", () => out.resume());
      for (const [one, other] of [[socket, out], [out, socket]]) {
        one.on("error", () => {});
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
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

  /** Forwards again to those who connect, what was held back first. */
  speak(): void {
    this.silent = false;
    for (const write of this.#held.splice(0)) write();
  }

  /** Cuts every connection; new ones are served. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
