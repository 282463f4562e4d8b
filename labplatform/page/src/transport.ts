/**
 * The page's connection to the supervisor: token first, pings answered, kept up while the page lives. In the page's
 * renderer. Leaves to messaging.ts what the messages mean.
 *
 * A connection may break, the session goes on: both sides count the messages of the session (all but the transport's own
 * words) and keep those that the other has not acknowledged. A new connection begins by telling the counts, and goes on
 * behind the last message that arrived. So each message arrives once, in the order of `send`. What is kept is bounded;
 * what does not fit and did get lost is said in the console.
 */

import { Gatherer, messagesOf } from "./frames.js";
import * as native from "./natives.js";
import { Vitals } from "./vitals.js";

/** Milliseconds. */
const FIRST_DELAY = 50;
const LONGEST_DELAY = 2_000;
/** Where the page's policy forbids the connection: each try puts a line of the browser's into the page's console. */
const BLOCKED_DELAY = 30_000;
const WELCOME_DEADLINE = 5_000;

/** Messages that may wait for a connection, and characters of them; the same again of what waits to be acknowledged. */
const QUEUE_LIMIT = 10_000;
const QUEUE_SIZE = 8 << 20;
/** Messages, and characters of them, after which they are acknowledged; fewer are with the next pong. */
const ACKNOWLEDGE_AFTER = 64;
const ACKNOWLEDGE_SIZE = 1 << 18;
/** Bytes of one message; the supervisor cuts off who sends more. */
const MESSAGE_LIMIT = 1 << 20;

const REFUSED = 4001;
const REPLACED = 4003;

/** A message that was accepted for sending; `cancel` takes it back if no connection has had it yet. */
export interface Outgoing {
  readonly text: string;
}

export interface Receiver {
  /** A message that is not the transport's own. */
  message(message: Record<string, unknown>): void;
  /** No connection will come again. */
  ended(why: string): void;
}

/** Messages, the oldest first, and how much they are. */
class Queue<Item extends Outgoing = Outgoing> {
  #items: Item[] = [];
  #size = 0;

  get length(): number {
    return this.#items.length;
  }

  fits(text: string): boolean {
    return this.#items.length < QUEUE_LIMIT && this.#size + text.length <= QUEUE_SIZE;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#size += item.text.length;
  }

  /** Forget the oldest `count`. */
  drop(count: number): void {
    for (const { text } of this.#items.splice(0, count)) this.#size -= text.length;
  }

  remove(item: Item): void {
    const at = this.#items.indexOf(item);
    if (at < 0) return;
    this.#items.splice(at, 1);
    this.#size -= item.text.length;
  }

  [Symbol.iterator](): Iterator<Item> {
    return this.#items[Symbol.iterator]();
  }
}

export class Transport {
  readonly #url: string;
  readonly #hello: string;
  /** Messages that a connection was given, counted from the session's start. */
  #handed = 0;
  /** The last of them, which may not have arrived; the oldest first. */
  readonly #kept = new Queue();
  /** What no connection was given yet. */
  readonly #waiting = new Queue<Outgoing>();
  /** Messages that came, and up to which of them the supervisor was told so. */
  #received = 0;
  #told = 0;
  #untold = 0;
  #receiver: Receiver | null = null;
  #socket: WebSocket | null = null;
  #gatherer: Gatherer | null = null;
  #online = false;
  #onlineSince = 0;
  #ended = "";
  #delay = FIRST_DELAY;
  #retryTimer = 0;
  #blocked = false;
  #warned = false;
  readonly #vitals = new Vitals();

  constructor(url: string, token: string) {
    this.#url = url;
    // Made into text now: later, a `toJSON` that the page puts on Object.prototype would be shown the token.
    this.#hello = native.stringify({ type: "hello", role: "page", token, session: native.uuid() }).slice(0, -1);
  }

  get online(): boolean {
    return this.#online;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#vitals.start();
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
    if (this.#online && this.#gatherer) {
      this.#hand(this.#gatherer, outgoing);
    } else if (this.#waiting.fits(text)) {
      this.#waiting.push(outgoing);
    } else {
      throw new native.NativeError(
        `labplatform: not connected, and ${this.#waiting.length} messages wait already; ` +
          "send again once lab.connected is true",
      );
    }
    return outgoing;
  }

  cancel(outgoing: Outgoing): void {
    this.#waiting.remove(outgoing);
  }

  #hand(gatherer: Gatherer, outgoing: Outgoing): void {
    gatherer.put(outgoing.text);
    this.#handed++;
    // It was sent; what has no room is merely not kept for the case that this connection breaks.
    if (!this.#kept.fits(outgoing.text)) this.#kept.drop(this.#kept.length >> 2 || 1);
    this.#kept.push(outgoing);
  }

  /** The number of the oldest message that can be sent again. */
  get #keptFrom(): number {
    return this.#handed - this.#kept.length;
  }

  #acknowledged(count: unknown): void {
    const arrived = (Number(count) || 0) - this.#keptFrom;
    if (arrived > 0) this.#kept.drop(arrived);
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
    native.listen(socket, "open", () => {
      native.sendText(socket, `${this.#hello},"received":${this.#received},"kept_from":${this.#keptFrom}}`);
    });
    native.listen(socket, "message", (event) => {
      const frame = native.messageData(event as MessageEvent) as string;
      for (const message of messagesOf(frame)) if (this.#socket === socket) this.#take(socket, message);
      if (this.#socket === socket) this.#acknowledge(socket, frame.length);
    });
    native.listen(socket, "close", (event) => {
      native.stopTimer(deadline);
      if (this.#socket === socket) this.#lost(native.closeCode(event as CloseEvent));
    });
  }

  #take(socket: WebSocket, data: unknown): void {
    if (typeof data !== "object" || data === null) return;
    const message = data as Record<string, unknown>;
    switch (message["type"]) {
      case "ping":
        // Here and not later: timers of a hidden page are throttled, its messages are not.
        native.sendText(socket, `{"type":"pong","seq":${Number(message["seq"])},"received":${this.#received}${this.#vitals.take()}}`);
        this.#tell();
        this.#acknowledged(message["received"]);
        return;
      case "ack":
        this.#acknowledged(message["received"]);
        return;
      case "welcome":
        this.#welcome(socket, message);
        return;
    }
    this.#received++;
    this.#receiver?.message(message);
  }

  #acknowledge(socket: WebSocket, size: number): void {
    this.#untold += size;
    if (this.#received - this.#told < ACKNOWLEDGE_AFTER && this.#untold < ACKNOWLEDGE_SIZE) return;
    native.sendText(socket, `{"type":"ack","received":${this.#received}}`);
    this.#tell();
  }

  #tell(): void {
    this.#told = this.#received;
    this.#untold = 0;
  }

  #welcome(socket: WebSocket, message: Record<string, unknown>): void {
    if (this.#online) return;
    this.#online = true;
    this.#onlineSince = native.now();
    this.#blocked = false;
    const [received, sent] = [Number(message["received"]) || 0, Number(message["sent"]) || 0];
    const why = String(message["cut_off"] ?? "") || "the connection broke";
    if (sent > this.#received) native.warn(`${sent - this.#received} messages to this page were lost: ${why}`);
    if (received < this.#keptFrom) {
      native.warn(`${this.#keptFrom - received} messages of this page may be lost: ${why}`);
    }
    this.#received = sent;
    this.#tell();
    this.#acknowledged(received);
    // What was put into a connection that is lost is kept, and goes again over this one.
    const gatherer = new Gatherer((frame) => {
      if (this.#socket === socket) native.sendText(socket, frame);
    });
    this.#gatherer = gatherer;
    for (const { text } of this.#kept) gatherer.put(text);
    for (const outgoing of this.#waiting) this.#hand(gatherer, outgoing);
    this.#waiting.drop(this.#waiting.length);
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
      this.#kept.drop(this.#kept.length);
      this.#waiting.drop(this.#waiting.length);
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
