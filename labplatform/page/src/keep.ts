/**
 * What is kept of a page without a word of its own: the fragment of its address, the state beside it in the history, and
 * the marked fields of its forms (`fields.ts`). In the page's renderer.
 *
 * What changes goes to the supervisor a moment later, all of it in one message and only if it differs from the last.
 * The page that comes after a crash finds the address before its first script runs, and the fields when it hears of
 * `DOMContentLoaded`; those that it makes later, as they come.
 */

import { isMarked, marked, put, type Value, valueOf } from "./fields.js";
import * as native from "./natives.js";
import { wellFormed } from "./surrogates.js";
import type { Outgoing, Transport } from "./transport.js";

/** Milliseconds between a change and the message with it; what changes meanwhile goes along. */
const DELAY = 250;
/** Characters of all of it: a message that is sent several times a second is no place for a book. */
const MOST = 1 << 16;
/** Characters of the path and query by which a page is known again. */
const MOST_PAGE = 2_000;
/** Characters of the state beside the address. */
const MOST_HISTORY = 1 << 12;
/** Milliseconds after `DOMContentLoaded` in which a page may make the fields that are to be filled. */
const PATIENCE = 10_000;
/** Fields that are named where they could not be kept. */
const MOST_NAMED = 10;

interface Kept {
  /** Path and query of the document. */
  readonly page: string;
  readonly hash: string;
  readonly history: unknown;
  readonly fields: Record<string, Value>;
  /** Names of fields for which there was no room. */
  readonly left: readonly string[];
}

export class Keep {
  readonly #transport: Transport;
  /** The document's, whatever a page makes of its address later. */
  readonly #page = (location.pathname + location.search).slice(0, MOST_PAGE);
  /** What is to be put back, and has found no field yet. */
  readonly #wanted = new Map<string, Value>();
  #last = "";
  #outgoing: Outgoing | null = null;
  #timer = 0;

  readonly #most: number;

  constructor(transport: Transport, maxMessage: number) {
    this.#transport = transport;
    // A character is three bytes at most, and a quarter of what the supervisor takes leaves room around it.
    this.#most = Math.min(MOST, maxMessage >> 2);
  }

  /** `kept`: what was kept of the page before, as JSON; empty where there is none. */
  start(kept: string): void {
    this.#putBack(kept);
    const changed = (event: Event): void => {
      const target = native.targetOf(event);
      if (!isMarked(target)) return;
      // What a person has put there since is not to be overwritten.
      if (event.isTrusted && this.#wanted.size) {
        for (const [name, field] of marked()) if (field === target) this.#wanted.delete(name);
      }
      this.#soon();
    };
    native.listen(window, "input", changed, true);
    native.listen(window, "change", changed, true);
    const moved = (): void => this.#soon();
    this.#last = this.#text();
    // Tells of `history.replaceState` too, which no other event does.
    if ("navigation" in window) native.listen(window.navigation as EventTarget, "currententrychange", moved);
    else native.listen(window, "hashchange", moved);
    native.listen(window, "pagehide", () => {
      if (this.#timer) this.#save();
    });
  }

  // --- back

  #putBack(text: string): void {
    if (!text) return;
    const kept = native.parse(text) as Kept;
    if (kept.page !== this.#page) return;
    if (kept.hash !== location.hash || kept.history !== null) {
      try {
        history.replaceState(kept.history, "", kept.hash || location.pathname + location.search);
      } catch (error) {
        native.warn(`the address could not be put back: ${String(error)}`);
      }
    }
    for (const name of Object.keys(kept.fields)) this.#wanted.set(name, kept.fields[name]!);
    if (this.#wanted.size) native.listen(document, "DOMContentLoaded", () => this.#fill(), true);
  }

  #fill(): void {
    this.#fillWhatIsThere();
    if (!this.#wanted.size) return;
    const watch = new MutationObserver(() => {
      this.#fillWhatIsThere();
      if (!this.#wanted.size) watch.disconnect();
    });
    watch.observe(document, { childList: true, subtree: true });
    native.startTimer(() => {
      watch.disconnect();
      if (!this.#wanted.size) return;
      native.warn(`what was kept has no place on this page any more: ${[...this.#wanted.keys()].join(", ")}`);
      this.#wanted.clear();
    }, PATIENCE);
  }

  #fillWhatIsThere(): void {
    // All of them first: the page hears of each, and may make others of them at once.
    for (const [name, field] of [...marked()]) {
      const value = this.#wanted.get(name);
      if (value === undefined || (field.type === "radio" && field.value !== value)) continue;
      this.#wanted.delete(name);
      // A list may still get the choice that is wanted.
      if (!put(field, value)) this.#wanted.set(name, value);
    }
  }

  // --- away

  #soon(): void {
    if (!this.#timer) this.#timer = native.startTimer(() => this.#save(), DELAY);
  }

  #save(): void {
    native.stopTimer(this.#timer);
    this.#timer = 0;
    const text = this.#text();
    if (text === this.#last) return;
    this.#last = text;
    // Of several that wait for a connection the last is enough.
    if (this.#outgoing) this.#transport.cancel(this.#outgoing);
    this.#outgoing = null;
    try {
      this.#outgoing = this.#transport.send(`{"type":"keep","kept":${text}}`);
    } catch {
      // Not connected, and too much waits already: the next change tries again.
      this.#last = "";
    }
  }

  #text(): string {
    return wellFormed(native.stringify(this.#look()));
  }

  #look(): Kept {
    const state = history.state as unknown;
    const kept = isPlain(state) && native.stringify(state).length <= MOST_HISTORY ? state : null;
    const { hash } = location;
    const fields: Record<string, Value> = Object.create(null) as Record<string, Value>;
    const left: string[] = [];
    let room = this.#most - native.stringify([this.#page, hash, kept]).length;
    const note = (name: string, value: Value): void => {
      const size = native.stringify([name, value]).length;
      if (size <= room) {
        room -= size;
        fields[name] = value;
      } else if (left.length < MOST_NAMED) {
        left.push(name.slice(0, 100));
      }
    };
    for (const [name, field] of marked()) {
      const value = valueOf(field);
      if (value !== undefined) note(name, value);
    }
    // What still waits for its field is not given up by the change of another one.
    for (const [name, value] of this.#wanted) if (!(name in fields)) note(name, value);
    return { page: this.#page, hash, history: kept, fields, left };
  }
}

/** Whether JSON is all that it is: what is made of a Date, or of an object with a class, would not be the same again. */
function isPlain(value: unknown, depth = 0): boolean {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || depth > 20) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  if (Array.isArray(value)) return value.every((one) => isPlain(one, depth + 1));
  return prototype === Object.prototype && Object.values(value).every((one) => isPlain(one, depth + 1));
}
