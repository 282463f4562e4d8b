/* market-data's replay in a page: the feed and its silence, and the closes of the last days. In the page's renderer, on
   its main thread. What a page draws is its own.

   The prices come over the FDC3 app channel "prices"; `window.lab` says where the page runs. */
import { secondHand } from "./clock.js";
import { byId, put, warn } from "./dom.js";
import { fdc3, inWords, opened } from "./fdc3.js";
import { day } from "./writing.js";

const PRICES = "prices"; // the app channel
const BEAT = 300; // ms until the second hand moves although no price came; each price moves it too, in the same frame
const SILENT_AFTER = 3000; // ms without a price until the page says so
const RATE_OVER = 20; // updates over which the rate in the footer is measured, once there are half as many
const RATE_WITHIN = 2000; // ms that they must span: what was held up comes all at once, and is no rate
export const TICKERS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"];

// --- closes and volumes of the last days -----------------------------------------------------------------------------

/** The days of the last `labplatform.history`, and those that followed without a gap. */
export class History {
  tick = null;
  dates = [];
  series = {};

  replace(context) {
    ({ tick: this.tick, dates: this.dates, series: this.series } = structuredClone(context));
  }

  append(context) {
    // After a gap the line would join days that are not neighbours: wait for the next whole history.
    if (this.tick === null || context.tick !== this.tick + 1 || context.date <= this.dates.at(-1)) return;
    const full = this.dates.length;
    this.tick = context.tick;
    this.dates.push(context.date);
    for (const quote of context.quotes) {
      const { close, volume } = (this.series[quote.ticker] ??= { close: [], volume: [] });
      close.push(quote.last);
      volume.push(quote.last == null ? null : quote.volume);
      if (close.length > full) close.shift(), volume.shift();
    }
    this.dates.shift();
  }

  of(ticker) {
    return this.series[ticker] ?? { close: [], volume: [] };
  }
}

// --- feed, notice, footer, second hand -------------------------------------------------------------------------------

/**
 * Start the page. `onQuotes` and `onHistory` get the contexts of market-data as they come; `subtitle(day)` is the line
 * under the name, `footer()` the left of the last line (the rate of updates, if none is given).
 */
export async function start({ onQuotes, onHistory = () => {}, subtitle = (when) => when, footer = null }) {
  const lab = window.lab;
  const turn = secondHand(document.querySelector(".clock"));
  const notice = byId("notice");
  const started = performance.now();
  let times = [];
  let date = null;
  let refused = "";
  let timer = 0;

  byId("where").textContent = lab ? `PID ${lab.pid} · ${lab.placement}` : "no platform";

  function heard(context) {
    const now = performance.now();
    if (now - times.at(-1) >= SILENT_AFTER) times = []; // a silence is not part of the rate
    if (times.length > RATE_OVER) times.shift();
    times.push(now);
    date = context.date;
    onQuotes(context);
    put(byId("when"), subtitle(`replay, ${day(date)}`));
    beat();
  }

  function rate() {
    const span = times.at(-1) - times[0];
    if (times.length < RATE_OVER / 2 || span < RATE_WITHIN) return "counting updates";
    const each = (1000 * (times.length - 1)) / span;
    const shown = String(each < 2 ? Math.round(each * 10) / 10 : Math.round(each));
    return `${shown} ${shown === "1" ? "update" : "updates"} each second`;
  }

  function why() {
    if (!lab) return "No prices: labplatform did not open this page";
    if (refused) return `No prices: the channel did not open (${refused}); restart this app`;
    if (!lab.connected) return "No prices: the connection to the platform is lost";
    return "No prices: is market-data running?";
  }

  function beat() {
    clearTimeout(timer);
    timer = setTimeout(beat, BEAT);
    turn();
    const silence = performance.now() - (times.at(-1) ?? started);
    const silent = silence >= SILENT_AFTER;
    document.body.toggleAttribute("data-silent", silent);
    warn(notice, silent ? why() : "");
    if (silent) {
      const since = `${Math.floor(silence / 1000)} s ago`;
      put(byId("when"), date ? subtitle(`replay stopped at ${day(date)}`) : subtitle("no prices yet"));
      put(byId("pace"), times.length ? `last price ${since}` : "no price so far");
    } else {
      put(byId("pace"), footer ? footer() : rate());
    }
  }

  put(byId("when"), subtitle("waiting for prices"));
  beat();
  if (!fdc3) return;
  try {
    await opened;
    const prices = await fdc3.getOrCreateChannel(PRICES);
    await prices.addContextListener("labplatform.history", onHistory);
    await prices.addContextListener("labplatform.quotes", heard);
    // A listener hears only what comes from now on; the last of each kind makes a page full at once.
    const [history, quotes] = await Promise.all([
      prices.getCurrentContext("labplatform.history"),
      prices.getCurrentContext("labplatform.quotes"),
    ]);
    if (times.length) return;
    if (history) onHistory(history);
    if (quotes) {
      date = quotes.date;
      onQuotes(quotes);
    }
  } catch (error) {
    refused = inWords(error);
  }
}
