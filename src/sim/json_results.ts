/**
 * Results of commands as bytes: JSON, as they are plain data. Client sessions keep them so.
 *
 * @module
 */

import type { ResultCodec } from "../node/mod.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Results as JSON. */
export const JSON_RESULTS: ResultCodec = {
  encode: (result) => encoder.encode(JSON.stringify(result)),
  decode: (bytes) => JSON.parse(decoder.decode(bytes)),
};
