import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";

/** One end of a connection, and what has come there, a character a byte. */
export class SocketEnd {
  readonly socket: Socket;
  text = "";
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.text += chunk.toString("latin1"));
    socket.on("error", () => {}).on("close", () => this.isClosed = true);
  }
}
