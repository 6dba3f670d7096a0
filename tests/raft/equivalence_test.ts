/**
 * Random schedules over three replicas, with synchronous and with asynchronous storage writes, held
 * to the safety properties of the paper (Raft figure 3), and to an end in which all agree.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, type Member, Network, seededRandom } from "./network.ts";

interface Schedule {
  readonly seed: number;
  readonly steps: number;
  readonly async: boolean;
  readonly preVote: boolean;
  readonly checkQuorum: boolean;
  readonly small: boolean;
}

const schedule: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  steps: fc.integer({ min: 50, max: 300 }),
  async: fc.boolean(),
  preVote: fc.boolean(),
  checkQuorum: fc.boolean(),
  small: fc.boolean(),
});

/** A run with everything that must hold of all that happened in it. */
class Run {
  readonly network: Network;
  readonly #random: (bound: number) => number;
  readonly #leaders = new Map<number, number>();
  readonly #applied = new Map<number, string>();
  #proposals = 0;

  constructor({ seed, async, preVote, checkQuorum, small }: Schedule) {
    const random = this.#random = seededRandom(seed);
    this.network = Network.of(3, {
      random,
      preVote,
      checkQuorum,
      asyncStorageWrites: async,
      electionTick: 5,
      ...(small
        ? { maxSizePerMessage: 10, maxInflightMessages: 2, maxCommittedSizePerReady: 10 }
        : {}),
    });
    for (const member of this.network.members.values()) member.holdStorage = async;
  }

  step(): void {
    const { network } = this;
    const random = this.#random;
    const member = network.member(1 + random(3));
    const choice = random(100);
    if (choice < 55) this.#deliver();
    else if (choice < 75) network.tick(member.id);
    else if (choice < 85) this.#propose(member);
    else if (choice < 90) member.node.campaign();
    else if (choice < 92) member.restart();
    else if (choice < 94) member.node.transferLeader(1 + random(3));
    else if (choice < 96) network.isolate(member.id);
    else if (choice < 98) network.heal();
    else member.node.readIndex(bytes("r"));
    this.work(member);
    this.check();
  }

  #deliver(): void {
    const { wire } = this.network;
    if (wire.length === 0) return;
    const random = this.#random;
    const position = random(4) === 0 ? random(wire.length) : 0;
    if (random(20) === 0) wire.splice(position, 1);
    else {
      if (random(20) === 0) wire.push(wire[position]);
      this.network.deliverAt(position);
    }
  }

  #propose(member: Member): void {
    try {
      member.node.propose(bytes(`command ${this.#proposals++}`));
    } catch {
      // Dropped: no leader, or leadership is being transferred.
    }
  }

  /** Lets the storage threads of a member do some of their work, or all of it. */
  work(member: Member, all = false): void {
    this.network.drive(member.id);
    for (let i = 0; all ? member.appendQueue.length + member.applyQueue.length > 0 : i < 2; i++) {
      if (all || this.#random(2) === 0) this.network.send(member.workAppend());
      if (all || this.#random(2) === 0) this.network.send(member.workApply());
      this.network.drive(member.id);
    }
  }

  check(): void {
    for (const member of this.network.members.values()) {
      const { role, term } = member;
      if (role === "leader") {
        assert.equal(this.#leaders.get(term) ?? member.id, member.id, `two leaders in ${term}`);
        this.#leaders.set(term, member.id);
      }
      for (const entry of member.applied) {
        const fact = `${entry.term} ${entry.command.join()}`;
        assert.equal(this.#applied.get(entry.index) ?? fact, fact, "state machine safety");
        this.#applied.set(entry.index, fact);
      }
    }
  }

  /** Lets everything come to rest in a healthy network. */
  end(): void {
    const { network } = this;
    network.heal();
    for (let round = 0; round < 200; round++) {
      for (const member of network.members.values()) {
        network.tick(member.id);
        this.work(member, true);
      }
      for (let i = network.wire.length; i > 0 && network.wire.length > 0; i--) {
        const { to } = network.wire[0];
        network.deliverAt(0);
        this.work(network.member(to), true);
      }
      this.check();
      const [leader] = network.leaders();
      if (leader === undefined || network.wire.length > 50) continue;
      const commits = [...network.members.values()].map((member) => member.appliedIndex);
      const ends = [...network.members.values()].map((member) => member.lastIndex);
      if (new Set([...commits, ...ends]).size === 1 && round > 20) return;
    }
    assert.fail("the replicas do not come to agree");
  }
}

test("under any schedule of messages, crashes and delayed writes all replicas agree", () => {
  fc.assert(
    fc.property(schedule, (what) => {
      const run = new Run(what);
      for (let i = 0; i < what.steps; i++) run.step();
      run.end();
      const [first, ...others] = [...run.network.members.values()];
      for (const other of others) {
        assert.deepEqual(other.commands(), first.commands());
        assert.deepEqual(other.storedTerms(), first.storedTerms());
      }
    }),
    { numRuns: 60 },
  );
});

test("synchronous and asynchronous writes commit the same log", () => {
  const commands = (async: boolean) => {
    const network = Network.of(3, { asyncStorageWrites: async });
    network.elect(1);
    network.propose(1, "a", "b");
    network.isolate(1);
    network.elect(2);
    network.propose(2, "c");
    network.heal();
    network.tick(2);
    network.settle();
    network.propose(3, "d");
    return [...network.members.values()].map((m) => [m.commands(), m.storedTerms(), m.commit]);
  };
  const expected = [["a", "b", "c", "d"], [1, 1, 1, 2, 2, 2], 6];
  assert.deepEqual(commands(false), [expected, expected, expected]);
  assert.deepEqual(commands(true), [expected, expected, expected]);
});
