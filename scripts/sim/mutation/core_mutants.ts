/**
 * The rules of the core whose breaking endangers data or answers, of those that `deno task mutation`
 * breaks under the core's own tests: here the simulator must notice.
 *
 * @module
 */

import { ELECTION_RULES } from "../../mutation/election_rules.ts";
import { MEMBERSHIP_RULES } from "../../mutation/membership_rules.ts";
import { REPLICATION_RULES } from "../../mutation/replication_rules.ts";
import type { Rule } from "../../mutation/rule.ts";

const NAMES: readonly string[] = [
  "votes for every candidate of a term",
  "votes for a candidate with a shorter log",
  "does not remember its vote",
  "forgets its vote within a term",
  "keeps its vote over terms",
  "leads without an entry of its own term",
  "does not step down for a later term",
  "handles messages of earlier terms",
  "takes a configuration change before the log it inherited is applied",
  "asks only the incoming voters for their vote",
  "campaigns with committed configuration changes to apply",
  "appends after an entry that does not match",
  "keeps entries that conflict with the leader's",
  "cuts off entries that it has already",
  "commits entries of older terms by counting",
  "prefers the longer log to the later term",
  "takes any log of the same last term for up to date",
  "applies entries that are not stable although writes are asynchronous",
  "applies entries before the snapshot under them",
  "reads unstable entries from storage",
  "takes replaced entries for stable",
  "does not write what replaces entries under way",
  "does not hand the vote to the append thread",
  "lets an answer overtake the writes before it",
  "tells a peer to commit what it may not have",
  "installs a snapshot without committing it",
  "installs a snapshot from before its commit index",
  "lowers its commit index",
  "lets a vote leave before it is durable",
  "lets an acknowledgement leave before it is durable",
  "forgets at a restart what it voted",
  "keeps what it knew about peers over terms",
  "counts old acknowledgements in a new term",
  "takes half of the voters for a majority",
  "commits without the outgoing majority",
  "elects without the outgoing majority",
  "counts learners in the quorum",
  "forgets an outgoing voter at once",
  "does not know outgoing voters after a restart",
  "takes a second change before the first is applied",
  "leaves a joint configuration before it is applied",
  "ignores the leader's lease",
  "counts a pre-vote as its vote",
  "serves reads before its term's first commit",
  "serves reads without a quorum",
  "serves a follower's read itself",
  "confirms every waiting read by any echo",
  "serves reads of an earlier term",
];

/** Files are from `src`. */
export const CORE_MUTANTS: readonly Rule[] = NAMES.map((name) => {
  const all = [...ELECTION_RULES, ...REPLICATION_RULES, ...MEMBERSHIP_RULES];
  const rule = all.find((each) => each.name === name);
  if (rule === undefined) throw new Error(`the core has no rule that is called "${name}"`);
  return { ...rule, file: `raft/${rule.file}` };
});
