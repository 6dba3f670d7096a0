/** What people read of a failed call. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutEmptyNote } from "../../src/tls/grpc_details.ts";

test("an empty note on name resolution is dropped, one that says something is kept", () => {
  const refused = "No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1";
  assert.equal(withoutEmptyNote(`${refused}. Resolution note: `), refused);
  assert.equal(withoutEmptyNote(refused), refused);
  const noted = `${refused}. Resolution note: no such host`;
  assert.equal(withoutEmptyNote(noted), noted);
});
