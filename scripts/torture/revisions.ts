/**
 * What revisions promise beyond a single key: they order all operations of the store as they happened,
 * and each names one version of one key for ever.
 *
 * @module
 */

import { type KeyOperation, writtenValues } from "./model.ts";

/** A version of a key, as an answer showed it. */
export interface SeenVersion {
  readonly value: number;
  readonly version: number;
  readonly createRevision: number;
  readonly modRevision: number;
}

/** What an answer said of revisions. */
export interface SeenRevisions {
  readonly operation: KeyOperation;
  /** The revision of the store in the answer. */
  readonly revision: number;
  /** The key as it was before; undefined when it did not exist. */
  readonly before: SeenVersion | undefined;
  /** The version the operation made; undefined when it made none. */
  readonly after: SeenVersion | undefined;
}

/** Whether the operation changed the key: a put, or the deletion of a key that existed. */
export function hasChanged({ operation, before }: SeenRevisions): boolean {
  const { input, output } = operation;
  const { type } = output!.succeeded ? input.then : input.else;
  return type === "put" || (type === "delete" && before !== undefined);
}

/** Checks all answers together. Returns what is wrong, or undefined. */
export function checkRevisions(answers: readonly SeenRevisions[]): string | undefined {
  return checkVersions(answers) ?? checkOrder(answers);
}

/** Equal values are one version, equal revisions too, and versions count up from the creation. */
function checkVersions(answers: readonly SeenRevisions[]): string | undefined {
  const byValue = new Map<number, string>();
  const byRevision = new Map<number, string>();
  for (const { operation, before, after } of answers) {
    for (const seen of [before, after]) {
      if (seen === undefined) continue;
      const text = `${operation.input.key} ${JSON.stringify(seen)}`;
      const { version, createRevision, modRevision } = seen;
      const known = [byValue.get(seen.value) ?? text, byRevision.get(modRevision) ?? text];
      for (const other of known) {
        if (other !== text) return `two versions share a value or a revision: ${other}; ${text}`;
      }
      if (modRevision < createRevision + version - 1) return `too few revisions: ${text}`;
      if ((version === 1) !== (modRevision === createRevision)) return `not its creation: ${text}`;
      byValue.set(seen.value, text);
      byRevision.set(modRevision, text);
    }
  }
  return undefined;
}

/** Who asks after an answer has come sees at least its revision, and writes beyond it. */
function checkOrder(answers: readonly SeenRevisions[]): string | undefined {
  const byReturn = [...answers].sort((a, b) => a.operation.return! - b.operation.return!);
  const byCall = [...answers].sort((a, b) => a.operation.call - b.operation.call);
  let highest: SeenRevisions | undefined;
  let position = 0;
  for (const answer of byCall) {
    for (; byReturn[position].operation.return! < answer.operation.call; position++) {
      if (byReturn[position].revision > (highest?.revision ?? 0)) highest = byReturn[position];
    }
    if (highest === undefined) continue;
    const least = highest.revision + (hasChanged(answer) ? 1 : 0);
    if (answer.revision < least) {
      return `revisions go back: ${describe(highest)}, and after it ${describe(answer)}`;
    }
  }
  return undefined;
}

function describe({ operation, revision }: SeenRevisions): string {
  const { input, call, return: returned } = operation;
  const values = writtenValues(input).join(" or ");
  return `revision ${revision} of ${input.key} (${values || "no put"}) from ${call} to ${returned}`;
}
