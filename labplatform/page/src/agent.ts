/**
 * The page agent: what labplatform puts into every page before the page's own scripts. In the page's renderer, in the
 * main world of the main frame.
 *
 * The app host injects `(() => { const __LABPLATFORM__ = {…}; <this bundle> })();`. The agent enters only the main frame
 * of the app's own origin, never an iframe and never a page that was navigated to from it: its token speaks for the app.
 */

import { Channels } from "./channels.js";
import type { Config } from "./config.js";
import { Dacp } from "./dacp.js";
import { defineLab } from "./lab.js";
import { Transport } from "./transport.js";

declare const __LABPLATFORM__: Config;

function start(config: Config): void {
  const transport = new Transport(config.url, config.token);
  const dacp = new Dacp(transport);
  const channels = new Channels(transport, dacp);
  defineLab(config, transport, channels);
  transport.start({
    online: () => channels.online(),
    message: (message) => dacp.message(message),
    ended: (why) => {
      channels.ended(why);
      dacp.ended(why);
    },
  });
}

if (window.top === window && location.origin === __LABPLATFORM__.origin) start(__LABPLATFORM__);
