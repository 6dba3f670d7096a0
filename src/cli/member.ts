/**
 * `flaredb member`: shows and changes who is a member of a cluster that runs.
 *
 * @module
 */

import { type EtcdClient, EtcdError, type Member } from "../etcd/mod.ts";
import { formatAddress, parseAddress } from "./addresses.ts";
import type { Command, Invocation } from "./command.ts";
import { CALL_OPTIONS, withClient } from "./endpoints.ts";
import { CommandFailedError, EXIT_CODE, UsageError } from "./errors.ts";
import { table } from "./format.ts";
import { memberFailure } from "./member_failures.ts";
import { commandForPeople } from "./runtime.ts";
import type { Terminal } from "./terminal.ts";

/** What can be done, and the arguments it takes. */
const ACTIONS = {
  list: [],
  add: ["HOST:PORT"],
  promote: ["ID"],
  remove: ["ID"],
  replace: ["ID", "HOST:PORT"],
  update: ["ID", "HOST:PORT"],
} as const satisfies Record<string, readonly string[]>;

type Action = keyof typeof ACTIONS;

/** The `member` command. */
export const memberCommand: Command = {
  name: "member",
  summary: "Show, add, promote, remove or replace the members of a cluster",
  positionals: "list|add|promote|remove|replace|update [ID] [HOST:PORT]",
  positionalCount: [1, 3],
  description:
    "list shows the members. add HOST:PORT adds one whose peers will reach it there, and tells the " +
    "id to start it with; it becomes a voter once it has caught up, or with --learner when it is " +
    "promoted. promote ID makes a learner a voter. remove ID removes a member for good: its id is " +
    "never used again. replace ID HOST:PORT adds a member that takes the place of ID once it has " +
    "caught up, in one step, so that there are never fewer voters; ID may be dead. update ID " +
    "HOST:PORT says where a member's peers reach it from now on. Any member may be asked; more than " +
    "half of the voters must be running.",
  options: {
    learner: { help: "add: a learner until it is promoted" },
    serializable: {
      help: "list: what one member has, which may be old, and needs no majority that runs",
    },
    ...CALL_OPTIONS,
    json: { help: "write one line of JSON" },
  },
  examples: [
    "flaredb member list",
    "flaredb member add 10.0.0.4:2380",
    "flaredb member replace 2 10.0.0.5:2380 --endpoints 10.0.0.1:2379",
    "flaredb member remove 3",
  ],
  run: runMember,
};

async function runMember(invocation: Invocation, terminal: Terminal): Promise<number> {
  const [name, ...values] = invocation.positionals;
  const action = actionOf(name, values);
  if (invocation.has("learner") && action !== "add") {
    throw new UsageError("--learner is for add only");
  }
  if (invocation.has("serializable") && action !== "list") {
    throw new UsageError("--serializable is for list only");
  }
  const id = (): bigint => parseMemberId(values[0]);
  const address = (text: string): string => formatAddress(peerAddress(text));
  switch (action) {
    case "list":
      return await list(invocation, terminal);
    case "add":
      return await add(invocation, terminal, address(values[0]), 0n);
    case "replace":
      return await add(invocation, terminal, address(values[1]), id());
    default: {
      const where = action === "update" ? address(values[1]) : "";
      return await change(invocation, terminal, action, id(), where);
    }
  }
}

function actionOf(name: string, values: readonly string[]): Action {
  if (!Object.hasOwn(ACTIONS, name)) {
    throw new UsageError(`the action must be ${Object.keys(ACTIONS).join(", ")}: it is "${name}"`);
  }
  const action = name as Action;
  const expected = ACTIONS[action];
  if (values.length !== expected.length) {
    const found = values.length === 0 ? "nothing" : values.join(" ");
    const what = expected.length === 0 ? "no arguments" : expected.join(" ");
    throw new UsageError(`${action} takes ${what}: found ${found}`);
  }
  return action;
}

/** An id as `member list` shows it, or after 0x as etcdctl does. @throws UsageError */
function parseMemberId(text: string): bigint {
  const id = /^(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text) ? BigInt(text) : 0n;
  if (id >= 1n && id < 1n << 64n) return id;
  throw new UsageError(
    `ID must be the id of a member, as \`flaredb member list\` shows it: it is "${text}"`,
  );
}

function peerAddress(text: string) {
  const address = parseAddress("the address of its peers", text);
  if (address.port !== 0) return address;
  throw new UsageError("the port of the address of its peers must be from 1 to 65535: it is 0");
}

async function list(invocation: Invocation, terminal: Terminal): Promise<number> {
  await withClient(invocation, terminal, async (client) => {
    const linearizable = !invocation.has("serializable");
    const { members } = await client.memberList({ linearizable });
    const { leader } = await client.status();
    terminal.out(invocation.has("json") ? asJson(members, leader) : asTable(members, leader));
  });
  return EXIT_CODE.ok;
}

function roleOf({ id, isLearner }: Member, leader: bigint): string {
  return id === leader ? "leader" : isLearner ? "learner" : "voter";
}

function asTable(members: readonly Member[], leader: bigint): string {
  const rows = members.map((member) => [
    String(member.id),
    member.name === "" ? "not started" : member.name,
    roleOf(member, leader),
    member.peerUrls.join(",") || "-",
    member.clientUrls.join(",") || "-",
  ]);
  return table([["ID", "NAME", "ROLE", "PEERS", "CLIENTS"], ...rows]);
}

function plain({ id, name, isLearner, peerUrls, clientUrls }: Member) {
  return { id: String(id), name, isLearner, peerUrls, clientUrls };
}

function asJson(members: readonly Member[], leader: bigint): string {
  return JSON.stringify({ members: members.map(plain), leader: String(leader) }) + "\n";
}

/** Adds a member; with `replaces` it takes that one's place. */
async function add(
  invocation: Invocation,
  terminal: Terminal,
  address: string,
  replaces: bigint,
): Promise<number> {
  await withMembers(invocation, terminal, [replaces, address], async (client, before) => {
    requireVoter(before, replaces);
    const isLearner = invocation.has("learner");
    const url = `${schemeOf(before)}://${address}`;
    const { member, members } = await client.memberAdd(url, { isLearner, replaces });
    if (invocation.has("json")) {
      const json = { id: String(member.id), members: members.map(plain) };
      return terminal.out(JSON.stringify(json) + "\n");
    }
    const what = replaces !== 0n
      ? `It takes the place of member ${replaces} once it has caught up`
      : isLearner
      ? `It is a learner until \`flaredb member promote ${member.id}\``
      : "It becomes a voter once it has caught up";
    terminal.out(`Member ${member.id} is added. ${what}. Start it on its machine:\n`);
    terminal.out(startCommandOf(member, members, replaces));
  });
  return EXIT_CODE.ok;
}

function requireVoter(members: readonly Member[], replaces: bigint): void {
  const replaced = members.find(({ id }) => id === replaces);
  if (replaces === 0n || replaced === undefined || !replaced.isLearner) return;
  throw new CommandFailedError(
    `member ${replaces} is a learner, in whose place no voter can be: remove it and add another`,
  );
}

/** The command line that starts a new member, with what only people know in capitals. */
function startCommandOf(added: Member, members: readonly Member[], replaces: bigint): string {
  const list = members.filter(({ id }) => id !== replaces).map(({ id, peerUrls, clientUrls }) => {
    const client = clientUrls[0] === undefined ? "" : `/${bare(clientUrls[0])}`;
    return `${id}=${bare(peerUrls[0] ?? "HOST:PORT")}${client}`;
  });
  const own = `node-${added.id}`;
  const peerTls = isSecure(added.peerUrls)
    ? ` \\\n    --peer-trusted-ca-file ca.pem --peer-cert-file ${own}.pem --peer-key-file ${own}.key`
    : "";
  const clientTls = members.some(({ clientUrls }) => isSecure(clientUrls))
    ? ` \\\n    --cert-file ${own}.pem --key-file ${own}.key`
    : "";
  return `  ${commandForPeople()} start --join --id ${added.id} --cluster-id NAME --data DIR \\\n` +
    `    --client-listen HOST:PORT --members ${list.join(",")}${peerTls}${clientTls}\n`;
}

function bare(url: string): string {
  return url.replace(/^https?:\/\//, "");
}

function isSecure([url]: readonly string[]): boolean {
  return url?.startsWith("https:") === true;
}

function schemeOf(members: readonly Member[]): string {
  return members.some(({ peerUrls }) => isSecure(peerUrls)) ? "https" : "http";
}

/** Promotes, removes or updates a member. */
async function change(
  invocation: Invocation,
  terminal: Terminal,
  action: "promote" | "remove" | "update",
  id: bigint,
  address: string,
): Promise<number> {
  await withMembers(invocation, terminal, [id, address], async (client, before) => {
    const url = `${schemeOf(before)}://${address}`;
    const { members } = action === "promote"
      ? await client.memberPromote(id)
      : action === "remove"
      ? await client.memberRemove(id)
      : await client.memberUpdate(id, url);
    if (invocation.has("json")) {
      return terminal.out(JSON.stringify({ members: members.map(plain) }) + "\n");
    }
    const now = `the members are ${members.map((one) => one.id).join(", ")}`;
    const done = {
      promote: `Member ${id} is a voter now.\n`,
      remove: `Member ${id} is removed; ${now}. Its node stops by itself if it still runs.\n`,
      update: `Member ${id} is reached at ${address} from now on.\n`,
    };
    terminal.out(done[action]);
  });
  return EXIT_CODE.ok;
}

/** Calls with the members as they are; what the server refuses becomes a sentence about them. */
async function withMembers(
  invocation: Invocation,
  terminal: Terminal,
  [id, address]: readonly [id: bigint, address: string],
  call: (client: EtcdClient, members: readonly Member[]) => Promise<void>,
): Promise<void> {
  await withClient(invocation, terminal, async (client) => {
    const { members } = await client.memberList();
    try {
      if (id !== 0n && !members.some((member) => member.id === id)) {
        throw memberFailure("etcdserver: member not found", members, id, address);
      }
      await call(client, members);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      throw memberFailure(error.reason, members, id, address, error) ?? error;
    }
  });
}
