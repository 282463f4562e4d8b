/** `window.lab`: what a page's own scripts see of labplatform. In the page's renderer. */

import type { Channel, DesktopAgent } from "@finos/fdc3-standard";
import type { Config, Restored } from "./config.js";
import * as native from "./natives.js";
import type { Migrate, State } from "./state.js";
import type { Transport } from "./transport.js";

export interface Lab {
  readonly appId: string;
  /** FDC3's instanceId. */
  readonly instanceId: string;
  /** Counts the processes and pages that have filled this app's place. */
  readonly incarnation: number;
  /** Of the app host. */
  readonly pid: number;
  readonly placement: Config["placement"];
  readonly title: string;
  /** The app's colour as "#rrggbb", or empty. */
  readonly color: string;
  /** Whether the supervisor hears this page now. */
  readonly connected: boolean;
  /** FDC3's app channel of this name, made if there is none yet: short for `fdc3.getOrCreateChannel`. */
  channel(id: string): Promise<Channel>;
  /** What there was before this page in its app's place; `null` where there was nothing. */
  readonly restored: Restored | null;
  /** Keep this for the page that comes after; JSON values. Resolves once it is on disk, and survives any crash then. */
  saveState(state: unknown): Promise<void>;
  /** What was saved last, by this page or one before it; `null` where nothing was. */
  getState(): Promise<unknown>;
  /** Of the form of what this page saves: a whole number, 0 until it is set. */
  stateVersion: number;
  /** Called by `getState` where what was saved has another version; returns what that is in this page's form. */
  migrateState: Migrate | null;
}

/** One frozen object, and no way to put another in its place. Only words that are no secret are copied into it. */
export function defineLab(config: Config, transport: Transport, agent: DesktopAgent, state: State): void {
  // Not `agent.…` at each call: a page may wrap what it finds at `window.fdc3`.
  const { getOrCreateChannel } = agent;
  const lab: Lab = {
    appId: config.appId,
    instanceId: config.instance,
    incarnation: config.incarnation,
    pid: config.pid,
    placement: config.placement,
    title: config.title,
    color: config.color,
    get connected() {
      return transport.online;
    },
    channel: (id) => getOrCreateChannel(id),
    restored: config.restored && native.freeze({ ...config.restored, lost: native.freeze(config.restored.lost) }),
    saveState: (value) => state.save(value),
    getState: () => state.load(),
    get stateVersion() {
      return state.version;
    },
    set stateVersion(version) {
      state.version = version;
    },
    get migrateState() {
      return state.migrate;
    },
    set migrateState(migrate) {
      state.migrate = migrate;
    },
  };
  native.defineProperty(window, "lab", { value: native.freeze(lab), enumerable: true });
}
