/**
 * The faults of a run. Which fault comes when depends on the seed alone, not on what happens: each
 * has a number and a stream of chance of its own, so that one can be left out without changing the
 * others. What it hits is decided when it strikes.
 *
 * @module
 */

import { Chance } from "./chance.ts";
import { type Cluster, type SimRegion, STREAMS } from "./cluster.ts";
import { FAULT_KINDS, type FaultKind } from "./environment.ts";
import { traceFault } from "./fingerprint.ts";
import type { CrashPoint, Host } from "./host.ts";
import type { Membership } from "./membership.ts";
import { cutLinks, type Links, randomSplit } from "./partitions.ts";
import type { Replica } from "./replica.ts";
import { PLAYS, type Script, Stage, type SteeredKind } from "./steered/mod.ts";

/** A fault that struck. */
export interface StruckFault {
  /** Its number in the run. */
  readonly number: number;
  /** What struck. */
  readonly kind: FaultKind;
  /** When, in microseconds of virtual time. */
  readonly timeUs: number;
}

const CRASH_POINTS: readonly CrashPoint[] = [
  "before-sending",
  "while-sending",
  "before-writing",
  "after-writing",
];
const TEND_INTERVAL_US = 40_000;

/** Lets faults strike. */
export class Faults {
  /** Those that struck. */
  readonly struck: StruckFault[] = [];
  readonly #cluster: Cluster;
  readonly #membership: Membership;
  readonly #seed: number;
  readonly #only: ReadonlySet<number> | undefined;
  readonly #operator: Chance;
  /** The steered faults under way: one a region. */
  readonly #scripts = new Map<SimRegion, { readonly script: Script; readonly stage: Stage }>();
  #isOver = false;

  constructor(
    cluster: Cluster,
    membership: Membership,
    seed: number,
    only: readonly number[] | undefined,
  ) {
    this.#cluster = cluster;
    this.#membership = membership;
    this.#seed = seed;
    this.#only = only === undefined ? undefined : new Set(only);
    this.#operator = new Chance(seed, STREAMS.faults - 1);
    this.#scheduleNext(0);
    this.#tendLater();
  }

  /** No fault strikes any more, and the lasting ones end. */
  end(): void {
    this.#isOver = true;
    for (const { stage } of this.#scripts.values()) stage.clear();
    this.#cluster.network.calmDown();
    for (const host of this.#cluster.hosts.values()) {
      host.crashPoint = undefined;
      host.clock.rate = 1;
      host.disk.repair();
      if (!host.isLost) host.start();
    }
  }

  #scheduleNext(number: number): void {
    const { faultIntervalUs, faultWeights } = this.#cluster.world.environment;
    if (faultIntervalUs === Infinity) return;
    const chance = new Chance(this.#seed, STREAMS.faults + number);
    const wait = chance.between(faultIntervalUs >> 2, faultIntervalUs + (faultIntervalUs >> 1));
    const kind = FAULT_KINDS[chance.weighted(faultWeights)];
    this.#cluster.world.schedule(wait, () => {
      if (this.#isOver) return;
      const isWanted = this.#only === undefined || this.#only.has(number);
      if (kind !== undefined && isWanted) this.#strike(number, kind, chance);
      this.#scheduleNext(number + 1);
    });
  }

  /** An operator looks after the group, faults or not. */
  #tendLater(): void {
    this.#cluster.world.schedule(TEND_INTERVAL_US, () => {
      for (const region of this.#cluster.regions) this.#membership.tend(region, this.#operator);
      this.#tendLater();
    });
  }

  #strike(number: number, kind: FaultKind, chance: Chance): void {
    const { world } = this.#cluster;
    this.struck.push({ number, kind, timeUs: world.now });
    traceFault(world.trace, number, kind);
    if (world.trace.verbose) world.line(`fault ${number}: ${kind}`);
    const region = chance.pick(this.#cluster.regions);
    const host = this.#someHost(chance);
    if (host === undefined) return;
    if (this.#strikeNetwork(kind, region, host, chance)) return;
    if (this.#strikeDisk(kind, host, chance)) return;
    if (this.#strikeProcess(kind, region, host, chance)) return;
    if (kind in PLAYS) return this.#steer(kind as SteeredKind, region, chance);
    this.#strikeGroup(kind, region, chance);
  }

  #steer(kind: SteeredKind, region: SimRegion, chance: Chance): void {
    if (this.#scripts.has(region)) return;
    const stage = new Stage(this.#cluster, this.#membership, region, chance);
    const script = PLAYS[kind](stage);
    this.#scripts.set(region, { script, stage });
    this.#proceed(region, false);
  }

  /** A steered fault goes on to the next moment that it waits for, or ends. */
  #proceed(region: SimRegion, held: boolean): void {
    if (this.#isOver) return;
    const { script, stage } = this.#scripts.get(region)!;
    const { done, value } = script.next(held);
    if (done !== true) {
      const { holds, patienceUs } = value;
      return this.#cluster.world.watch(holds, patienceUs, (held) => this.#proceed(region, held));
    }
    stage.clear();
    this.#scripts.delete(region);
  }

  #strikeNetwork(kind: FaultKind, region: SimRegion, host: Host, chance: Chance): boolean {
    const { network } = this.#cluster;
    const ids = [...this.#cluster.hosts.keys()];
    const others = ids.filter((id) => id !== host.id);
    const duration = chance.between(30_000, 400_000);
    switch (kind) {
      case "partition":
        this.#cut(randomSplit(ids, chance), duration);
        return true;
      case "isolate-leader": {
        const id = this.#cluster.leaderOf(region)?.nodeId ?? host.id;
        this.#cut(cutLinks([id], ids.filter((other) => other !== id), "both"), duration);
        return true;
      }
      case "partial-partition":
        this.#cut(cutLinks([host.id], [chance.pick(others)], "both"), duration);
        return true;
      case "asymmetric-partition": {
        const targets = chance.hits(500) ? others : [chance.pick(others)];
        this.#cut(cutLinks([host.id], targets, chance.hits(500) ? "out" : "in"), duration);
        return true;
      }
      case "flapping-link": {
        const links = cutLinks([host.id], [chance.pick(others)], "both");
        this.#flap(links, chance.between(4, 12), chance.between(5_000, 30_000));
        return true;
      }
      case "slow-link": {
        const factor = chance.between(5, 40);
        for (const to of others) network.link(host.id, to).delayFactor = factor;
        this.#later(duration, () => {
          for (const to of others) network.link(host.id, to).delayFactor = 1;
        });
        return true;
      }
      case "loss-burst": {
        const perMille = chance.between(100, 600);
        for (const to of others) network.link(host.id, to).lossPerMille = perMille;
        this.#later(duration, () => {
          for (const to of others) network.link(host.id, to).lossPerMille = 0;
        });
        return true;
      }
      case "replay":
        network.replay(chance.between(1, 20));
        return true;
      case "reset":
        network.reset(host.id, chance.pick(others));
        return true;
      case "cut-snapshots":
        network.cutSnapshots();
        return true;
      default:
        return false;
    }
  }

  #strikeDisk(kind: FaultKind, host: Host, chance: Chance): boolean {
    const { world } = this.#cluster;
    switch (kind) {
      case "disk-stall":
        host.disk.stallUntil(world.now + chance.between(50_000, 500_000));
        return true;
      case "disk-slow":
        host.disk.slowness = chance.between(3, 20);
        this.#later(chance.between(50_000, 300_000), () => host.disk.slowness = 1);
        return true;
      case "write-failure":
        host.disk.failNext();
        this.#restartLater(host, chance.between(100_000, 200_000));
        return true;
      case "disk-full":
        host.disk.fillUntil(world.now + chance.between(20_000, 150_000));
        this.#restartLater(host, chance.between(50_000, 100_000));
        this.#restartLater(host, chance.between(150_000, 250_000));
        return true;
      case "bit-flip":
        if (host.isLost || !this.#membership.maySpare(host.id)) return true;
        host.crash(false);
        host.isDamaged = true;
        this.#flipBit(host, chance);
        this.#restartLater(host, chance.between(5_000, 50_000));
        return true;
      case "wipe":
        if (host.isLost || !this.#membership.maySpare(host.id)) return true;
        world.coverage.add("disks wiped");
        this.#cluster.lose(host);
        return true;
      case "forget":
        if (host.isLost || !this.#membership.maySpare(host.id)) return true;
        world.coverage.add("nodes that came back without their data");
        this.#cluster.forget(host);
        this.#restartLater(host, chance.between(1_000, 50_000));
        return true;
      default:
        return false;
    }
  }

  #strikeProcess(kind: FaultKind, region: SimRegion, host: Host, chance: Chance): boolean {
    const { world, hosts } = this.#cluster;
    const survive = chance.hits(500);
    switch (kind) {
      case "crash":
        this.#crash(host, survive, chance.skewed(1_000, 400_000));
        return true;
      case "crash-leader": {
        const leader = this.#cluster.leaderOf(region);
        const victim = leader === undefined ? host : this.#cluster.hostOf(leader);
        this.#crash(victim, survive, chance.skewed(1_000, 400_000));
        return true;
      }
      case "crash-in-turn":
        host.crashPoint = chance.pick(CRASH_POINTS);
        this.#restartLater(host, chance.between(20_000, 200_000));
        return true;
      case "crash-all":
        world.coverage.add("crashes of all nodes");
        for (const each of hosts.values()) {
          this.#crash(each, survive, chance.between(1_000, 100_000));
        }
        return true;
      case "rolling-restart": {
        let wait = 0;
        for (const each of hosts.values()) {
          const down = chance.between(1_000, 30_000);
          this.#later(wait, () => this.#crash(each, true, down));
          wait += chance.between(5_000, 80_000);
        }
        return true;
      }
      case "pause": {
        const { electionTick, tickUs } = world.environment;
        const durationUs = chance.between(20_000, 600_000);
        if (durationUs > electionTick * tickUs) {
          world.coverage.add("pauses longer than an election timeout");
        }
        host.pause(durationUs);
        return true;
      }
      case "slow-machine":
        host.slowMachines(chance.between(50_000, 500_000));
        return true;
      case "clock-skew":
        host.clock.rate = chance.between(5, 20) / 10;
        return true;
      case "clock-jump":
        world.coverage.add("clock jumps");
        host.clock.jump(chance.between(100, 5_000));
        return true;
      default:
        return false;
    }
  }

  #strikeGroup(kind: FaultKind, region: SimRegion, chance: Chance): void {
    const live = [...region.replicas.values()].filter((each) => this.#cluster.isLive(each));
    if (live.length === 0) return;
    const replica = chance.pick(live);
    const host = this.#cluster.hostOf(replica);
    switch (kind) {
      case "transfer":
        return this.#transfer(region, chance.pick(live), replica);
      case "campaign":
        return host.push(region.regionId, { type: "campaign" });
      case "compact":
        return this.#compact(chance.hits(500) ? live : [replica], chance);
      case "add-learner":
      case "promote":
      case "demote":
      case "remove":
      case "replace":
        return this.#membership.change(region, kind, chance);
    }
  }

  #transfer(region: SimRegion, to: Replica, through: Replica): void {
    const { world } = this.#cluster;
    world.coverage.add("transfers asked for");
    const before = this.#cluster.leaderOf(region);
    const event = { type: "transfer-leader", to: to.peerId } as const;
    this.#cluster.hostOf(through).push(region.regionId, event);
    this.#later(100_000, () => {
      if (before !== to && this.#cluster.leaderOf(region) === to) {
        world.coverage.add("leadership passed to the transferee");
      }
    });
  }

  #compact(replicas: readonly Replica[], chance: Chance): void {
    for (const replica of replicas) {
      const { durableIndex, written } = replica;
      if (durableIndex <= written.truncatedIndex) continue;
      const index = chance.hits(500)
        ? durableIndex
        : chance.between(written.truncatedIndex + 1, durableIndex);
      this.#cluster.hostOf(replica).compact(replica, index);
    }
  }

  #flipBit(host: Host, chance: Chance): void {
    const replica = chance.pick([...host.replicas.values()]);
    const { entries } = replica.durable;
    if (entries.length === 0 || chance.hits(200)) return replica.durable.flipVote();
    const position = chance.below(entries.length);
    const entry = entries[position];
    const command = entry.command.length === 0 ? new Uint8Array(1) : entry.command.slice();
    command[chance.below(command.length)] ^= 1 << chance.below(8);
    entries[position] = { ...entry, command };
  }

  #someHost(chance: Chance): Host | undefined {
    const hosts = [...this.#cluster.hosts.values()].filter((host) => !host.isLost);
    return hosts.length < 2 ? undefined : chance.pick(hosts);
  }

  #crash(host: Host, writesSurvive: boolean, downUs: number): void {
    host.crash(writesSurvive);
    this.#restartLater(host, downUs);
  }

  #restartLater(host: Host, delayUs: number): void {
    this.#later(delayUs, () => host.start());
  }

  #cut(links: Links, durationUs: number): void {
    const { network } = this.#cluster;
    for (const [from, to] of links) network.link(from, to).cuts++;
    this.#later(durationUs, () => {
      for (const [from, to] of links) network.link(from, to).cuts--;
    });
  }

  #flap(links: Links, times: number, periodUs: number): void {
    if (times === 0) return;
    this.#cut(links, periodUs);
    this.#later(2 * periodUs, () => this.#flap(links, times - 1, periodUs));
  }

  /** Something that ends with the faults. */
  #later(delayUs: number, action: () => void): void {
    this.#cluster.world.schedule(delayUs, () => {
      if (!this.#isOver) action();
    });
  }
}
