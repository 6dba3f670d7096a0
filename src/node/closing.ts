/**
 * How the parts that a node owns are closed: its transport first, so that nothing arrives any more, and
 * its storage last.
 *
 * @module
 */

import type { CheckedNodeOptions } from "./checked_options.ts";
import type { Notifier } from "./notifier.ts";
import type { NodeOptions } from "./options.ts";
import type { Region } from "./region.ts";

/** What a node releases when it ends. */
export interface OwnedParts {
  readonly options: Pick<NodeOptions, "transport" | "storage">;
  readonly checked: CheckedNodeOptions;
  readonly regions: ReadonlyMap<number, Region>;
  readonly notifier: Notifier;
}

/** Closes everything, once what is being written and applied has ended; what fails is logged. */
export async function releaseParts(parts: OwnedParts): Promise<void> {
  const { options, checked, regions, notifier } = parts;
  const quietly = async (what: string, close: () => void | Promise<void>): Promise<void> => {
    try {
      await close();
    } catch (error) {
      notifier.warnOnce(`close ${what}`, `${what} could not be closed: ${error}`);
    }
  };
  await quietly("the transport", () => options.transport.close());
  for (const region of regions.values()) await region.idle;
  for (const { stateMachine } of checked.regions) {
    await quietly("a state machine", () => stateMachine.close?.());
  }
  await quietly("the storage", () => options.storage.close());
}

/** Closes what a node was given when it cannot be built; the error that prevents it counts more. */
export async function closeParts({ transport, storage, regions }: NodeOptions): Promise<void> {
  const machines = Array.isArray(regions) ? regions.map((region) => region.stateMachine) : [];
  for (const part of [transport, ...machines, storage]) {
    try {
      await part?.close?.();
    } catch {
      // The caller is told about the options.
    }
  }
}
