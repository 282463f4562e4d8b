/** The page's own WebSocket to the supervisor. In the page's renderer. */

import { type Channel, type Listener, ROOM, type Road } from "./channel.js";
import * as native from "./natives.js";

class SocketChannel implements Channel {
  readonly #socket: WebSocket;
  #filled = false;

  constructor(socket: WebSocket, hello: () => string, listener: Listener) {
    this.#socket = socket;
    native.listen(socket, "open", () => {
      native.sendText(socket, hello());
      listener.opened();
    });
    native.listen(socket, "message", (event) => {
      listener.came(native.messageData(event as MessageEvent) as string);
      // The browser does not tell when it has sent; but who answers has read.
      if (this.#filled && !this.full) listener.room();
    });
    native.listen(socket, "close", (event) => listener.ended(native.closeCode(event as CloseEvent)));
  }

  get full(): boolean {
    this.#filled = native.bufferedAmount(this.#socket) > ROOM;
    return this.#filled;
  }

  send(frame: string): void {
    native.sendText(this.#socket, frame);
  }

  close(): void {
    native.closeSocket(this.#socket);
  }
}

export class SocketRoad implements Road {
  readonly #url: string;
  readonly #hello: string;

  constructor(url: string, token: string, session: string) {
    this.#url = url;
    // Made into text now: later, a `toJSON` that the page puts on Object.prototype would be shown the token.
    this.#hello = native.stringify({ type: "hello", role: "page", token, session }).slice(0, -1);
  }

  open(counts: () => string, listener: Listener): Channel {
    return new SocketChannel(new native.Socket(this.#url), () => `${this.#hello},${counts()}`, listener);
  }

  whenBarred(told: (why: string) => void): void {
    const violated = (event: Event): void => {
      if (!event.isTrusted) return;
      const violation = event as SecurityPolicyViolationEvent;
      if (native.violatedDirective(violation) !== "connect-src") return;
      const uri = native.blockedUri(violation);
      // Browsers name the address, or only its scheme where that is not http.
      if (uri !== "ws" && !(uri && this.#url.startsWith(uri))) return;
      told(`the page's security policy forbids the connection to ${this.#url}`);
    };
    native.listen(window, "securitypolicyviolation", violated, true);
  }

  because(): void {}
}
