/**
 * `deno task conformance FOLDER|FILE… [--storage=memory|sqlite] [--rewrite]`: runs conformance traces
 * and our own scenarios (see docs/conformance.md).
 *
 * @module
 */

import process from "node:process";
import { main } from "./conformance/main.ts";

process.exitCode = await main(process.argv.slice(2), (line) => console.log(line));
