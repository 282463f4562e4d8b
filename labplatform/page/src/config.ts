/** See `lab.restored`. */
export interface Restored {
  /**
   * Why the page before ended: "crashed", "killed", "oom", "unresponsive", "memory-limit", …, "restarted", "recycled"; or
   * "launched" where the app was launched anew and has what it had saved for good (`"storage": "persistent"`),
   * "workspace" where it was brought back as a workspace has kept it.
   */
  readonly after: string;
  /** Seconds before that end, or that launch, at which the state was saved that `lab.getState()` gives; or `null`. */
  readonly age: number | null;
  /** That state's version. */
  readonly version: number | null;
  /** What is not there again, in words. */
  readonly lost: readonly string[];
  /** Whether there was a state, and it was put aside because pages that had been given it crashed one after the other. */
  readonly aside: boolean;
}

/** What the app host tells the agent about its page. In the page's renderer; the token in it is for socket.ts alone. */

import type { FinConfig } from "./fin.js";

export interface Config {
  /** The only origin that gets an agent. */
  readonly origin: string;
  /** The supervisor's WebSocket; empty where the page is to go through its host. */
  readonly url: string;
  /** Proves to the supervisor which incarnation of which instance speaks, over a WebSocket. */
  readonly token: string;
  /** The name by which the relay to the app host is found, a secret of this document's; empty where there is none. */
  readonly relay: string;
  readonly place: string;
  readonly instance: string;
  readonly appId: string;
  readonly incarnation: number;
  readonly title: string;
  readonly pid: number;
  readonly placement: "own process" | "shared process" | "shared renderer";
  /** "#rrggbb", or empty. */
  readonly color: string;
  /** Who the page is for OpenFin's API, where its manifest is written for OpenFin. */
  readonly fin: FinConfig | null;
  /** Bytes of the largest message that the supervisor takes; it cuts off who sends more. */
  readonly maxMessage: number;
  /** What this page is told of the one before it in its app's place; `null` where there was none. */
  readonly restored: Restored | null;
  /** What was kept of that page without a word of its own (`keep.ts`), as JSON; empty where nothing was. */
  readonly kept: string;
}
