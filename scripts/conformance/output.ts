/**
 * Collects what a command prints: silent at log level `none`, indented by two spaces where a command
 * prints for one node of several.
 *
 * @module
 */

import type { ByteString } from "./byte_string.ts";

/** The output of one command. */
export class Output {
  /** Whether everything but the command's own error is silenced. */
  quiet = false;
  #text: ByteString = "";

  /** Adds text, unless silenced. */
  write(text: ByteString): void {
    if (!this.quiet) this.#text += text;
  }

  /** Runs `print` and indents each line it writes; its last line ends, whether it said so or not. */
  async indented(print: () => void | Promise<void>): Promise<void> {
    const outer = this.#text;
    this.#text = "";
    try {
      await print();
    } finally {
      const inner = this.#text.split("\n");
      if (inner.at(-1) === "") inner.pop();
      this.#text = outer + inner.map((line) => `  ${line}\n`).join("");
    }
  }

  /** Returns what was written since the last call. */
  take(): ByteString {
    const text = this.#text;
    this.#text = "";
    return text;
  }
}
