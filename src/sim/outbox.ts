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
  const packets: Packet[] = [];
  const shared = new Map<number, Message[]>();
  for (const message of messages) {
    const to = nodeOf(message.to);
    if (to === 0) continue;
    const isAlone = !batched || message.type === "snapshot";
    const packet = isAlone ? undefined : shared.get(to);
    if (packet !== undefined) {
      packet.push(message);
      continue;
    }
    const own = [message];
    if (!isAlone) shared.set(to, own);
    packets.push({ ...route, to, messages: own });
  }
  return packets;
}

/** A packet as its bytes. */
export function encodePacket(packet: Packet): Packet {
  const { regionId } = packet;
  const frame = encodeFrame(packet.messages.map((message) => ({ regionId, message })));
  return { ...packet, frame };
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
