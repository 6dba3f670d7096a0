/**
 * `flaredb del`: deletes one key, or many.
 *
 * @module
 */

import type { Command, Invocation } from "./command.ts";
import { CALL_OPTIONS, withClient } from "./endpoints.ts";
import { EXIT_CODE, UsageError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/** The `del` command. */
export const delCommand: Command = {
  name: "del",
  summary: "Delete a key, or all keys with a prefix",
  positionals: "KEY",
  positionalCount: [1, 1],
  description: "Deletes KEY and writes how many keys were deleted; none is no failure.",
  options: {
    prefix: { help: "all keys that begin with KEY" },
    ...CALL_OPTIONS,
    json: { help: "write one line of JSON instead of text" },
  },
  examples: ["flaredb del greeting", "flaredb del user/ --prefix"],
  run: runDel,
};

async function runDel(invocation: Invocation, terminal: Terminal): Promise<number> {
  const key = invocation.positionals[0];
  if (key === "") throw new UsageError("KEY must not be empty");
  const prefix = invocation.has("prefix");
  const answer = await withClient(
    invocation,
    terminal,
    (client) => client.delete(key, { prefix }),
    { writesOnce: true },
  );
  const { deleted, header } = answer;
  terminal.out(
    invocation.has("json")
      ? JSON.stringify({ revision: header.revision, deleted }) + "\n"
      : `${deleted}\n`,
  );
  return EXIT_CODE.ok;
}
