/** A terminal for tests: remembers what is written, and gives what it was told as input. */
import { Buffer } from "node:buffer";
import type { Terminal } from "../../src/cli/terminal.ts";

/** The surroundings of a command under test. */
export class FakeTerminal implements Terminal {
  output = "";
  errors = "";
  readonly errorIsTerminal = false;
  readonly controller: AbortController = new AbortController();
  private readonly inputText: string;

  constructor(inputText = "") {
    this.inputText = inputText;
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  out(text: string): void {
    this.output += text;
  }

  outBytes(bytes: Uint8Array): void {
    this.output += Buffer.from(bytes).toString("utf8");
  }

  error(text: string): void {
    this.errors += text;
  }

  async *input(): AsyncGenerator<Uint8Array, void, void> {
    yield await Promise.resolve(Buffer.from(this.inputText, "utf8"));
  }
}
