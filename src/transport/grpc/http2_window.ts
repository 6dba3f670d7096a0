/**
 * Widens the flow-control window of HTTP/2 on a connection that was accepted. Its default of 64 KiB is
 * all that may be under way, so one connection carries no more than 64 KiB a round trip: 2.6 MB/s at
 * 25 ms. What is under way is bounded by the transport's own window. gRPC has an option for it on
 * connections that are opened, and none for those that are accepted; so this reaches through the call
 * for the session, and does nothing where it finds none.
 *
 * @module
 */

/** What is asked of a session of `node:http2`. */
interface Http2Session {
  settings(settings: { readonly initialWindowSize: number }): void;
  setLocalWindowSize(bytes: number): void;
}

const WIDENED = new WeakSet<object>();

/** The largest window of HTTP/2. */
const WINDOW_BYTES_MAX = 2 ** 31 - 1;

/** Lets the other end of a call's connection have this many bytes under way. */
export function widenWindow(call: unknown, bytes: number): void {
  const session = sessionOf(call);
  if (session === undefined || WIDENED.has(session)) return;
  WIDENED.add(session);
  try {
    const window = Math.min(bytes, WINDOW_BYTES_MAX);
    session.setLocalWindowSize(window);
    session.settings({ initialWindowSize: window });
  } catch {
    // The runtime does not let us, or the connection is gone: the default works too.
  }
}

/** Calls of gRPC wrap each other; the innermost has the stream. */
function sessionOf(call: unknown): Http2Session | undefined {
  let inner = call as Record<string, unknown> | undefined;
  for (let depth = 0; depth < 8 && typeof inner === "object" && inner !== null; depth++) {
    const stream = inner.stream as { session?: Http2Session } | undefined;
    const session = stream?.session;
    if (
      typeof session?.settings === "function" && typeof session.setLocalWindowSize === "function"
    ) return session;
    inner = (inner.call ?? inner.nextCall) as Record<string, unknown> | undefined;
  }
  return undefined;
}
