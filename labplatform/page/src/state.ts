/**
 * `lab.saveState` and `lab.getState`: what a page wants to find again after a crash. In the page's renderer.
 *
 * Words go over the session like any message: in order, and again if a connection breaks. What was saved is on disk when
 * the answer comes.
 */

import * as native from "./natives.js";
import { wellFormed } from "./surrogates.js";
import type { Transport } from "./transport.js";

interface Pending {
  resolve(message: Record<string, unknown>): void;
  reject(error: Error): void;
}

/** Makes of a state of another version one of the page's own; may return a promise. */
export type Migrate = (state: unknown, version: number) => unknown;

export class State {
  readonly #transport: Transport;
  readonly #maxMessage: number;
  readonly #pending = new Map<number, Pending>();
  #seq = 0;
  #version = 0;
  #migrate: Migrate | null = null;

  constructor(transport: Transport, maxMessage: number) {
    this.#transport = transport;
    this.#maxMessage = maxMessage;
  }

  get version(): number {
    return this.#version;
  }

  set version(version: number) {
    if (typeof version !== "number" || version < 0 || version % 1 || version > 2 ** 53) {
      throw new native.NativeError(`lab.stateVersion is a whole number from 0 on, not ${String(version)}`);
    }
    this.#version = version;
  }

  get migrate(): Migrate | null {
    return this.#migrate;
  }

  set migrate(migrate: Migrate | null) {
    if (migrate !== null && typeof migrate !== "function") {
      throw new native.NativeError("lab.migrateState is a function of a state and its version, or null");
    }
    this.#migrate = migrate;
  }

  async save(state: unknown): Promise<void> {
    let text: string | undefined;
    try {
      text = native.stringify(state);
    } catch (error) {
      throw new native.NativeError(`lab.saveState: this has no JSON form, and the former state stays: ${String(error)}`);
    }
    if (text === undefined) {
      throw new native.NativeError(`lab.saveState: ${typeof state} has no JSON form, and the former state stays`);
    }
    const answer = await this.#ask(`"save-state","version":${this.#version},"state":${wellFormed(text)}`, "saveState");
    const problem = String(answer["problem"] ?? "");
    if (problem) throw new native.NativeError(`lab.saveState: the former state stays: ${problem}`);
  }

  /** The state that was saved last; `null` where none was. */
  async load(): Promise<unknown> {
    const answer = await this.#ask(`"load-state"`, "getState");
    const problem = String(answer["problem"] ?? "");
    if (problem) throw new native.NativeError(`lab.getState: ${problem}`);
    if (!answer["found"]) return null;
    const [state, version] = [answer["state"] ?? null, Number(answer["version"]) || 0];
    if (version === this.#version) return state;
    if (this.#migrate) return this.#migrate(state, version);
    throw new native.NativeError(
      `lab.getState: the state is of version ${version}, and this page's lab.stateVersion is ${this.#version}; ` +
        "set lab.migrateState to a function that makes the one of the other",
    );
  }

  #ask(words: string, call: string): Promise<Record<string, unknown>> {
    const seq = ++this.#seq;
    const text = `{"type":${words},"seq":${seq}}`;
    const size = native.bytesOf(text, this.#maxMessage);
    return new native.NativePromise((resolve, reject) => {
      if (size > this.#maxMessage) {
        throw new native.NativeError(
          `lab.${call}: ${size} bytes are over the limit of ${this.#maxMessage}, and the former state stays`,
        );
      }
      this.#transport.send(text);
      this.#pending.set(seq, { resolve, reject });
    });
  }

  /** Takes an answer; whether it was one. */
  take(message: Record<string, unknown>): boolean {
    if (message["type"] !== "state-saved" && message["type"] !== "state-loaded") return false;
    const seq = Number(message["seq"]);
    this.#pending.get(seq)?.resolve(message);
    this.#pending.delete(seq);
    return true;
  }

  /** No answer will come any more. */
  ended(why: string): void {
    for (const { reject } of this.#pending.values()) reject(new native.NativeError(`lab: no answer will come: ${why}`));
    this.#pending.clear();
  }
}
