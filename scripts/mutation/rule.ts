/**
 * What a mutation is: one rule of the core, and the smallest change of its text that breaks it.
 *
 * @module
 */

/** One rule, broken on a copy of the sources. The tests must notice. */
export interface Rule {
  /** What the broken core does wrong, in words. */
  readonly name: string;
  /** The file, from `src/raft`. */
  readonly file: string;
  /** The text to replace; must occur in the file exactly once. */
  readonly search: string;
  readonly replace: string;
}

/** The rules of one file, each as a name, the text to find and what to put in its place. */
export function rulesOf(
  file: string,
  rules: readonly (readonly [name: string, search: string, replace: string])[],
): Rule[] {
  return rules.map(([name, search, replace]) => ({ name, file, search, replace }));
}
