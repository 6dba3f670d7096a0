/**
 * Settings of the world on the command line: `NAME=VALUE`, the value as JSON.
 *
 * @module
 */

import { Chance } from "../../src/sim/chance.ts";
import { drawEnvironment, type Environment } from "../../src/sim/environment.ts";

/**
 * Reads settings of the world.
 *
 * @throws Error when there is no such setting, or its value is of another type than it has.
 */
export function parseWorld(settings: readonly string[]): Partial<Environment> {
  const some = drawEnvironment(new Chance(0, 0), {}) as unknown as Record<string, unknown>;
  const world: Record<string, unknown> = {};
  for (const setting of settings) {
    const position = setting.indexOf("=");
    if (position < 1) throw new Error(`--world must be NAME=VALUE: found ${setting}`);
    const name = setting.slice(0, position);
    if (!Object.hasOwn(some, name)) {
      throw new Error(
        `--world must name one of ${Object.keys(some).join(", ")}: found ${name}`,
      );
    }
    world[name] = parseValue(name, setting.slice(position + 1), some[name]);
  }
  return world;
}

function parseValue(name: string, text: string, example: unknown): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`--world ${name} must be JSON: found ${text}`, { cause });
  }
  const isOfType = Array.isArray(example)
    ? Array.isArray(value) && value.length === example.length
    : typeof value === typeof example && !Array.isArray(value);
  if (isOfType && !(typeof value === "number" && value < 0)) return value;
  const expected = Array.isArray(example)
    ? `an array of ${example.length}`
    : typeof example === "number"
    ? "a number >= 0"
    : `of type ${typeof example}`;
  throw new Error(`--world ${name} must be ${expected}: found ${text}`);
}
