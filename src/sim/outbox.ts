/**
 * What a node sends: the messages of a turn, together or one by one, as objects or as the bytes that
 * would travel, and snapshots of the state as it is at that moment.
 *
 * @module
 */

import type { Message } from "../raft/mod.ts";
import { decodeFrame, encodeFrame } from "../wire/mod.ts";
import { violated } from "./errors.ts";
import type { Packet } from "./network.ts";

/** Cuts the messages of a turn into packets, one a node when they are `batched`. */
export function packetsOf(
  route: { readonly from: number; readonly regionId: number },
  messages: readonly Message[],
  nodeOf: (peerId: number) => number,
  batched: boolean,
): Packet[] {
  const { from, regionId } = route;
  const packets: Packet[] = [];
  // What each packet carries, where more may join it.
  const shared: (Message[] | undefined)[] = [];
  for (const message of messages) {
    const to = nodeOf(message.to);
    if (to === 0) continue;
    const isAlone = !batched || message.type === "snapshot";
    const at = isAlone ? -1 : packets.findIndex((packet, at) => packet.to === to && shared[at]);
    if (at >= 0) {
      shared[at]!.push(message);
      continue;
    }
    const own = [message];
    shared.push(isAlone ? undefined : own);
    packets.push({ from, regionId, to, messages: own, frame: undefined });
  }
  return packets;
}

/** A packet as its bytes. */
export function encodePacket(packet: Packet): Packet {
  const { from, to, regionId, messages } = packet;
  const frame = encodeFrame(messages.map((message) => ({ regionId, message })));
  return { from, regionId, to, messages, frame };
}

/** The messages of a packet as its receiver sees them. */
export function messagesOf({ frame, regionId, messages }: Packet): readonly Message[] {
  if (frame === undefined) return messages;
  const decoded = decodeFrame(frame);
  const lost = messages.length - decoded.messages.length;
  if (lost !== 0 || decoded.messages.some((each) => each.regionId !== regionId)) {
    violated("no-exception", `${lost} messages of a frame are lost: ${decoded.refused[0]}`);
  }
  return decoded.messages.map(({ message }) => message);
}
