/**
 * A story that the page plays by itself, by clicking its own buttons: a leader is stopped, another is
 * cut off, and in the end all agree.
 *
 * @module
 */

/// <reference lib="dom" />

import type { Cluster, ReplicaView } from "./cluster.ts";

const STEP_MS = 20;
const DEADLINE_MS = 120_000;

/** What came of the story. */
export interface StoryResult {
  /** The leaders in turn, with their terms. */
  readonly leaders: readonly { readonly id: number; readonly term: number }[];
  /** How many commands were refused, as nobody knew a leader. */
  readonly refused: number;
  /** What the leader that was cut off had in its log then, but could not commit. */
  readonly uncommitted: readonly string[];
  /** What each replica has applied, in the order of their ids. */
  readonly applied: readonly (readonly string[])[];
}

/** Plays the story to its end, in the cluster's time. */
export function play(cluster: Cluster, render: () => void): StoryResult {
  const leaders: { id: number; term: number }[] = [];
  const until = (what: string, condition: (replicas: ReplicaView[]) => boolean): void => {
    const endMs = cluster.nowMs + DEADLINE_MS;
    while (!condition(cluster.view())) {
      if (cluster.nowMs > endMs) throw new Error(`in vain: ${what}`);
      cluster.advance(STEP_MS);
    }
    render();
  };
  const elect = (): number => {
    let leader: ReplicaView | undefined;
    until("a leader that all follow who can", (replicas) => {
      const able = replicas.filter(({ running, cutOff }) => running && !cutOff);
      leader = able.find(({ role }) => role === "leader");
      return leader !== undefined && able.every((one) => one.leader === leader!.id);
    });
    const { id, term } = leader!;
    leaders.push({ id, term });
    return id;
  };
  const applied = (count: number, ids: readonly number[] = [1, 2, 3]): void =>
    until(
      `${count} commands on ${ids}`,
      (replicas) =>
        replicas.filter(({ id }) => ids.includes(id)).every((one) => one.applied.length === count),
    );

  const first = elect();
  write("apple");
  applied(1);
  click("stop", first);
  const second = elect();
  write("bread");
  applied(2, [1, 2, 3].filter((id) => id !== first));
  click("restart", first);
  applied(2);
  click("cut-off", second);
  write("lost");
  const lost = cluster.view()[second - 1];
  elect();
  write("cherry");
  applied(3, [1, 2, 3].filter((id) => id !== second));
  click("reconnect", second);
  applied(3);
  for (const id of [1, 2, 3]) click("cut-off", id);
  until("nobody knows a leader", (replicas) => replicas.every(({ leader }) => leader === 0));
  write("date");
  const refused = cluster.events.filter(({ text }) => text.includes("is refused")).length;
  for (const id of [1, 2, 3]) click("reconnect", id);
  elect();
  write("egg");
  applied(4);
  return {
    leaders,
    refused,
    uncommitted: lost.log.filter(({ committed }) => !committed).map(({ text }) => text),
    applied: cluster.view().map((one) => one.applied),
  };
}

function click(action: string, id: number): void {
  const selector = `button[data-action="${action}"][data-id="${id}"]`;
  document.querySelector<HTMLButtonElement>(selector)!.click();
}

function write(text: string): void {
  (document.getElementById("text") as HTMLInputElement).value = text;
  (document.getElementById("write") as HTMLFormElement).requestSubmit();
}
