/**
 * The page agent: what labplatform puts into every page before the page's own scripts. In the page's renderer, in the
 * main world of the main frame.
 *
 * The app host injects `(() => { const __LABPLATFORM__ = {…}; <this bundle> })();`. The agent enters only the main frame
 * of the app's own origin, never an iframe and never a page that was navigated to from it: its token speaks for the app.
 */

import { BridgeRoad } from "./bridge.js";
import type { Config } from "./config.js";
import { announce, makeDesktopAgent } from "./desktop_agent.js";
import { defineFin } from "./fin.js";
import { Keep } from "./keep.js";
import { defineLab } from "./lab.js";
import { SocketMessaging } from "./messaging.js";
import * as native from "./natives.js";
import { SocketRoad } from "./socket.js";
import { State } from "./state.js";
import { Transport } from "./transport.js";

declare const __LABPLATFORM__: Config;

function start(config: Config): void {
  const session = native.uuid();
  const socket = config.url ? new SocketRoad(config.url, config.token, session) : null;
  const bridge = config.relay ? BridgeRoad.find(config.relay, session) : null;
  const transport = new Transport(socket ?? bridge, socket && bridge);
  const app = { appId: config.appId, instanceId: config.instance };
  const messaging = new SocketMessaging(transport, app, config.maxMessage);
  const agent = makeDesktopAgent(messaging);
  const state = new State(transport, config.maxMessage);
  defineLab(config, transport, agent, state);
  if (config.fin) defineFin(config.fin, agent);
  announce(agent);
  new Keep(transport, config.maxMessage).start(config.kept);
  transport.start({
    message(message) {
      if (!state.take(message)) messaging.message(message);
    },
    missed() {
      state.ended("messages to this page were lost");
      messaging.missed();
    },
    ended(why) {
      state.ended(why);
      messaging.ended(why);
    },
  });
}

if (window.top === window && location.origin === __LABPLATFORM__.origin) start(__LABPLATFORM__);
