/** `window.lab`: what a page's own scripts see of labplatform. In the page's renderer. */

import type { Channel, DesktopAgent } from "@finos/fdc3-standard";
import type { Config } from "./config.js";
import * as native from "./natives.js";
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
}

/** One frozen object, and no way to put another in its place. Only words that are no secret are copied into it. */
export function defineLab(config: Config, transport: Transport, agent: DesktopAgent): void {
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
  };
  native.defineProperty(window, "lab", { value: native.freeze(lab), enumerable: true });
}
