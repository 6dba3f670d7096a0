/**
 * Refuses to start a node on data that was made for other members than `--members` names now. A first
 * start decides who founds a cluster, even one that then fails; going on with the members of another
 * attempt would make two clusters of one name, each of which acknowledges writes of its own.
 *
 * @module
 */

import { INITIAL_INDEX } from "../node/mod.ts";
import type { RaftStorage } from "../storage/mod.ts";
import { CommandFailedError } from "./errors.ts";
import type { ServerOptions } from "./serve.ts";

/**
 * Compares the founders on disk with `--members` while nobody can have changed who is a member: before
 * the node has heard of any election, and while it is the only voter and the log has never changed that.
 * Later the log decides who is a member, and `--members` is an address book that may be old.
 *
 * @param region the replica on disk.
 * @throws CommandFailedError where they differ.
 */
export function checkFounders(
  { nodeId, data, members, join }: Pick<ServerOptions, "nodeId" | "data" | "members" | "join">,
  region: Pick<RaftStorage, "initialState" | "confStateIndex" | "firstIndex" | "lastIndex">,
): void {
  const { hardState, confState } = region.initialState();
  const { voters, learners } = confState;
  if (join || voters.length === 0) return;
  const named = members.map((member) => member.nodeId);
  const unknown = named.filter((id) => !voters.includes(id) && !learners.includes(id));
  const missing = voters.filter((id) => !named.includes(id));
  const untouched = hardState.currentTerm <= 1 && region.lastIndex() < region.firstIndex();
  const foundedAlone = voters.length === 1 && voters[0] === nodeId &&
    region.confStateIndex() <= INITIAL_INDEX;
  const differs = untouched
    ? unknown.length + missing.length > 0
    : foundedAlone && unknown.length > 0;
  if (!differs) return;
  throw new CommandFailedError(
    `the data in ${data} was made for the members ${voters.join(", ")}, and --members names ` +
      `${named.join(", ")}. ` +
      (untouched
        ? "Nothing was written or voted yet: correct --members, or remove the folder and start again"
        : "Start it with --members of its own, and add others with `flaredb member add`; or give an " +
          "empty folder, to found another cluster"),
  );
}
