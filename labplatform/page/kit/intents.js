/* Raising an intent about an instrument, and telling a person what becomes of it: `#told`, in the page's last line, says
   how far it is, `#refused` why it came to nothing. In the page's renderer. */
import { fdc3, instrument, inWords, opened } from "./fdc3.js";
import { byId, put, warn } from "./dom.js";

const TOLD_FOR = 5000; // ms that the outcome stays

/** What people call the intents that the sample apps know. */
export const SHOWN = { ViewInstrument: "details", ViewChart: "chart", ViewNews: "news" };

let timer = 0;
let count = 0;

function tell(text, done = false) {
  clearTimeout(timer);
  put(byId("told"), text);
  if (done) timer = setTimeout(() => put(byId("told"), ""), TOLD_FOR);
}

const refuse = (text) => warn(byId("refused"), text, () => warn(byId("refused"), ""));

/** Raise an intent: the platform finds the app that handles it, and starts it if it does not run. */
export async function raise(intent, ticker, name) {
  const mine = ++count;
  const context = instrument(ticker, name);
  const what = `${SHOWN[intent]} of ${ticker}`;
  const failed = (error) => {
    if (mine === count) tell("");
    refuse(`No ${what}: ${inWords(error)}`);
  };
  refuse("");
  tell(`Asking for the ${what}…`);
  try {
    if (!fdc3) throw new Error("labplatform did not open this page");
    await opened;
    const { apps } = await fdc3.findIntent(intent, context);
    const names = new Map(apps.map((app) => [app.appId, app.title ?? app.appId]));
    const runs = apps.some((app) => app.instanceId);
    if (names.size === 1) tell(runs ? `Asking ${[...names.values()]}…` : `Starting ${[...names.values()]}…`);
    const resolution = await fdc3.raiseIntent(intent, context);
    if (mine === count) tell(`${names.get(resolution.source.appId) ?? resolution.source.appId} has the ${what}`, true);
    // A handler may take as long as it likes; only that it failed is news.
    resolution.getResult().catch(failed);
  } catch (error) {
    failed(error);
  }
}
