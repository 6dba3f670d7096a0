/**
 * `deno task torture`: three real processes under partitions, delays, pauses and kills, with clients
 * whose history is checked. See `docs/torture.md`, or `deno task torture --help`.
 *
 * @module
 */

import process from "node:process";
import { main } from "./torture/main.ts";

process.exitCode = await main(process.argv.slice(2));
