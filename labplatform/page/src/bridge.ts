/**
 * The way to the supervisor through the app's host, for a page that may not open a WebSocket. In the page's renderer.
 *
 * The other end is the relay, a script in a world of its own beside the page's: it shares the document with the page's
 * scripts, and none of their objects. The two speak by events on two targets that nothing else knows. No token goes this
 * way, for the host knows whose page it shows. What the page's handlers can get hold of (by `window.event`) is the target
 * on which messages come, and never the one on which they go.
 */

import type { Channel, Listener, Road } from "./channel.js";
import * as native from "./natives.js";

export class BridgeRoad implements Road, Channel {
  readonly #up: EventTarget;
  readonly #session: string;
  #why = "";
  #listener: Listener | null = null;
  #full = false;

  /** The relay waits for an event of this name on the window; `null` if nobody does. */
  static find(name: string, session: string): BridgeRoad | null {
    const [up, down] = [new native.NativeTarget(), new native.NativeTarget()];
    for (const end of [up, down]) {
      // A related target is what an event carries from one world to the other. To take it is to cancel the event.
      if (native.dispatch(window, new native.NativeMouseEvent(name, { cancelable: true, relatedTarget: end }))) return null;
    }
    return new BridgeRoad(up, down, session);
  }

  private constructor(up: EventTarget, down: EventTarget, session: string) {
    this.#up = up;
    this.#session = session;
    native.listen(down, "message", (event) => {
      this.#listener?.came(native.eventDetail(event as CustomEvent) as string);
    });
    native.listen(down, "room", () => {
      this.#full = false;
      this.#listener?.room();
    });
    native.listen(down, "close", (event) => {
      const listener = this.#listener;
      this.#listener = null;
      listener?.ended(Number(native.eventDetail(event as CustomEvent)));
    });
  }

  open(counts: () => string, listener: Listener): Channel {
    this.#listener = listener;
    this.#full = false;
    const words = native.stringify({ connection: native.uuid(), session: this.#session, why: this.#why }).slice(0, -1);
    this.#say("open", `${words},${counts()}`);
    listener.opened();
    return this;
  }

  whenBarred(): void {}

  because(why: string): void {
    this.#why = why;
  }

  get full(): boolean {
    return this.#full;
  }

  send(frame: string): void {
    if (!this.#say("message", frame)) this.#full = true;
  }

  close(): void {
    this.#listener = null;
    this.#say("close", "");
  }

  /** Whether there is room for more. */
  #say(kind: string, detail: string): boolean {
    return native.dispatch(this.#up, new native.NativeCustomEvent(kind, { cancelable: true, detail }));
  }
}
