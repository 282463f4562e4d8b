/**
 * The page's connection to the supervisor: introduced first, pings answered, kept up while the page lives. In the page's
 * renderer. Leaves to socket.ts and bridge.ts what carries it, and to messaging.ts what the messages mean.
 *
 * A connection may break, the session goes on: both sides count the messages of the session (all but the transport's own
 * words) and keep those that the other has not acknowledged. A new connection begins by telling the counts, and goes on
 * behind the last message that arrived. So each message arrives once, in the order of `send`. What is kept is bounded;
 * what does not fit and did get lost is said in the console.
 *
 * Where the first way to the supervisor turns out to be barred, by the page's security policy or because nothing can be
 * reached that way, the session goes on over the second.
 */

import { type Channel, type Listener, REFUSED, REPLACED, type Road } from "./channel.js";
import { Gatherer, messagesOf } from "./frames.js";
import * as native from "./natives.js";
import { Vitals } from "./vitals.js";

/** Milliseconds. */
const FIRST_DELAY = 50;
const LONGEST_DELAY = 2_000;
/** Where the page may not connect, and has no other way: each try puts a line of the browser's into its console. */
const BARRED_DELAY = 30_000;
const WELCOME_DEADLINE = 5_000;
/** The same until there is a connection at all, where there is another way to go. */
const OPEN_DEADLINE = 2_000;

/** Messages that may wait for a connection, and characters of them; the same again of what waits to be acknowledged. */
const QUEUE_LIMIT = 10_000;
const QUEUE_SIZE = 8 << 20;
/** Messages, and characters of them, after which they are acknowledged; fewer are with the next pong. */
const ACKNOWLEDGE_AFTER = 64;
const ACKNOWLEDGE_SIZE = 1 << 18;

/** A message that was accepted for sending; `cancel` takes it back if no connection has had it yet. */
export interface Outgoing {
  readonly text: string;
}

export interface Receiver {
  /** A message that is not the transport's own. */
  message(message: Record<string, unknown>): void;
  /** Messages to this page were lost. */
  missed(): void;
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
  #road: Road | null;
  /** Another way, for when the first is barred. */
  #other: Road | null;
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
  /** The connection, and who hears of it; a former one is heard no more. */
  #channel: Channel | null = null;
  #listener: Listener | null = null;
  #gatherer: Gatherer | null = null;
  #deadline = 0;
  #online = false;
  #onlineSince = 0;
  #ended = "";
  #delay = FIRST_DELAY;
  #retryTimer = 0;
  #barred = false;
  #warned = false;
  readonly #vitals = new Vitals();

  constructor(road: Road | null, other: Road | null) {
    this.#road = road;
    this.#other = other;
  }

  get online(): boolean {
    return this.#online;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#vitals.start();
    this.#travel();
  }

  #travel(): void {
    const road = this.#road;
    road?.whenBarred((why) => {
      if (this.#road === road && !this.#online && !this.#ended && !this.#barred) this.#turnBack(why);
    });
    this.#connect();
  }

  /** Sends now, or once connected. Throws if too many wait already, or all is over. */
  send(text: string): Outgoing {
    if (this.#ended) throw new native.NativeError("AgentDisconnected", { cause: this.#ended });
    const outgoing = { text };
    const channel = this.#channel;
    const gatherer = this.#gatherer;
    if (channel && gatherer && !this.#waiting.length && !channel.full) {
      this.#hand(gatherer, outgoing);
    } else if (this.#waiting.fits(text)) {
      this.#waiting.push(outgoing);
    } else {
      throw new native.NativeError(
        this.#online
          ? `labplatform: ${this.#waiting.length} messages wait already to be sent; send again in a while`
          : `labplatform: not connected, and ${this.#waiting.length} messages wait already; ` +
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

  /** Hand over what waits, as far as there is room for it. */
  #flush(channel: Channel, gatherer: Gatherer): void {
    let count = 0;
    for (const outgoing of this.#waiting) {
      if (channel.full) break;
      this.#hand(gatherer, outgoing);
      count++;
    }
    this.#waiting.drop(count);
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
    const road = this.#road;
    if (!road) {
      this.#warn("this page has no way to the supervisor");
      return;
    }
    let opened = false;
    const listener: Listener = {
      opened: () => {
        opened = true;
        if (this.#listener === listener) this.#expect(WELCOME_DEADLINE, lost);
      },
      came: (frame) => {
        const channel = this.#channel;
        if (!channel) return;
        // One of them may have ended the connection; the others come again with the next.
        for (const message of messagesOf(frame)) if (this.#listener === listener) this.#take(channel, message);
        if (this.#listener === listener) this.#acknowledge(channel, frame.length);
      },
      room: () => {
        if (this.#listener === listener && this.#channel && this.#gatherer) this.#flush(this.#channel, this.#gatherer);
      },
      ended: (code) => {
        if (this.#listener !== listener) return;
        if (opened || !this.#other) this.#lost(code);
        else this.#turnBack("no WebSocket to the supervisor can be opened");
      },
    };
    const lost = () => {
      // Not left to the end's own event: a server that says nothing may not answer the closing handshake either.
      this.#channel?.close();
      this.#lost(0);
    };
    const unreachable = () => this.#turnBack(`no WebSocket to the supervisor was there within ${OPEN_DEADLINE / 1000} s`);
    this.#listener = listener;
    if (this.#other) this.#expect(OPEN_DEADLINE, unreachable);
    else this.#expect(WELCOME_DEADLINE, lost);
    try {
      this.#channel = road.open(() => `"received":${this.#received},"kept_from":${this.#keptFrom}}`, listener);
    } catch (error) {
      this.#turnBack(String(error));
    }
  }

  /** Do this unless the connection gets on before that. */
  #expect(milliseconds: number, otherwise: () => void): void {
    native.stopTimer(this.#deadline);
    this.#deadline = native.startTimer(otherwise, milliseconds);
  }

  #take(channel: Channel, data: unknown): void {
    if (typeof data !== "object" || data === null) return;
    const message = data as Record<string, unknown>;
    switch (message["type"]) {
      case "ping":
        // Here and not later: timers of a hidden page are throttled, its messages are not.
        channel.send(
          `{"type":"pong","seq":${Number(message["seq"])},"received":${this.#received}${this.#vitals.take()}}`,
        );
        this.#tell();
        this.#acknowledged(message["received"]);
        return;
      case "ack":
        this.#acknowledged(message["received"]);
        return;
      case "welcome":
        this.#welcome(channel, message);
        return;
    }
    this.#received++;
    this.#receiver?.message(message);
  }

  #acknowledge(channel: Channel, size: number): void {
    this.#untold += size;
    if (this.#received - this.#told < ACKNOWLEDGE_AFTER && this.#untold < ACKNOWLEDGE_SIZE) return;
    channel.send(`{"type":"ack","received":${this.#received}}`);
    this.#tell();
  }

  #tell(): void {
    this.#told = this.#received;
    this.#untold = 0;
  }

  #welcome(channel: Channel, message: Record<string, unknown>): void {
    if (this.#online) return;
    native.stopTimer(this.#deadline);
    this.#online = true;
    this.#onlineSince = native.now();
    this.#barred = false;
    const [received, sent] = [Number(message["received"]) || 0, Number(message["sent"]) || 0];
    const why = String(message["cut_off"] ?? "") || "the connection broke";
    if (sent > this.#received) {
      native.warn(`${sent - this.#received} messages to this page were lost: ${why}`);
      this.#receiver?.missed();
    }
    if (received < this.#keptFrom) {
      native.warn(`${this.#keptFrom - received} messages of this page may be lost: ${why}`);
    }
    this.#received = sent;
    this.#tell();
    this.#acknowledged(received);
    // What was put into a connection that is lost is kept, and goes again over this one.
    const gatherer: Gatherer = new Gatherer((frame) => {
      if (this.#gatherer === gatherer) channel.send(frame);
    });
    this.#gatherer = gatherer;
    for (const { text } of this.#kept) gatherer.put(text);
    this.#flush(channel, gatherer);
  }

  /** The connection is heard no more. */
  #drop(): void {
    native.stopTimer(this.#deadline);
    this.#channel = this.#listener = this.#gatherer = null;
    this.#online = false;
  }

  #lost(code: number): void {
    // Only a connection that held earns a fresh start, else one that is cut off each time would be tried 20 times a second.
    if (this.#online && native.now() - this.#onlineSince > LONGEST_DELAY) this.#delay = FIRST_DELAY;
    this.#drop();
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

  /** This way is barred: take the other one from now on, or wait and see. */
  #turnBack(why: string): void {
    this.#channel?.close();
    this.#drop();
    if (this.#other) {
      native.stopTimer(this.#retryTimer);
      [this.#road, this.#other] = [this.#other, null];
      this.#road.because(why);
      this.#travel();
      return;
    }
    this.#barred = true;
    this.#warn(`${why}; allow it with connect-src ws://127.0.0.1:* to give the page its channels`);
    this.#retry();
  }

  #retry(): void {
    let delay = BARRED_DELAY;
    if (!this.#barred) {
      delay = this.#delay;
      this.#delay = Math.min(2 * delay, LONGEST_DELAY);
    }
    native.stopTimer(this.#retryTimer);
    this.#retryTimer = native.startTimer(() => this.#connect(), delay);
  }

  #warn(text: string): void {
    if (this.#warned) return;
    this.#warned = true;
    native.warn(text);
  }
}
