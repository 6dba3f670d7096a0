/**
 * Certificates in files, which are read again when they change, so that a node needs no restart when
 * its certificates are renewed.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { clearInterval, setInterval } from "node:timers";
import { ConfigError, type Logger, SILENT_LOGGER } from "../raft/mod.ts";
import { type Certificates, type CertificateSource, checkCertificates } from "./certificates.ts";
import { CertificateError } from "./errors.ts";
import { messageOf } from "./message_of.ts";

/** Where certificates are, and how often they are looked at. */
export interface CertificateFilesOptions {
  /** The file of the authorities, when the other side must show a certificate. */
  readonly ca?: string;
  /** The file of the certificate, with those between it and the authority. */
  readonly certificate: string;
  /** The file of the private key. */
  readonly privateKey: string;
  /** How often the files are read, in milliseconds: from 10. Default 2,000. */
  readonly pollMs?: number;
  /** Where to log. Default: nowhere. */
  readonly logger?: Logger;
}

/** A file that holds more bytes than this, 1 MiB, is refused. */
export const CERTIFICATE_FILE_BYTES_MAX = 1024 * 1024;

type Contents = readonly (Buffer | undefined)[];

/**
 * Certificates from files. All files are read every `pollMs`; what changed is used once two reads in
 * a row found the same and it fits together, so at the latest after about twice that time. While
 * it does not, because a file is half written or missing or the key is another's, the old
 * certificates stay in use and one line is logged. Connections that are open keep what they have.
 */
export class CertificateFiles implements CertificateSource {
  private readonly options: CertificateFilesOptions;
  private readonly logger: Logger;
  private readonly paths: readonly (string | undefined)[];
  private readonly listeners = new Set<() => void>();
  private certificates: Certificates;
  /** What is in use, and what the last read found. */
  private used: Contents;
  private found: Contents;
  private lastTrouble = "";
  private reading = false;
  private readonly timer: ReturnType<typeof setInterval>;

  /**
   * Reads the files and begins to watch them.
   *
   * @throws CertificateError naming the file that is missing or wrong. ConfigError for `pollMs`.
   */
  constructor(options: CertificateFilesOptions) {
    const { pollMs = 2_000 } = options;
    if (!Number.isSafeInteger(pollMs) || pollMs < 10 || pollMs >= 2 ** 31) {
      throw new ConfigError(`pollMs must be an integer from 10 to 2147483647: it is ${pollMs}`);
    }
    this.options = options;
    this.logger = options.logger ?? SILENT_LOGGER;
    this.paths = [options.ca, options.certificate, options.privateKey];
    this.used = this.paths.map((path) =>
      path === undefined ? undefined : readCertificateFile(path)
    );
    this.found = this.used;
    this.certificates = this.checked(this.used);
    this.timer = setInterval(() => void this.poll(), pollMs);
    this.timer.unref();
  }

  /** The certificates to use for the next connection. */
  current(): Certificates {
    return this.certificates;
  }

  /** Calls `listener` after each change. The result ends that. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Stops watching the files. */
  close(): void {
    clearInterval(this.timer);
    this.listeners.clear();
  }

  /** Reads the files; uses them once two readings are equal, so that none is taken half written. */
  private async poll(): Promise<void> {
    if (this.reading) return;
    this.reading = true;
    try {
      const before = this.found;
      this.found = await readAll(this.paths);
      if (same(this.found, this.used)) this.lastTrouble = "";
      else if (same(this.found, before)) this.use(this.found);
    } catch (error) {
      this.keepOld(messageOf(error));
    } finally {
      this.reading = false;
    }
  }

  /** Takes new contents into use and tells the listeners. @throws CertificateError */
  private use(contents: Contents): void {
    this.certificates = this.checked(contents);
    this.used = contents;
    this.lastTrouble = "";
    this.logger.info(`Using the new certificates of ${this.options.certificate}`);
    for (const listener of this.listeners) listener();
  }

  /** The certificates in the files, if they fit each other. @throws CertificateError */
  private checked([ca, certificate, privateKey]: Contents): Certificates {
    const certificates: Certificates = {
      ...(ca && { ca }),
      certificate: certificate!,
      privateKey: privateKey!,
    };
    try {
      checkCertificates(certificates);
    } catch (error) {
      const files = this.paths.filter((path) => path !== undefined).join(", ");
      throw new CertificateError(`${messageOf(error)} (files: ${files})`, { cause: error });
    }
    return certificates;
  }

  /** Says once why new files are not used. */
  private keepOld(trouble: string): void {
    if (trouble === this.lastTrouble) return;
    this.lastTrouble = trouble;
    this.logger.warn(`Keeping the old certificates: ${trouble}`);
  }
}

/** Reads a file at once. @throws CertificateError when it cannot be read or is too large. */
export function readCertificateFile(path: string): Buffer {
  try {
    return checkSize(path, readFileSync(path));
  } catch (error) {
    throw unreadable(path, error);
  }
}

function readAll(paths: readonly (string | undefined)[]): Promise<Contents> {
  return Promise.all(paths.map((path) => path === undefined ? undefined : readLater(path)));
}

async function readLater(path: string): Promise<Buffer> {
  try {
    return checkSize(path, await readFile(path));
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): CertificateError {
  if (cause instanceof CertificateError) return cause;
  return new CertificateError(`Cannot read ${path}: ${messageOf(cause)}`, { cause });
}

function checkSize(path: string, bytes: Buffer): Buffer {
  if (bytes.length <= CERTIFICATE_FILE_BYTES_MAX) return bytes;
  throw new CertificateError(
    `A file of certificates must have at most ${CERTIFICATE_FILE_BYTES_MAX} bytes: ` +
      `${path} has ${bytes.length}`,
  );
}

function same(one: Contents, other: Contents): boolean {
  return one.every((bytes, index) => {
    const others = other[index];
    return bytes === undefined || others === undefined ? bytes === others : bytes.equals(others);
  });
}
