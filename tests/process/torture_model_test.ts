import assert from "node:assert/strict";
import { test } from "node:test";
import {
  GET,
  KEY_MODEL,
  type KeyAction,
  type KeyCompare,
  type KeyInput,
  type KeyOutput,
} from "../../scripts/torture/model.ts";
import type { Answer } from "../../scripts/torture/operation.ts";
import { type OpenCall, Recorder } from "../../scripts/torture/recorder.ts";
import type { SeenVersion } from "../../scripts/torture/revisions.ts";
import { Chance } from "../../src/sim/mod.ts";

const put = (value: number): KeyAction => ({ type: "put", value });
const version = (value: number, count: number, create: number, modify: number): SeenVersion => ({
  value,
  version: count,
  createRevision: create,
  modRevision: modify,
});

/** What the model makes of operations one after another, each with its comparison. */
function outcomes(...steps: [KeyAction, KeyCompare?][]): KeyOutput[] {
  let state = KEY_MODEL.initial();
  return steps.map(([then, compare]) => {
    const next = KEY_MODEL.step(state, { key: "k", compare, then, else: GET });
    state = next.state;
    return next.output;
  });
}

test("the value of a key that does not exist neither equals nor differs from any", () => {
  for (const operator of ["=", "!="] as const) {
    const [{ succeeded }] = outcomes([put(1), { field: "value", operator, operand: 7 }]);
    assert.equal(succeeded, false);
  }
});

test("versions count from the creation, which a deletion undoes", () => {
  const found = outcomes([put(1)], [put(2)], [GET], [{ type: "delete" }], [GET], [put(3)], [GET]);
  assert.deepEqual(found.map(({ version }) => version), [0, 1, 2, 2, 0, 0, 1]);
});

test("a key's creation is that of its first value, whatever was put since", () => {
  const isSince = (operand: number): KeyCompare => ({
    field: "createRevision",
    operator: "=",
    operand,
    revision: 9,
  });
  const found = outcomes([put(1)], [put(2)], [GET, isSince(1)], [GET, isSince(2)]);
  assert.deepEqual(found.slice(2).map(({ succeeded }) => succeeded), [true, false]);
});

/** What a client does and sees: the revision of the answer and the key before, or nothing. */
type Step = [action: KeyAction, revision: number | "lost", before?: SeenVersion];

/** Records steps one after another and checks them; what was lost may take effect at any time. */
async function checked(steps: Step[], store: SeenVersion[] = []): Promise<string | undefined> {
  const recorder = new Recorder();
  for (const [then, revision, before] of steps) {
    const open = recorder.call(1, { key: "k", then, else: GET });
    if (revision === "lost") recorder.lost(open);
    else {
      const { value, version } = before ?? { value: 0, version: 0 };
      recorder.answered(open, { output: { succeeded: true, value, version }, revision, before });
    }
  }
  const read = (_key: string, revision: number): Promise<SeenVersion | undefined> =>
    Promise.resolve(store.findLast(({ modRevision }) => modRevision <= revision));
  return (await recorder.check(read)).problem;
}

const DELETE: KeyAction = { type: "delete" };
const NOT_LINEARIZABLE = "the history of key k is not linearizable";

test("a write of unknown outcome took effect before it was seen, and stays", async () => {
  const seen = version(1, 1, 2, 2);
  assert.equal(
    await checked([[put(1), "lost"], [GET, 1], [GET, 2, seen], [GET, 2, seen]]),
    undefined,
  );
  assert.equal(await checked([[put(1), "lost"], [GET, 2, seen], [GET, 2]]), NOT_LINEARIZABLE);
});

test("a write of unknown outcome that nobody ever sees did nothing", async () => {
  assert.equal(
    await checked([[put(1), "lost"], [put(2), 5], [GET, 5, version(2, 1, 5, 5)]]),
    undefined,
  );
});

test("a write seen before it was called has no order", async () => {
  assert.equal(
    await checked([[GET, 2, version(1, 1, 2, 2)], [put(1), "lost"]]),
    NOT_LINEARIZABLE,
  );
});

test("a write that nobody saw is found by the gap it left between versions", async () => {
  const steps: Step[] = [
    [put(1), 2],
    [put(2), "lost"],
    [put(3), "lost"],
    [GET, 4, version(3, 3, 2, 4)],
  ];
  assert.equal(await checked(steps, [version(1, 1, 2, 2), version(2, 2, 2, 3)]), undefined);
  assert.match(
    (await checked(steps, [version(1, 1, 2, 2)]))!,
    /must be version 2 since revision 2/,
  );
  const strange = await checked(steps, [version(1, 1, 2, 2), version(9, 2, 2, 3)]);
  assert.match(strange!, /holds 9, which nobody wrote/);
});

test("a deletion of unknown outcome explains that a key is gone, and nothing else does", async () => {
  assert.equal(await checked([[put(1), 2], [DELETE, "lost"], [GET, 3]]), undefined);
  assert.equal(await checked([[put(1), 2], [GET, 3]]), NOT_LINEARIZABLE);
  const known: Step[] = [[put(1), 2], [DELETE, 3, version(1, 1, 2, 2)], [DELETE, "lost"], [GET, 3]];
  assert.equal(await checked(known), undefined);
});

test("revisions that rise with every change are accepted", async () => {
  const [first, second] = [version(1, 1, 2, 2), version(2, 2, 2, 3)];
  assert.equal(
    await checked([[put(1), 2], [put(2), 3, first], [GET, 3, second], [DELETE, 7, second], [
      GET,
      7,
    ]]),
    undefined,
  );
});

test("a revision that goes back, stands still at a write, or is given twice is noticed", async () => {
  const first = version(1, 1, 5, 5);
  assert.match((await checked([[put(1), 5], [GET, 4, first]]))!, /revisions go back/);
  assert.match((await checked([[put(1), 5], [put(2), 5, first]]))!, /share a value or a revision/);
  assert.match((await checked([[put(1), 5], [DELETE, 5, first]]))!, /revisions go back/);
});

test("a value at two revisions, or a version that does not fit its revisions, is noticed", async () => {
  assert.match((await checked([[put(1), 5], [GET, 6, version(1, 1, 6, 6)]]))!, /share a value/);
  assert.match((await checked([[put(1), 5], [put(2), 6, version(1, 1, 4, 5)]]))!, /share a value/);
  const jumped = [version(1, 1, 5, 5), version(2, 2, 5, 5)];
  assert.match(
    (await checked([[put(1), 5], [put(2), 5, jumped[0]], [GET, 6, jumped[1]]]))!,
    /share/,
  );
});

/** A store of one key that many clients use at once, as its specification says, or nearly so. */
class RandomStore {
  readonly recorder = new Recorder();
  readonly chance: Chance;
  readonly versions: (SeenVersion & { readonly exists: boolean })[] = [
    { ...version(0, 0, 0, 1), exists: false },
  ];
  #values = 0;
  #state = KEY_MODEL.initial();

  constructor(seed: number) {
    this.chance = new Chance(seed, 0);
  }

  /** The key as of a revision. */
  at(revision: number): SeenVersion | undefined {
    const found = this.versions.findLast(({ modRevision }) => modRevision <= revision)!;
    if (!found.exists) return undefined;
    const { exists: _, ...rest } = found;
    return rest;
  }

  get revision(): number {
    return this.versions[this.versions.length - 1].modRevision;
  }

  draw(): KeyInput {
    const action = (): KeyAction =>
      this.chance.pick([GET, DELETE, put(++this.#values), put(++this.#values)]);
    const compare = this.chance.hits(500) ? undefined : {
      field: "version" as const,
      operator: this.chance.pick(["=", "<", ">", "!="] as const),
      operand: this.chance.below(4),
    };
    return { key: "k", compare, then: action(), else: compare === undefined ? GET : action() };
  }

  apply(input: KeyInput): Answer {
    const before = this.at(this.revision);
    const { state, output } = KEY_MODEL.step(this.#state, input);
    this.#state = state;
    const { type } = output.succeeded ? input.then : input.else;
    if (type === "put" || (type === "delete" && before !== undefined)) {
      const modRevision = this.revision + 1;
      const createRevision = before?.createRevision ?? modRevision;
      const { value, version } = state;
      this.versions.push({ value, version, createRevision, modRevision, exists: value !== 0 });
    }
    return { output, revision: this.revision, before };
  }

  /** Runs clients; `spoil` alters what some of them are answered. */
  async run(spoil: (answer: Answer) => Answer): Promise<string | undefined> {
    const { chance, recorder } = this;
    const waiting: OpenCall[] = [];
    const done: [OpenCall, Answer][] = [];
    const take = <T>(list: T[]): T => list.splice(chance.below(list.length), 1)[0];
    for (let step = 0; step < 150; step++) {
      const act = chance.below(4);
      if (act === 0 && waiting.length + done.length < 6) {
        waiting.push(recorder.call(1, this.draw()));
      } else if (act === 1 && waiting.length > 0) {
        const open = take(waiting);
        if (chance.hits(200)) recorder.lost(open);
        else done.push([open, this.apply(open.input)]);
      } else if (done.length > 0) {
        const [open, answer] = take(done);
        if (chance.hits(300)) recorder.lost(open);
        else recorder.answered(open, spoil(answer));
      }
    }
    for (const [open, answer] of done) recorder.answered(open, answer);
    const last: KeyInput = { key: "k", then: GET, else: GET };
    recorder.answered(recorder.call(1, last), this.apply(last));
    const read = (_: string, revision: number) => Promise.resolve(this.at(revision));
    return (await recorder.check(read)).problem;
  }
}

test("histories of a store that does as specified are accepted, whatever outcomes are unknown", async () => {
  for (let seed = 0; seed < 300; seed++) {
    assert.equal(await new RandomStore(seed).run((answer) => answer), undefined, `seed ${seed}`);
  }
});

test("histories of a store that answers as of the past now and then are not", async () => {
  let noticed = 0;
  for (let seed = 0; seed < 100; seed++) {
    const store = new RandomStore(seed);
    const problem = await store.run((answer) => {
      const before = store.at(Math.max(1, answer.revision - 6));
      if (answer.output.succeeded === false || store.chance.hits(700)) return answer;
      const { value, version } = before ?? { value: 0, version: 0 };
      return { ...answer, output: { succeeded: true, value, version }, before };
    });
    if (problem !== undefined) noticed++;
  }
  assert.ok(noticed > 80, `noticed ${noticed} of 100`);
});
