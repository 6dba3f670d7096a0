/**
 * The cards beside the picture: what each replica knows, its log, and the buttons that make trouble;
 * and what has happened so far.
 *
 * @module
 */

/// <reference lib="dom" />

import type { Cluster, EntryView, ReplicaView } from "./cluster.ts";
import { ROLE_NAMES } from "./picture.ts";

const ENTRIES_SHOWN = 8;
const EVENTS_SHOWN = 5;

const shown = new Map<Element, string>();

/** Shows the replicas and events as they are now; what has not changed is left alone. */
export function showCards(cluster: Cluster, replicas: readonly ReplicaView[]): void {
  const cards = document.getElementById("cards")!;
  for (const [at, replica] of replicas.entries()) {
    if (cards.children.length <= at) cards.append(document.createElement("article"));
    show(cards.children[at], replica, (card) => {
      card.className = `card ${stateOf(replica)}`;
      card.replaceChildren(head(replica), facts(replica), log(replica));
    });
  }
  const events = cluster.events.slice(-EVENTS_SHOWN).reverse();
  show(document.getElementById("events")!, events, (list) => {
    list.replaceChildren(
      ...events.map(({ atMs, text }) =>
        node("li", "", node("time", "", `${(atMs / 1000).toFixed(1)} s`), node("span", "", text))
      ),
    );
  });
}

function show(element: Element, value: unknown, render: (element: Element) => void): void {
  const key = JSON.stringify(value);
  if (shown.get(element) === key) return;
  shown.set(element, key);
  render(element);
}

function stateOf({ running, cutOff, role }: ReplicaView): string {
  return running ? `${role}${cutOff ? " cut" : ""}` : "stopped";
}

function head(replica: ReplicaView): Element {
  const { id, running, cutOff, role } = replica;
  const state = running ? ROLE_NAMES[role] : "stopped";
  return node(
    "div",
    "head",
    node("h2", "", `Replica ${id}`),
    node("span", "badge", cutOff ? `${state}, cut off` : state),
    node("span", "spacer"),
    button(cutOff ? "reconnect" : "cut-off", id, cutOff ? "Reconnect" : "Cut off"),
    button(running ? "stop" : "restart", id, running ? "Stop" : "Restart"),
  );
}

function facts({ term, votedFor, leader, commitIndex }: ReplicaView): Element {
  const vote = votedFor === 0 ? "no vote" : `voted for ${votedFor}`;
  const knows = leader === 0 ? "knows no leader" : `follows ${leader}`;
  return node("p", "facts", `term ${term} · ${vote} · ${knows} · committed to ${commitIndex}`);
}

function log({ log }: ReplicaView): Element {
  return node("div", "log", ...log.slice(-ENTRIES_SHOWN).map(entry));
}

function entry({ index, term, text, committed }: EntryView): Element {
  const classes = ["entry", committed ? "committed" : "", text === "" ? "empty" : ""].join(" ");
  const cell = node("span", classes, text === "" ? "–" : text);
  cell.append(node("small", "", `${index} · t${term}`));
  // A colour a term, so that logs that differ are seen at a glance.
  cell.style.setProperty("--hue", `hsl(${(term * 67 + 140) % 360} 45% 50%)`);
  return cell;
}

function button(action: string, id: number, text: string): Element {
  const made = node("button", "", text);
  made.dataset.action = action;
  made.dataset.id = `${id}`;
  return made;
}

function node(name: string, className: string, ...children: (Node | string)[]): HTMLElement {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}
