/* FDC3 as the sample pages use it: the instrument of their user channel, and errors in words. In the page's renderer.
   Everything goes through `window.fdc3`, as in any FDC3 app. */

const INSTRUMENT = "fdc3.instrument";

/** The desktop agent; `null` in a page that labplatform did not open. */
export const fdc3 = window.fdc3 ?? null;

/** Resolves once the desktop agent has answered; from its first `getInfo` on a page counts as open to other apps. */
export const opened = fdc3?.getInfo() ?? Promise.resolve(null);
opened.catch(() => {}); // who waits for it says so

/** FDC3's instrument context. */
export const instrument = (ticker, name) => ({ type: INSTRUMENT, id: { ticker }, ...(name && { name }) });

/** The ticker of an instrument in capital letters, or "". */
export function tickerOf(context) {
  const ticker = context?.type === INSTRUMENT ? context.id?.ticker : null;
  return typeof ticker === "string" ? ticker.toUpperCase() : "";
}

/** The app a context comes from, as the platform names it; "" where the message does not say. */
export const sender = (metadata) => metadata?.source?.appId ?? "";

/**
 * Hear every instrument of the user channel that this page is on, or is moved to: `take(ticker, from)`; `from` is "" for
 * what the channel had before, and that has been heard when this resolves. Then `data-listening` stands at the body. In a
 * page without a desktop agent nothing happens.
 */
export async function follow(take) {
  if (!fdc3) return;
  await opened;
  await fdc3.addContextListener(INSTRUMENT, (context, metadata) => {
    if (tickerOf(context)) take(tickerOf(context), sender(metadata));
  });
  document.body.dataset.listening = "";
}

/** Handle an intent about an instrument: `take(ticker, from)`. */
export async function handle(intent, take) {
  if (!fdc3) return;
  await opened;
  await fdc3.addIntentListener(intent, async (context, metadata) => {
    if (tickerOf(context)) take(tickerOf(context), sender(metadata));
  });
}

const WORDS = {
  AgentDisconnected: "the connection to the platform is lost",
  ApiTimeout: "the platform did not answer in time",
  AppTimeout: "the app did not start in time",
  ErrorOnLaunch: "the app did not start",
  IntentDeliveryFailed: "the app took too long to listen for it",
  IntentHandlerRejected: "the app ended before it was done",
  NoAppsFound: "no app on this platform does that",
  ResolverTimeout: "nobody chose an app in time",
  ResolverUnavailable: "several apps could, and nobody can be asked which",
  TargetAppUnavailable: "the app could not be started",
  TargetInstanceUnavailable: "the app has ended meanwhile",
  UserCancelledResolution: "no app was chosen",
};

/** Why a request failed. FDC3 puts its name for that into the error's message. */
export const inWords = (error) => WORDS[error?.message] ?? error?.message ?? String(error);
