/**
 * Whom a node lets open a stream to it: the checks of a hello.
 *
 * @module
 */

import { certificateHasName, certificateNames } from "../../tls/mod.ts";
import type { Hello } from "../../wire/mod.ts";
import type { TransportCounters } from "../counters.ts";
import type { Context } from "./context.ts";
import { type CheckedOptions, PROTOCOL_VERSION } from "./options.ts";

/** Why a stream is refused, and where that is counted. */
export interface StreamRefusal {
  readonly counter: keyof TransportCounters;
  readonly reason: string;
}

/**
 * Why a stream that opens like this is refused; undefined when it is not.
 *
 * @param certificate what its dialer has shown, where TLS has checked its authority and dates.
 */
export function refusalOf(
  hello: Hello,
  options: CheckedOptions,
  certificate: Uint8Array | undefined,
): StreamRefusal | undefined {
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    return {
      counter: "refusedHandshake",
      reason: `protocol version must be ${PROTOCOL_VERSION}: found ${hello.protocolVersion}`,
    };
  }
  if (hello.clusterId !== options.clusterId) {
    return {
      counter: "refusedCluster",
      reason: `cluster must be ${quoted(options.clusterId)}: found ${quoted(hello.clusterId)}`,
    };
  }
  if (hello.toNode !== options.nodeId) {
    return {
      counter: "refusedTarget",
      reason: `this is node ${options.nodeId}: node ${hello.toNode} was meant`,
    };
  }
  if (hello.fromNode < 1 || hello.fromNode === options.nodeId) {
    return {
      counter: "refusedHandshake",
      reason: `a stream cannot come from node ${hello.fromNode}`,
    };
  }
  return certificateRefusal(hello.fromNode, options, certificate);
}

/** A node may speak for itself alone: its certificate must carry its name. */
function certificateRefusal(
  fromNode: number,
  { tls }: CheckedOptions,
  certificate: Uint8Array | undefined,
): StreamRefusal | undefined {
  if (tls === undefined) return undefined;
  const name = tls.peerName(fromNode);
  if (certificate !== undefined && certificateHasName(certificate, name)) return undefined;
  const found = certificate === undefined
    ? "none was shown"
    : `it has ${certificateNames(certificate)}`;
  return {
    counter: "refusedCertificate",
    reason: `the certificate of node ${fromNode} must carry the name ${name}: ${found}`,
  };
}

/** Counts and logs a refusal. */
export function noteRefusal(
  context: Context,
  counter: keyof TransportCounters,
  who: string,
  reason: string,
): void {
  context.counters[counter]++;
  context.log.warn(`${counter}:${who}`, `Refused what ${who} sent: ${reason}`);
}

/** The node when it is known, else the host it calls from: a port would make every call another. */
export function nameOf(nodeId: number | undefined, peer: string): string {
  return nodeId === undefined ? peer.replace(/:\d+$/, "") : `node ${nodeId}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
