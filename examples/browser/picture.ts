/**
 * The live picture: replicas as circles, messages as dots that travel between them.
 *
 * @module
 */

/// <reference lib="dom" />

import type { Cluster, Flight, ReplicaView } from "./cluster.ts";
import { IDS } from "./cluster.ts";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 62;
const PLACES: readonly (readonly [x: number, y: number])[] = [[320, 84], [540, 406], [100, 406]];

/** What a role is called in the picture. */
export const ROLE_NAMES: Readonly<Record<ReplicaView["role"], string>> = {
  follower: "follower",
  candidate: "candidate",
  precandidate: "asks around",
  leader: "leader",
};

/** Draws the cluster as it is now. */
export function draw(cluster: Cluster, replicas: readonly ReplicaView[]): void {
  replace("links", links(replicas));
  replace("nodes", replicas.map(node));
  replace("flights", cluster.flights.flatMap((flight) => dot(flight, cluster.nowMs)));
}

function replace(id: string, children: readonly Element[]): void {
  document.getElementById(id)!.replaceChildren(...children);
}

function links(replicas: readonly ReplicaView[]): Element[] {
  return [[0, 1], [1, 2], [2, 0]].map(([from, to]) => {
    const whole = [replicas[from], replicas[to]].every(({ running, cutOff }) => running && !cutOff);
    const [[x1, y1], [x2, y2]] = [PLACES[from], PLACES[to]];
    return element("line", { class: whole ? "link" : "link broken", x1, y1, x2, y2 });
  });
}

function node(replica: ReplicaView): Element {
  const [x, y] = PLACES[IDS.indexOf(replica.id)];
  const { running, cutOff, role } = replica;
  const classes = ["node", running ? role : "stopped", cutOff ? "cut" : ""].join(" ");
  const group = element("g", { class: classes, transform: `translate(${x} ${y})` });
  group.append(
    element("circle", { class: "halo", r: RADIUS + 9 }),
    element("circle", { class: "body", r: RADIUS }),
    element("text", { class: "id", y: -8 }, `${replica.id}`),
    element("text", { class: "role", y: 16 }, running ? ROLE_NAMES[role] : "stopped"),
    element("text", { class: "term", y: 36 }, `term ${replica.term}`),
  );
  return group;
}

/** A message where it is now. One that is lost gets half of the way. */
function dot({ message, sentAtMs, arrivesAtMs, lost }: Flight, nowMs: number): Element[] {
  const done = Math.min(1, (nowMs - sentAtMs) / (arrivesAtMs - sentAtMs));
  if (lost && done > 0.5) return [];
  const [x1, y1] = PLACES[IDS.indexOf(message.from)];
  const [x2, y2] = PLACES[IDS.indexOf(message.to)];
  // From rim to rim, on the right-hand side of the line, so that two directions do not meet.
  const length = Math.hypot(x2 - x1, y2 - y1);
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const way = RADIUS + 8 + done * (length - 2 * (RADIUS + 8));
  const kind = kindOf(message.type);
  const answer = message.type.endsWith("-response");
  const carries = message.entries.length > 0;
  return [element("circle", {
    class: ["flight", kind, answer ? "answer" : "", lost ? "lost" : ""].join(" "),
    cx: x1 + ux * way - uy * 9,
    cy: y1 + uy * way + ux * 9,
    r: carries ? 8 : 5.5,
  })];
}

function kindOf(type: Flight["message"]["type"]): string {
  if (type.startsWith("append") || type === "snapshot") return "append";
  if (type.startsWith("heartbeat")) return "heartbeat";
  if (type.startsWith("vote") || type.startsWith("pre-vote")) return "vote";
  return "other";
}

function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  text?: string,
): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, `${value}`);
  if (text !== undefined) made.textContent = text;
  return made;
}
