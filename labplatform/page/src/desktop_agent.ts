/**
 * `window.fdc3`: FDC3's own proxy of a desktop agent, `@finos/fdc3-agent-proxy`, on our messaging. In the page's renderer.
 *
 * The proxy asks nobody anything: the supervisor asks its resolver where an intent has several handlers, and a page that
 * wants a channel picker has one of its own, such as the kit's. So the proxy's own dialogs stay away.
 */

import { DefaultAppSupport, DefaultHeartbeatSupport } from "@finos/fdc3-agent-proxy";
import { type ChannelSelector, type DesktopAgent, type IntentResolver, LogLevel } from "@finos/fdc3-standard";
import type { SocketMessaging } from "./messaging.js";
import * as native from "./natives.js";
import { ChannelSupport, IntentSupport, Proxy } from "./proxy.js";

/** Milliseconds until a request without an answer is given up; FDC3's own defaults. */
const EXCHANGE_DEADLINE = 10_000;
/** The same for requests that may start an app. */
const LAUNCH_DEADLINE = 100_000;

const nowhere = { connect: async () => {}, disconnect: async () => {} };
const resolver: IntentResolver = { ...nowhere, chooseIntent: async () => {} };
const selector: ChannelSelector = { ...nowhere, updateChannel: async () => {}, setChannelChangeCallback: () => {} };

export function makeDesktopAgent(messaging: SocketMessaging): DesktopAgent {
  const heartbeat = new DefaultHeartbeatSupport(messaging);
  const channels = new ChannelSupport(messaging, selector, EXCHANGE_DEADLINE);
  messaging.whenMissed = () => channels.forgetJoined();
  const agent = new Proxy(
    heartbeat,
    channels,
    new IntentSupport(messaging, resolver, EXCHANGE_DEADLINE, LAUNCH_DEADLINE),
    new DefaultAppSupport(messaging, EXCHANGE_DEADLINE, LAUNCH_DEADLINE),
    [heartbeat],
    // Without this the proxy writes every message to the page's console.
    LogLevel.WARN,
  );
  void agent.connect();
  return agent;
}

/** Put it at `window.fdc3` now, and say so once the page's scripts have had the time to listen for that. */
export function announce(agent: DesktopAgent): void {
  // As replaceable as any property that a page sets itself: some pages assign what `getAgent()` gave them.
  native.defineProperty(window, "fdc3", { value: agent, enumerable: true, configurable: true, writable: true });
  const ready = () => native.dispatch(window, new native.NativeEvent("fdc3Ready"));
  native.listen(document, "DOMContentLoaded", () => native.startTimer(ready, 0));
}
