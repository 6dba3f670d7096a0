/**
 * Rules of client sessions, broken: what makes a command take effect once, and its result be kept.
 *
 * @module
 */

import { type Rule, rulesOf } from "../../mutation/rule.ts";

/** Files are from `src`. */
export const SESSION_MUTANTS: readonly Rule[] = [
  ...rulesOf("node/sessions/table.ts", [
    [
      "applies a command of a session again",
      "if (kept !== undefined) {",
      "if (kept !== undefined && sequence < 0) {",
    ],
    [
      "applies a command whose result nobody waits for any more",
      'if (sequence <= session.acknowledged) return this.#refuse("SEQUENCE_PASSED");',
      "",
    ],
    [
      "takes sequence numbers that are too far ahead",
      "if (sequence > session.acknowledged + SESSION_WINDOW) return",
      "if (sequence < 0) return",
    ],
    [
      "lets sessions expire by what this member has seen",
      "this.#nowMs + elapsedMs,",
      "this.#nowMs + elapsedMs + this.#counters.sessionDuplicates,",
    ],
    [
      "never lets sessions expire",
      "if (this.#nowMs - usedMs < timeoutMs) continue;",
      "continue;",
    ],
    [
      "ends the session that was used last when there are too many",
      "this.#sessions.keys().next().value!",
      "[...this.#sessions.keys()].at(-1)!",
    ],
    [
      "forgets at a restart which session was used least recently",
      "a.usedIndex - b.usedIndex || a.index - b.index",
      "a.index - b.index",
    ],
    [
      "does not store that a session was used",
      "    this.#sessions.set(index, session);\n    this.#touched.add(index);",
      "    this.#sessions.set(index, session);",
    ],
    [
      "does not store the clock of the sessions",
      "if (this.#clockChanged) delta.push",
      "if (this.#clockChanged && this.#nowMs < 0) delta.push",
    ],
    [
      "does not store that a session ended",
      "for (const index of this.#ended) delta.push([SESSION + index, undefined]);",
      "",
    ],
    [
      "acknowledges more than the client has said",
      "session.acknowledged = acknowledged;",
      "session.acknowledged = acknowledged + 1;",
    ],
    [
      "lets sessions expire although they are used",
      "    session.usedMs = this.#nowMs;\n",
      "",
    ],
    [
      "forgets at a restart what time it is",
      "this.#nowMs = clock === undefined ? 0 : read48(clock, 0);",
      "this.#nowMs = clock === undefined ? 0 : 0;",
    ],
    [
      "forgets at a restart how much the results take",
      "for (const { bytes } of sessions) this.#account.bytes += bytes;",
      "",
    ],
    [
      "answers with the place of the second attempt",
      'return { type: "duplicate", kept };',
      'return { type: "duplicate", kept: { ...kept, index: entry.index } };',
    ],
  ]),
  ...rulesOf("node/sessions/session.ts", [
    [
      "forgets at a restart what is acknowledged",
      "acknowledged: read48(bytes, 26),",
      "acknowledged: 0,",
    ],
    [
      "forgets at a restart when a session was used",
      "usedMs: read48(bytes, 20),",
      "usedMs: 0,",
    ],
  ]),
  ...rulesOf("node/sessions/peer_sessions.ts", [
    [
      "forgets the sessions at a restart",
      "new SessionTable(options.nodeState,",
      "new SessionTable(new Map(),",
    ],
  ]),
  ...rulesOf("node/sessions/result_account.ts", [
    [
      "keeps results by what is kept when the batch is over",
      "for (const { bytes } of released) this.#add(session, -(bytes?.length ?? 0));",
      "",
    ],
    [
      "keeps no result",
      "if (this.#fits(session, bytes.length)) {",
      "if (bytes.length < 0) {",
    ],
    [
      "keeps results of all sessions beyond their limit",
      " &&\n      this.bytes + bytes <= this.#limits.resultBytesMax;",
      ";",
    ],
  ]),
  ...rulesOf("node/sessions/batches.ts", [
    [
      "keeps the result of another command",
      "this.#kept.push(commandPosition);",
      "this.#kept.push(Math.max(0, commandPosition - 1));",
    ],
    [
      "hands the state machine every command of a session",
      'if (outcome.type !== "apply") return false;',
      'if (outcome.type === "opened" || outcome.type === "done") return false;',
    ],
  ]),
  ...rulesOf("node/peer.ts", [
    [
      "forgets the sessions when it installs a snapshot",
      "this.#sessions?.table.replace(nodeState);",
      "",
    ],
  ]),
  ...rulesOf("sim/replicated_state.ts", [
    [
      "a session is forgotten in a snapshot",
      "for (const [key, value] of this.#nodeState) parts.push(encoder.encode(key), value);",
      'for (const [key, value] of this.#nodeState) {\n      if (!key.startsWith("session/")) parts.push(encoder.encode(key), value);\n    }',
    ],
    [
      "the state machine commits nothing of what sessions keep",
      "for (const [key, value] of nodeStateOf(batch, results)) this.#set(key, value);",
      "for (const [key, value] of batch.nodeState) this.#set(key, value);",
    ],
  ]),
];
