/**
 * A question that one node asks another, and its answer, as bytes: `Question` and `Answer` in
 * `proto/raft_service.proto`. The opening is that of every stream (`handshake.ts`); what is asked is
 * the host's business.
 *
 * @module
 */

import { WireError } from "./errors.ts";
import { decodeHello, encodeHello, type Hello } from "./handshake.ts";
import { Reader, repeatedField, wrongWireType } from "./reader.ts";
import { bytesFieldSize, writeBytesField } from "./writer.ts";

/** Most bytes of the body of a question or an answer: 64 KiB. */
export const QUESTION_BYTES_MAX: number = 64 * 1024;

/** A question, and who asks whom. */
export interface Question {
  /** Who calls, and whom it means to reach. */
  readonly hello: Hello;
  /** What is asked. */
  readonly body: Uint8Array;
}

const TAG_HELLO = 0x0a;
const TAG_QUESTION_BODY = 0x12;
const TAG_ANSWER_BODY = 0x0a;

/**
 * Encodes a question.
 *
 * @throws WireError when the hello cannot be encoded, or the body is beyond its limit.
 */
export function encodeQuestion({ hello, body }: Question): Uint8Array {
  checkLength("encode", "Question.body", body);
  const opening = encodeHello(hello);
  const bytes = new Uint8Array(opening.length + bytesFieldSize(body));
  bytes.set(opening);
  writeBytesField(bytes, opening.length, TAG_QUESTION_BODY, body);
  return bytes;
}

/**
 * Decodes a question; the body is a view of `bytes`.
 *
 * @throws WireError when it cannot be read.
 */
export function decodeQuestion(bytes: Uint8Array): Question {
  const reader = new Reader(bytes);
  let hello: Hello | undefined;
  let body: Uint8Array = new Uint8Array(0);
  while (reader.more()) {
    const start = reader.position;
    const tag = reader.tag("Question");
    if (tag === TAG_HELLO) {
      if (hello !== undefined) throw repeatedField("Question.hello");
      reader.position = reader.lengthEnd("Question.hello");
      hello = decodeHello(bytes.subarray(start, reader.position));
    } else if (tag === TAG_QUESTION_BODY) {
      body = reader.view("Question.body");
    } else {
      if (tag >>> 3 <= 2) throw wrongWireType("Question", tag);
      reader.skip(tag, "Question");
    }
  }
  if (hello === undefined) {
    const text = "Cannot decode Question.hello as it is missing";
    throw new WireError("WIRE_MALFORMED", "Question.hello", text);
  }
  checkLength("decode", "Question.body", body);
  return { hello, body };
}

/**
 * Encodes an answer.
 *
 * @throws WireError when it is beyond its limit.
 */
export function encodeAnswer(body: Uint8Array): Uint8Array {
  checkLength("encode", "Answer.body", body);
  const bytes = new Uint8Array(bytesFieldSize(body));
  writeBytesField(bytes, 0, TAG_ANSWER_BODY, body);
  return bytes;
}

/**
 * Decodes an answer: a view of `bytes`.
 *
 * @throws WireError when it cannot be read.
 */
export function decodeAnswer(bytes: Uint8Array): Uint8Array {
  const reader = new Reader(bytes);
  let body: Uint8Array = new Uint8Array(0);
  while (reader.more()) {
    const tag = reader.tag("Answer");
    if (tag === TAG_ANSWER_BODY) body = reader.view("Answer.body");
    else if (tag >>> 3 <= 1) throw wrongWireType("Answer", tag);
    else reader.skip(tag, "Answer");
  }
  checkLength("decode", "Answer.body", body);
  return body;
}

function checkLength(action: string, field: string, body: Uint8Array): void {
  if (body.length <= QUESTION_BYTES_MAX) return;
  throw new WireError(
    "WIRE_LIMIT",
    field,
    `Cannot ${action} ${field} as it must have at most ${QUESTION_BYTES_MAX} bytes: it has ` +
      body.length,
  );
}
