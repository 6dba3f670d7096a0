/**
 * The parts of a node, wired together: who gets what arrives, who is told what is settled.
 *
 * @module
 */

import { join } from "node:path";
import type { RaftError } from "../raft/mod.ts";
import { Answers } from "./answers.ts";
import type { CheckedNodeOptions } from "./checked_options.ts";
import { ELECTION_TICK_DEFAULT } from "./core.ts";
import { Directory } from "./directory.ts";
import { MemberForwarding } from "./member_forwarding.ts";
import { MemberWatch } from "./member_watch.ts";
import { NodeMembers } from "./node_members.ts";
import { Notifier } from "./notifier.ts";
import type { NodeOptions } from "./options.ts";
import type { Region } from "./region.ts";
import { Router } from "./routing.ts";
import { ClientSessions } from "./sessions/client_sessions.ts";
import { SnapshotArrivals } from "./snapshots/arrivals.ts";
import { SnapshotDepartures } from "./snapshots/departures.ts";
import { FileSpool } from "./snapshots/file_spool.ts";
import { MemorySpool } from "./snapshots/memory_spool.ts";
import type { SnapshotSpool } from "./snapshots/spool.ts";
import { SPOOL_DIRECTORY } from "./snapshots/spool_file.ts";
import { createNodeCounters, type NodeCounters } from "./status.ts";
import { Transfers } from "./transfers.ts";
import { Turns } from "./turns.ts";

/** The parts of a node. */
export interface NodeParts {
  /** What the node was opened with. */
  readonly options: NodeOptions;
  readonly checked: CheckedNodeOptions;
  /** By id, in the order of the options. */
  readonly regions: Map<number, Region>;
  readonly directory: Directory;
  readonly members: NodeMembers;
  readonly forwarding: MemberForwarding;
  readonly watch: MemberWatch;
  readonly transfers: Transfers;
  readonly sessions: ClientSessions;
  readonly spool: SnapshotSpool;
  readonly arrivals: SnapshotArrivals;
  readonly departures: SnapshotDepartures;
  readonly notifier: Notifier;
  readonly answers: Answers;
  readonly router: Router;
  readonly turns: Turns;
  readonly counters: NodeCounters;
  /** Ends the node. */
  readonly fail: (error: RaftError) => void;
}

/** Makes the parts of a node. @param fail ends the node. */
export function createParts(
  options: NodeOptions,
  checked: CheckedNodeOptions,
  fail: (error: RaftError) => void,
): NodeParts {
  const { nodeId, logger, clock } = checked;
  const { transport } = options;
  const spool = checked.directory === undefined
    ? new MemorySpool()
    : new FileSpool(join(checked.directory, SPOOL_DIRECTORY));
  const shared = {
    nodeId,
    transport,
    clock,
    fail,
    regions: new Map<number, Region>(),
    directory: new Directory(),
    notifier: new Notifier(nodeId, logger, options.observer ?? {}),
    counters: createNodeCounters(),
    transfers: new Transfers(),
    sessions: new ClientSessions(),
    arrivals: new SnapshotArrivals(spool, logger),
  };
  const { directory } = shared;
  const departures = new SnapshotDepartures(
    transport,
    (regionId, peerId) => directory.nodeOf(regionId, peerId),
    checked.snapshotSendsMax,
    logger,
  );
  const members = new NodeMembers(nodeId, directory, transport, clock);
  const answers = new Answers({ ...shared, members, departures });
  const forwarding = new MemberForwarding({
    ...shared,
    members,
    forwards: options.forwardProposals ?? true,
  });
  const watch = new MemberWatch({
    ...shared,
    members,
    forwarding,
    logger,
    electionTick: options.electionTick ?? ELECTION_TICK_DEFAULT,
  });
  const router = new Router({ ...shared, answer: (...asked) => forwarding.answer(...asked) });
  const turns = new Turns({ ...shared, router, answers });
  return {
    ...shared,
    options,
    checked,
    spool,
    departures,
    members,
    forwarding,
    watch,
    answers,
    router,
    turns,
  };
}
