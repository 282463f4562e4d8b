/**
 * How long something may take, for many things that may take the same time. In the page's renderer.
 *
 * One timer for all of them: a browser's timer costs more than a request, and next to none of them ever fires.
 */

import * as native from "./natives.js";

export class Deadlines<Key> {
  readonly #milliseconds: number;
  readonly #late: (key: Key) => void;
  /** What has a deadline, and when; the oldest first. */
  readonly #due = new Map<Key, number>();
  #timer = 0;

  /** `late` is called for what is not done within `milliseconds`. */
  constructor(milliseconds: number, late: (key: Key) => void) {
    this.#milliseconds = milliseconds;
    this.#late = late;
  }

  add(key: Key): void {
    this.#due.set(key, native.now() + this.#milliseconds);
    if (!this.#timer) this.#arm();
  }

  done(key: Key): void {
    this.#due.delete(key);
  }

  #arm(): void {
    for (const at of this.#due.values()) {
      this.#timer = native.startTimer(() => this.#look(), at - native.now());
      return;
    }
  }

  #look(): void {
    this.#timer = 0;
    const now = native.now();
    for (const [key, at] of this.#due) {
      if (at > now) break;
      this.#due.delete(key);
      this.#late(key);
    }
    if (!this.#timer) this.#arm();
  }
}
