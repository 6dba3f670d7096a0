/**
 * The errors of the gRPC server.
 *
 * @module
 */

import { RaftError } from "../raft/mod.ts";

/** The other side of a connection broke the rules of HTTP/2, or a limit; the connection ends with it. */
export class Http2Error extends RaftError {
  /** The code of HTTP/2 that the connection is ended with. */
  readonly http2Code: number;

  /** Says what was wrong. */
  constructor(http2Code: number, message: string) {
    super("HTTP2", message);
    this.http2Code = http2Code;
  }
}
