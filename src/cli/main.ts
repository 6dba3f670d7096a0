#!/usr/bin/env node
/**
 * The program `flaredb`: runs the command line and ends the process with its exit code.
 *
 * @module
 */

import process from "node:process";
import { runCommandLine } from "./command_line.ts";
import { flushOutput, processTerminal } from "./terminal.ts";

const exitCode = await runCommandLine(process.argv.slice(2), processTerminal());
await flushOutput();
process.exit(exitCode);
