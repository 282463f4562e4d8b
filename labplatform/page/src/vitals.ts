/**
 * How the page is: how late its event loop runs, and how much JavaScript heap it fills. In the page's renderer.
 *
 * A timer that is due every 50 ms says how late it came; a loop that is held up for longer than that shows it, whatever
 * holds it up: this page's own scripts, a garbage collection, or another page in the same renderer.
 */

import * as native from "./natives.js";

/** Milliseconds. Twenty looks a second cost half a percent of a core, nearly all of it for Chromium's waking up. */
const PERIOD = 50;

export class Vitals {
  #due = 0;
  #worst = 0;
  #hidden = false;

  start(): void {
    this.#due = native.now() + PERIOD;
    native.startTimer(() => this.#tick(), PERIOD);
  }

  /** As members of a JSON object, each led by a comma: lag in seconds since the last call, heap in bytes. */
  take(): string {
    const late = Math.max(this.#worst, native.now() - this.#due, 0) / 1000;
    // A browser slows the timers of a page that nobody sees down to one a second and less.
    const told = this.#hidden || native.isHidden() ? "" : `,"lag":${late.toFixed(4)}`;
    this.#worst = 0;
    this.#hidden = native.isHidden();
    const heap = native.heap();
    return heap ? `${told},"js_heap":${heap.usedJSHeapSize},"js_heap_limit":${heap.jsHeapSizeLimit}` : told;
  }

  #tick(): void {
    const now = native.now();
    if (native.isHidden()) this.#hidden = true;
    if (now - this.#due > this.#worst) this.#worst = now - this.#due;
    this.start();
  }
}
