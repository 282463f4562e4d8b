/**
 * Frames of the page's connection: a message each, or several, one a line. In the page's renderer.
 *
 * A frame costs a browser several times what a message does, so those that are sent together go together.
 */

import * as native from "./natives.js";

/** Characters of messages that go in one frame, where several go together. */
const FRAME_SIZE = 1 << 15;

/** The messages of a frame, decoded; what is no JSON is passed over. */
export function messagesOf(frame: string): unknown[] {
  const messages: unknown[] = [];
  for (let from = 0, end = 0; end >= 0; from = end + 1) {
    end = native.indexOf(frame, "\n", from);
    try {
      messages[messages.length] = native.parse(end < 0 && !from ? frame : native.slice(frame, from, end < 0 ? frame.length : end));
    } catch {
      continue;
    }
  }
  return messages;
}

/**
 * The first message of a turn of the page's loop goes at once, for code may follow that takes long; those behind it go
 * together when that code is done.
 */
export class Gatherer {
  readonly #send: (frame: string) => void;
  #gathered = "";
  #gathering = false;

  constructor(send: (frame: string) => void) {
    this.#send = send;
  }

  put(text: string): void {
    if (!this.#gathering) {
      this.#gathering = true;
      this.#send(text);
      native.soon(() => {
        this.#gathering = false;
        this.#flush();
      });
      return;
    }
    if (this.#gathered.length + text.length > FRAME_SIZE) this.#flush();
    this.#gathered += this.#gathered ? `\n${text}` : text;
  }

  #flush(): void {
    const frame = this.#gathered;
    this.#gathered = "";
    if (frame) this.#send(frame);
  }
}
