/**
 * The page: lets the cluster's time pass with the clock on the wall, shows it, and carries out what
 * the buttons ask for. With `#story` in its address it plays a story by itself at once, through the
 * same buttons, and leaves what came of it in the page, for the test.
 *
 * @module
 */

/// <reference lib="dom" />

import { showCards } from "./cards.ts";
import { Cluster } from "./cluster.ts";
import { draw } from "./picture.ts";
import { play } from "./story.ts";

const FRAME_MS_MAX = 100;

const cluster = new Cluster((bound) => Math.floor(Math.random() * bound));
const text = document.getElementById("text") as HTMLInputElement;
const speed = document.getElementById("speed") as HTMLInputElement;

const ACTIONS: Readonly<Record<string, (id: number) => void>> = {
  stop: (id) => cluster.stop(id),
  restart: (id) => cluster.restart(id),
  "cut-off": (id) => cluster.cutOff(id),
  reconnect: (id) => cluster.reconnect(id),
};

function render(): void {
  const replicas = cluster.view();
  draw(cluster, replicas);
  showCards(cluster, replicas);
}

document.getElementById("cards")!.addEventListener("click", ({ target }) => {
  const { action, id } = (target as HTMLElement).dataset;
  if (action === undefined) return;
  ACTIONS[action](Number(id));
  render();
});

document.getElementById("write")!.addEventListener("submit", (event) => {
  event.preventDefault();
  if (text.value !== "") cluster.propose(text.value);
  render();
});

function animate(): void {
  let lastMs = performance.now();
  const frame = (nowMs: number): void => {
    // A page in the background gets no frames: time stands still for it.
    cluster.advance(Math.min(nowMs - lastMs, FRAME_MS_MAX) * Number(speed.value));
    lastMs = nowMs;
    render();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

render();
if (location.hash === "#story") {
  const result = play(cluster, render);
  document.body.dataset.result = JSON.stringify(result);
}
animate();
