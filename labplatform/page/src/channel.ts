/** What a connection to the supervisor is to transport.ts, whatever carries it. In the page's renderer. */

/** Characters that may wait to be carried before a channel is `full`. */
export const ROOM = 64 << 20;

/** How a connection ends, in WebSocket's numbers and the supervisor's; others mean that it may be tried again. */
export const REFUSED = 4001;
export const REPLACED = 4003;

/** Whoever made a channel, and hears what becomes of it. */
export interface Listener {
  /** It is there, and the hello is on its way. */
  opened(): void;
  /** A frame came. */
  came(frame: string): void;
  /** It is `full` no more. */
  room(): void;
  /** It is gone. */
  ended(code: number): void;
}

export interface Channel {
  /** Too much waits to be carried: what is sent now may be too much for the page's memory. */
  readonly full: boolean;
  send(frame: string): void;
  close(): void;
}

/** A way to the supervisor. */
export interface Road {
  /** Begin a connection; `counts` are the last members of its hello, with the closing brace. May throw. */
  open(counts: () => string, listener: Listener): Channel;
  /** Says that the page may not go this way, and why. Called once, before the first `open`. */
  whenBarred(told: (why: string) => void): void;
  /** Why this way was taken and no better one: the log is told. */
  because(why: string): void;
}
