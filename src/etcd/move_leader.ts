/**
 * `Maintenance.MoveLeader`: hands leadership to another member. Unlike etcd, whose clients look for the
 * leader first, any member may be asked.
 *
 * @module
 */

import type { MemberChangeResponse, MemberIdRequest } from "./cluster_messages.ts";
import { GrpcStatus } from "./grpc_status.ts";
import { type Answer, type EtcdHandlers, listMembers } from "./handlers.ts";
import type { CheckedServerOptions } from "./server_options.ts";
import { EtcdStatus } from "./status_errors.ts";

/**
 * Answers once this member sees the new leader, or is out of time: leadership may still pass then.
 * On the wire the request is like that for a removal, and the response like its, without members.
 */
export function moveLeader(
  options: CheckedServerOptions,
  handlers: EtcdHandlers,
  { id }: MemberIdRequest,
  deadline: number,
  answer: Answer<MemberChangeResponse>,
): void {
  const { node } = options;
  if (node.transferLeader === undefined) {
    return answer({
      code: GrpcStatus.UNIMPLEMENTED,
      details: "flaredb: this node cannot hand leadership over",
    });
  }
  const target = listMembers(options).find((member) => member.id === id);
  if (target === undefined || target.isLearner) return answer(EtcdStatus.badLeaderTransferee);
  node.transferLeader(Number(id), { deadlineMs: handlers.remaining(deadline) }).then(
    () => answer(null, { header: handlers.header(), members: [] }),
    (error) => answer(handlers.statusOf(error)),
  );
}
