/**
 * `deno task sim`: sweeps the simulator over seeds, replays one, shrinks a failing one. See
 * `docs/simulation.md`, or `deno task sim --help`.
 *
 * @module
 */

import process from "node:process";
import { main } from "./sim/main.ts";

process.exitCode = await main(process.argv.slice(2));
