/**
 * Which links a partition cuts.
 *
 * @module
 */

import type { Chance } from "./chance.ts";

/** Directed links: from node, to node. */
export type Links = readonly (readonly [from: number, to: number])[];

/** The links between two sets of nodes: those that leave `a`, those that come to it, or both. */
export function cutLinks(
  a: readonly number[],
  b: readonly number[],
  direction: "out" | "in" | "both",
): Links {
  const links: [number, number][] = [];
  for (const x of a) {
    for (const y of b) {
      if (direction !== "in") links.push([x, y]);
      if (direction !== "out") links.push([y, x]);
    }
  }
  return links;
}

/** The links between two parts into which the nodes fall at random. */
export function randomSplit(ids: readonly number[], chance: Chance): Links {
  const a = ids.filter(() => chance.hits(500));
  return cutLinks(a, ids.filter((id) => !a.includes(id)), "both");
}
