/**
 * What can be known of unknown outcomes, so that the search for an order stays short. Every answer
 * tells the version of the key that it found, and versions count up from the creation of the key: so a
 * write that nobody saw, yet took effect, leaves a gap between versions, and the gap is closed by
 * reading the store as of the revision before. A write that neither was seen nor closes a gap did
 * nothing that anybody could tell, and is left out. One that did is a put of its value before that
 * was seen, whatever its comparison. What may have deleted a key stays, and may do so at any time,
 * where the key was gone and no answer says by whom.
 *
 * @module
 */

import { GET, type KeyInput, type KeyOperation, writtenValues } from "./model.ts";
import { hasChanged, type SeenRevisions, type SeenVersion } from "./revisions.ts";

/** Reads a key as of a revision; undefined when it did not exist. */
export type ReadVersion = (key: string, revision: number) => Promise<SeenVersion | undefined>;

/** The versions of one key from a creation on, by their number. */
interface Lifetime {
  readonly key: string;
  readonly versions: Map<number, SeenVersion>;
  /** When each version was seen first, by its number. */
  readonly seenAt: Map<number, number>;
  /** Whether an answer says who deleted it, or that it exists at the end. */
  hasKnownEnd: boolean;
}

/**
 * The history with what is known put in: every operation left has an answer, is a put that took effect
 * before its `return`, or is a deletion that may have.
 *
 * @throws Error when the store has a version that nobody wrote.
 */
export async function resolveUnknownOutcomes(
  history: readonly KeyOperation[],
  answers: readonly SeenRevisions[],
  read: ReadVersion,
): Promise<KeyOperation[]> {
  const lifetimes = lifetimesOf(answers);
  for (const lifetime of lifetimes) await closeGaps(lifetime, read);
  const seenAt = new Map<number, number>();
  for (const { versions, seenAt: at } of lifetimes) {
    for (const [number, { value }] of versions) seenAt.set(value, at.get(number)!);
  }
  const writable = new Set(history.flatMap(({ input }) => writtenValues(input)));
  const foreign = [...seenAt.keys()].find((value) => !writable.has(value));
  if (foreign !== undefined) {
    throw new Error(`the store holds ${foreign}, which nobody wrote or whose write was refused`);
  }
  const vanished = new Set(lifetimes.flatMap((one) => one.hasKnownEnd ? [] : [one.key]));
  return history.flatMap((operation) =>
    operation.return === undefined ? resolved(operation, seenAt, vanished) : [operation]
  );
}

function resolved(
  operation: KeyOperation,
  seenAt: ReadonlyMap<number, number>,
  vanished: ReadonlySet<string>,
): KeyOperation[] {
  const { input, call } = operation;
  const value = writtenValues(input).find((one) => seenAt.has(one));
  if (value !== undefined) {
    const at = seenAt.get(value)!;
    const put: KeyInput = { key: input.key, then: { type: "put", value }, else: GET };
    // Seen before it was called: no order explains that, as the search will find.
    return [{ ...operation, input: put, return: at > call ? at : undefined }];
  }
  const mayDelete = input.then.type === "delete" || input.else.type === "delete";
  if (!mayDelete || !vanished.has(input.key)) return [];
  return [{ ...operation, input: { key: input.key, then: { type: "delete" }, else: GET } }];
}

/** All that answers show, by creation. */
function lifetimesOf(answers: readonly SeenRevisions[]): Lifetime[] {
  const found = new Map<number, Lifetime>();
  const last = new Map<string, SeenRevisions>();
  for (const answer of answers) {
    const { operation, before, after } = answer;
    const { key } = operation.input;
    for (const seen of [before, after]) if (seen !== undefined) note(found, key, seen, operation);
    if (before !== undefined && after === undefined && hasChanged(answer)) {
      found.get(before.createRevision)!.hasKnownEnd = true;
    }
    if ((last.get(key)?.revision ?? -1) <= answer.revision) last.set(key, answer);
  }
  for (const answer of last.values()) {
    const exists = answer.after ?? (hasChanged(answer) ? undefined : answer.before);
    if (exists !== undefined) found.get(exists.createRevision)!.hasKnownEnd = true;
  }
  return [...found.values()];
}

function note(
  found: Map<number, Lifetime>,
  key: string,
  seen: SeenVersion,
  operation: KeyOperation,
): void {
  let lifetime = found.get(seen.createRevision);
  if (lifetime === undefined) {
    lifetime = { key, versions: new Map(), seenAt: new Map(), hasKnownEnd: false };
    found.set(seen.createRevision, lifetime);
  }
  const { versions, seenAt } = lifetime;
  versions.set(seen.version, seen);
  const at = seenAt.get(seen.version) ?? Infinity;
  seenAt.set(seen.version, Math.min(at, operation.return!));
}

/** Reads the versions that nobody saw below those that somebody did. */
async function closeGaps({ key, versions, seenAt }: Lifetime, read: ReadVersion): Promise<void> {
  for (let number = Math.max(...versions.keys()); number > 1; number--) {
    if (versions.has(number - 1)) {
      // It was there before the next one was.
      seenAt.set(number - 1, Math.min(seenAt.get(number - 1)!, seenAt.get(number)!));
      continue;
    }
    const { createRevision, modRevision } = versions.get(number)!;
    const hidden = await read(key, modRevision - 1);
    if (hidden?.version !== number - 1 || hidden.createRevision !== createRevision) {
      throw new Error(
        `${key} before revision ${modRevision} must be version ${number - 1} since revision ` +
          `${createRevision}: the store has ${JSON.stringify(hidden)}`,
      );
    }
    versions.set(number - 1, hidden);
    seenAt.set(number - 1, seenAt.get(number)!);
  }
}
