/**
 * The page's connection to the supervisor: token first, pings answered, kept up while the page lives. In the page's
 * renderer. Leaves to dacp.ts what the messages mean.
 *
 * A message is handed to at most one connection, in the order of `send`. What was sent into a connection that then broke
 * may or may not have arrived; whoever waits for an answer learns it from the missing answer.
 */

import * as native from "./natives.js";

/** Milliseconds. */
const FIRST_DELAY = 50;
const LONGEST_DELAY = 2_000;
/** Where the page's policy forbids the connection: each try puts a line of the browser's into the page's console. */
const BLOCKED_DELAY = 30_000;
const WELCOME_DEADLINE = 5_000;

/** Messages that may wait for a connection. */
const QUEUE_LIMIT = 1_000;
/** Bytes of one message; the supervisor cuts off who sends more. */
const MESSAGE_LIMIT = 1 << 20;

const REFUSED = 4001;
const REPLACED = 4003;

/** A message that was accepted for sending; `cancel` takes it back if it still waits. */
export interface Outgoing {
  readonly text: string;
}

export interface Receiver {
  /** The supervisor knows this page again; called before anything that waited is sent. */
  online(): void;
  /** A message that is not the transport's own. */
  message(message: Record<string, unknown>): void;
  /** No connection will come again. */
  ended(why: string): void;
}

export class Transport {
  readonly #url: string;
  readonly #hello: string;
  #receiver: Receiver | null = null;
  #socket: WebSocket | null = null;
  #online = false;
  #onlineSince = 0;
  #ended = "";
  #delay = FIRST_DELAY;
  #retryTimer = 0;
  #blocked = false;
  #warned = false;
  #queue: Outgoing[] = [];

  constructor(url: string, token: string) {
    this.#url = url;
    // Made into text now: later, a `toJSON` that the page puts on Object.prototype would be shown the token.
    this.#hello = native.stringify({ type: "hello", role: "page", token });
  }

  get online(): boolean {
    return this.#online;
  }

  /** Why no connection will come again; empty while one may. */
  get whyEnded(): string {
    return this.#ended;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    native.listen(window, "securitypolicyviolation", (event) => this.#violation(event), true);
    this.#connect();
  }

  /** Sends now, or once connected. Throws if too many wait already, the text is too large, or all is over. */
  send(text: string): Outgoing {
    if (this.#ended) throw new native.NativeError("AgentDisconnected", { cause: this.#ended });
    const size = native.bytesOf(text, MESSAGE_LIMIT);
    if (size > MESSAGE_LIMIT) {
      throw new native.NativeError(`labplatform: a message of ${size} bytes is over the limit of ${MESSAGE_LIMIT}`);
    }
    const outgoing = { text };
    if (this.#online && this.#socket) {
      native.sendText(this.#socket, text);
    } else if (this.#queue.length < QUEUE_LIMIT) {
      this.#queue.push(outgoing);
    } else {
      throw new native.NativeError(
        `labplatform: not connected, and ${QUEUE_LIMIT} messages wait already; send again once lab.connected is true`,
      );
    }
    return outgoing;
  }

  cancel(outgoing: Outgoing): void {
    const at = this.#queue.indexOf(outgoing);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  #connect(): void {
    let socket: WebSocket;
    try {
      socket = new native.Socket(this.#url);
    } catch {
      this.#blocked = true;
      this.#warnBlocked();
      this.#retry();
      return;
    }
    this.#socket = socket;
    const deadline = native.startTimer(() => {
      if (this.#socket !== socket || this.#online) return;
      // Not left to the close event: a server that says nothing may not answer the closing handshake either.
      native.closeSocket(socket);
      this.#lost(0);
    }, WELCOME_DEADLINE);
    native.listen(socket, "open", () => native.sendText(socket, this.#hello));
    native.listen(socket, "message", (event) => {
      if (this.#socket === socket) this.#received(socket, native.messageData(event as MessageEvent));
    });
    native.listen(socket, "close", (event) => {
      native.stopTimer(deadline);
      if (this.#socket === socket) this.#lost(native.closeCode(event as CloseEvent));
    });
  }

  #received(socket: WebSocket, data: unknown): void {
    let message: Record<string, unknown> | null;
    try {
      message = native.parse(data as string);
    } catch {
      return;
    }
    if (typeof message !== "object" || message === null) return;
    switch (message["type"]) {
      case "ping":
        // Here and not later: timers of a hidden page are throttled, its messages are not.
        native.sendText(socket, `{"type":"pong","seq":${Number(message["seq"])}}`);
        return;
      case "welcome":
        this.#welcome(socket);
        return;
      default:
        this.#receiver?.message(message);
    }
  }

  #welcome(socket: WebSocket): void {
    if (this.#online) return;
    this.#online = true;
    this.#onlineSince = native.now();
    this.#blocked = false;
    this.#receiver?.online();
    const waiting = this.#queue;
    this.#queue = [];
    for (let i = 0; i < waiting.length; i++) native.sendText(socket, waiting[i]!.text);
  }

  #lost(code: number): void {
    this.#socket = null;
    // Only a connection that held earns a fresh start, else one that is cut off each time would be tried 20 times a second.
    if (this.#online && native.now() - this.#onlineSince > LONGEST_DELAY) this.#delay = FIRST_DELAY;
    this.#online = false;
    if (code === REFUSED || code === REPLACED) {
      this.#ended =
        code === REFUSED
          ? "the supervisor does not accept this page's token: its app was restarted or has ended"
          : "another document of this app has taken the connection over";
      this.#queue = [];
      this.#warn(this.#ended);
      this.#receiver?.ended(this.#ended);
      return;
    }
    this.#retry();
  }

  #retry(): void {
    let delay = BLOCKED_DELAY;
    if (!this.#blocked) {
      delay = this.#delay;
      this.#delay = Math.min(2 * delay, LONGEST_DELAY);
    }
    this.#retryTimer = native.startTimer(() => {
      this.#retryTimer = 0;
      this.#connect();
    }, delay);
  }

  /** The page's policy forbade a connection. Chromium then sends the socket no close event, other browsers may. */
  #violation(event: Event): void {
    if (!event.isTrusted || this.#online || this.#ended || this.#blocked) return;
    const violation = event as SecurityPolicyViolationEvent;
    if (native.violatedDirective(violation) !== "connect-src") return;
    const uri = native.blockedUri(violation);
    // Browsers name the address, or only its scheme where that is not http.
    if (uri !== "ws" && !(uri && this.#url.startsWith(uri))) return;
    this.#blocked = true;
    this.#warnBlocked();
    if (this.#retryTimer) {
      native.stopTimer(this.#retryTimer);
      this.#retry();
    } else if (this.#socket) {
      this.#lost(0);
    }
  }

  #warnBlocked(): void {
    this.#warn(
      `the page's security policy forbids the connection to ${this.#url}; ` +
        "allow it with connect-src ws://127.0.0.1:* to give the page its channels",
    );
  }

  #warn(text: string): void {
    if (this.#warned) return;
    this.#warned = true;
    native.warn(text);
  }
}
