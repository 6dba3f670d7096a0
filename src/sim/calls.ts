/**
 * What a client has under way: an operation, which may take several attempts, and each request to a
 * node that is one of them.
 *
 * @module
 */

import {
  ProposalRequest,
  ReadRequest,
  type SessionKey,
  type SessionOperation,
} from "../node/mod.ts";
import { violated } from "./errors.ts";
import type { Host } from "./host.ts";
import type { Operation } from "./machine.ts";
import type { Attempt } from "./region_truth.ts";

/** An operation of a client, over all its attempts. */
export interface Undertaking {
  readonly client: number;
  readonly operation: Operation;
  /** When it was called: a position in the order of all calls and returns. */
  readonly calledAt: number;
  /** Of a write: every time it was proposed. */
  readonly attempts: Attempt[];
  /** The command of a session that it is, with every attempt. */
  readonly session: SessionOperation | undefined;
  /** Whether nobody knows what became of an attempt. */
  isUncertain: boolean;
}

/** What a request is for: an operation of the workload, or the session that operations go through. */
export type Purpose = Undertaking | { readonly client: number; readonly session: SessionOperation };

/** A request to a node. */
export interface Call {
  readonly purpose: Purpose;
  readonly host: Host;
  /** What was committed when it was called: a read must not be served below it. */
  readonly floor: number;
  /** Of a proposal. */
  readonly attempt: Attempt | undefined;
  request: ClientProposal | ClientRead | undefined;
  /** Whether the peer has answered: it does so once. */
  isAnswered: boolean;
}

/** A proposal of a client. */
export class ClientProposal extends ProposalRequest {
  readonly call: Call;
  constructor(
    command: Uint8Array,
    deadline: number,
    session: SessionOperation | undefined,
    call: Call,
  ) {
    super(command, deadline, session);
    this.call = call;
  }
}

/** A read of a client. */
export class ClientRead extends ReadRequest {
  readonly call: Call;
  constructor(deadline: number, call: Call) {
    super(deadline);
    this.call = call;
  }
}

/** Whether a request is for an operation of the workload. */
export function isUndertaking(purpose: Purpose): purpose is Undertaking {
  return "operation" in purpose;
}

/** Notes that a peer answers. */
export function answerOnce(call: Call): void {
  if (call.isAnswered) {
    violated("exactly-once", `a request of client ${call.purpose.client} has two answers`);
  }
  call.isAnswered = true;
}

/** The session of a client, as far as it knows. */
export interface ClientSession {
  readonly key: SessionKey;
  /** The number of its last command. */
  sequence: number;
  /** Up to which number it waits for no result. */
  acknowledged: number;
}
