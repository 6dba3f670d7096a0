/**
 * The fuzz task: throws real, mutated and made-up messages at groups of replicas in every role and
 * with every option, and checks after each that nothing is thrown, that what is refused leaves no
 * trace, and that the invariants of a replica hold.
 *
 * `deno task fuzz [--count=1000000] [--seed=1] [--world=1000]`; a failure names the seed of its world:
 * `--seed=<that> --count=<world>` repeats it.
 *
 * @module
 */

import process from "node:process";
import { integer, readCommandLine } from "./command_line.ts";
import { MESSAGE_TYPES } from "./fuzz/forge.ts";
import { World } from "./fuzz/world.ts";

/** Who receives messages: the roles, with learners by themselves. */
const RECEIVERS = ["follower", "precandidate", "candidate", "leader", "learner"] as const;

/** What a run did. */
export interface FuzzReport {
  /** Messages handled. */
  readonly count: number;
  /** Messages refused. */
  readonly refused: number;
  readonly worlds: number;
  /** Messages of each kind that each kind of receiver got. */
  readonly table: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/**
 * Runs worlds one after the other, of consecutive seeds, until `count` messages were handled.
 *
 * @throws FuzzFailure naming the seed of the world that failed.
 */
export function fuzz(seed: number, count: number, messagesPerWorld = 1000): FuzzReport {
  const table = new Map(MESSAGE_TYPES.map((type) => [type as string, new Map<string, number>()]));
  let refused = 0;
  let handled = 0;
  let worlds = 0;
  const observe = (type: string, role: string, isRefused: boolean) => {
    const row = table.get(type);
    row?.set(role, (row.get(role) ?? 0) + 1);
    if (isRefused) refused++;
  };
  while (handled < count) {
    const size = Math.min(messagesPerWorld, count - handled);
    new World(
      seed + worlds,
      (message, role, refusal) => observe(message.type, role, refusal !== undefined),
    ).run(size);
    handled += size;
    worlds++;
  }
  return { count: handled, refused, worlds, table };
}

function print({ count, refused, worlds, table }: FuzzReport, seconds: number): void {
  console.log(["message".padEnd(24), ...RECEIVERS.map((name) => name.padStart(13))].join(""));
  for (const [type, row] of table) {
    const cells = RECEIVERS.map((name) => String(row.get(name) ?? 0).padStart(13));
    console.log([type.padEnd(24), ...cells].join(""));
  }
  console.log(
    `${count} messages to ${worlds} groups, ${refused} refused, no failure; ` +
      `${Math.round(count / seconds)} messages a second`,
  );
}

const USAGE = `deno task fuzz [options]

Sends random messages to groups of replicas.

  --count N  how many messages (default 1000000)
  --seed N   decides what they are (default 1)
  --world N  how many each group gets (default 1000)
`;

const OPTIONS = {
  options: {
    count: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    world: { type: "string", default: "1000" },
  },
} as const;

function main(): void {
  const { seed, count, world } = readCommandLine(USAGE, OPTIONS, ({ values }) => ({
    seed: integer("seed", values.seed, 0),
    count: integer("count", values.count, 1),
    world: integer("world", values.world, 1),
  }));
  const start = performance.now();
  try {
    const report = fuzz(seed, count, world);
    print(report, (performance.now() - start) / 1000);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

if (import.meta.main) main();
