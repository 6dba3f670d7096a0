/**
 * The `flaredb` command as a function, for programs that bring their own surroundings.
 *
 * @module
 */

export { COMMANDS, generalHelp, runCommandLine } from "./command_line.ts";
export { EXIT_CODE } from "./errors.ts";
export type { Terminal } from "./terminal.ts";
export { VERSION } from "./version.ts";
