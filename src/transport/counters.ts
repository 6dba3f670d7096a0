/**
 * What a transport counts. Every message that is not delivered shows in exactly one `dropped…`
 * counter of its sender or one `refused…` counter of its receiver, or was on a connection that broke.
 *
 * @module
 */

/** Counts since a transport was created. Bytes are those of frames, without gRPC's own overhead. */
export interface TransportCounters {
  /** Frames handed to connections; `messagesSent / framesSent` is what batching achieves. */
  framesSent: number;
  /** Messages in those frames. */
  messagesSent: number;
  /** Bytes of those frames. */
  bytesSent: number;
  /** Frames that arrived, refused ones included. */
  framesReceived: number;
  /** Messages handed to the handler. */
  messagesReceived: number;
  /** Bytes of the frames that arrived. */
  bytesReceived: number;
  /** The node's queue was full. */
  droppedQueueFull: number;
  /** The node had not been added, or the transport was closed. */
  droppedUnknownNode: number;
  /** The node could not be reached, or its connection broke while they waited. */
  droppedUnreachable: number;
  /** Larger than this node or the receiver takes. */
  droppedOversized: number;
  /** Of a local kind, or holding what cannot be written. */
  droppedUnencodable: number;
  /** Streams refused for another cluster's id. */
  refusedCluster: number;
  /** Streams refused because they meant another node. */
  refusedTarget: number;
  /** Streams refused because their node's certificate does not carry its name. */
  refusedCertificate: number;
  /** Streams refused for another protocol version, or without a readable opening. */
  refusedHandshake: number;
  /** Frames or messages that could not be read. */
  refusedMalformed: number;
  /** Messages of a type that is unknown or never travels. */
  refusedUnknownType: number;
  /** Messages with an integer beyond 2^53-1. */
  refusedIntegerRange: number;
  /** Frames or messages larger than the limit. */
  refusedOversized: number;
  /** Streams to other nodes that were accepted there. */
  connectionsOpened: number;
  /** Streams of other nodes that were accepted here. */
  connectionsAccepted: number;
  /** Streams to other nodes that broke after they had been accepted. */
  connectionsLost: number;
  /** Attempts to reach another node that failed or were refused there. */
  connectionsFailed: number;
  /** Snapshots streamed to other nodes, whole. */
  snapshotsSent: number;
  /** Transfers of snapshots to other nodes that failed or were given up. */
  snapshotsFailed: number;
  /** Snapshots streamed to this node, whole. */
  snapshotsReceived: number;
  /** Transfers of snapshots to this node that were refused, failed or were given up. */
  snapshotsRefused: number;
  /** Transfers of snapshots to this node that went on after their connection had broken. */
  snapshotsResumed: number;
  /** Bytes of snapshots sent, what was sent again included. */
  snapshotBytesSent: number;
  /** Bytes of snapshots stored. */
  snapshotBytesReceived: number;
  /** Calls of `handler.unreachable`. */
  unreachableReports: number;
  /** Calls of the handler that threw. */
  handlerErrors: number;
}

/** Counters that are all 0. */
export function createCounters(): TransportCounters {
  return {
    framesSent: 0,
    messagesSent: 0,
    bytesSent: 0,
    framesReceived: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    droppedQueueFull: 0,
    droppedUnknownNode: 0,
    droppedUnreachable: 0,
    droppedOversized: 0,
    droppedUnencodable: 0,
    refusedCluster: 0,
    refusedTarget: 0,
    refusedCertificate: 0,
    refusedHandshake: 0,
    refusedMalformed: 0,
    refusedUnknownType: 0,
    refusedIntegerRange: 0,
    refusedOversized: 0,
    connectionsOpened: 0,
    connectionsAccepted: 0,
    connectionsLost: 0,
    connectionsFailed: 0,
    snapshotsSent: 0,
    snapshotsFailed: 0,
    snapshotsReceived: 0,
    snapshotsRefused: 0,
    snapshotsResumed: 0,
    snapshotBytesSent: 0,
    snapshotBytesReceived: 0,
    unreachableReports: 0,
    handlerErrors: 0,
  };
}

/** The counter of what the wire codec refused, by the code of its error. */
export function refusalCounter(code: string): keyof TransportCounters {
  switch (code) {
    case "WIRE_UNKNOWN_TYPE":
    case "WIRE_LOCAL_TYPE":
      return "refusedUnknownType";
    case "WIRE_INTEGER_RANGE":
      return "refusedIntegerRange";
    case "WIRE_LIMIT":
      return "refusedOversized";
    default:
      return "refusedMalformed";
  }
}
