/**
 * Checks the order of the rooms: an import goes down the list of `ROOMS`, never up; a room is
 * entered through its `mod.ts` or a documented sub-face only; third-party packages and built-in
 * modules stay in the rooms that need them. Prints every violation with its file and line.
 *
 * @module
 */

import { posix } from "node:path";
import { conclude, importsOf, readSource, sourceFiles } from "./project_files.ts";

/** What one room may import from elsewhere. */
interface Room {
  /** Rooms, or single files of rooms, that it may enter. */
  readonly mayEnter: readonly string[];
  /** Third-party packages it may use. */
  readonly packages: readonly string[];
  /** Whether it may use built-in modules (`node:…`). */
  readonly builtins: boolean;
}

const NODE_CONTRACT = "src/node/state_machine.ts";
const STORAGE_CONTRACT = "src/storage/contract.ts";
const TRANSPORT_CONTRACT = "src/transport/contract.ts";

/** A file of the storage's that everyone who keeps files needs. */
const DURABLE_FILES = "src/storage/durable_files.ts";

/** The rooms from the bottom to the top. */
export const ROOMS: Readonly<Record<string, Room>> = {
  raft: { mayEnter: [], packages: [], builtins: false },
  wire: { mayEnter: ["raft"], packages: ["protobufjs"], builtins: false },
  storage: { mayEnter: ["raft", "wire"], packages: [], builtins: true },
  tls: { mayEnter: ["raft"], packages: ["@grpc/grpc-js", "asn1js", "pkijs"], builtins: true },
  transport: { mayEnter: ["raft", "wire", "tls"], packages: ["@grpc/grpc-js"], builtins: true },
  node: {
    mayEnter: ["raft", STORAGE_CONTRACT, DURABLE_FILES, TRANSPORT_CONTRACT],
    packages: [],
    builtins: true,
  },
  sim: {
    mayEnter: ["raft", "wire", "storage", "transport", "node"],
    packages: [],
    builtins: true,
  },
  kv: {
    mayEnter: ["raft", NODE_CONTRACT, DURABLE_FILES],
    packages: ["protobufjs"],
    builtins: true,
  },
  etcd: {
    mayEnter: ["raft", "tls", "node", "kv"],
    packages: ["@grpc/grpc-js", "protobufjs"],
    builtins: true,
  },
  cli: {
    mayEnter: ["raft", "wire", "storage", "tls", "transport", "node", "sim", "kv", "etcd"],
    packages: [],
    builtins: true,
  },
};

/** Files besides a room's `mod.ts` through which other rooms may enter it. */
export const SUB_FACES: readonly string[] = [
  STORAGE_CONTRACT,
  TRANSPORT_CONTRACT,
  NODE_CONTRACT,
  DURABLE_FILES,
  "src/node/sessions/sequence_numbers.ts",
  "src/storage/sqlite/mod.ts",
  "src/transport/grpc/mod.ts",
  "src/tls/grpc_credentials.ts",
  "src/tls/authority.ts",
];

/** The violations in one file, given its path from the project's root and its text. */
export function roomViolations(path: string, text: string): string[] {
  const roomName = path.split("/")[1];
  const room = ROOMS[roomName];
  if (room === undefined) return [`${path}:1: no such room: ${roomName}`];
  const violations: string[] = [];
  for (const { specifier, line } of importsOf(text)) {
    const problem = problemOf(path, roomName, room, specifier);
    if (problem !== undefined) violations.push(`${path}:${line}: ${problem}`);
  }
  return violations;
}

function problemOf(
  path: string,
  roomName: string,
  room: Room,
  specifier: string,
): string | undefined {
  if (specifier.startsWith("node:")) {
    return room.builtins ? undefined : `${roomName} uses no built-in module: ${specifier}`;
  }
  if (!specifier.startsWith(".")) {
    const known = room.packages.some((name) =>
      specifier === name || specifier.startsWith(name + "/")
    );
    return known ? undefined : `${roomName} uses no package ${specifier}`;
  }
  const target = posix.join(posix.dirname(path), specifier);
  const targetRoom = target.split("/")[1];
  if (!target.startsWith("src/") || ROOMS[targetRoom] === undefined) {
    return `${target} lies outside the rooms`;
  }
  if (targetRoom === roomName) return undefined;
  if (!room.mayEnter.includes(targetRoom) && !room.mayEnter.includes(target)) {
    return `${roomName} may not import ${target}`;
  }
  const isFace = target === `src/${targetRoom}/mod.ts` || SUB_FACES.includes(target);
  return isFace ? undefined : `${target} is not the face of a room`;
}

/** The violations of all rooms. */
export function allRoomViolations(): string[] {
  return sourceFiles("src").flatMap((path) => roomViolations(path, readSource(path)));
}

if (import.meta.main) conclude("order of the rooms", allRoomViolations());
