/* What the sample pages have in common, on the page's main thread: the second hand, the price feed and its silence, and
   how prices and days are written. What a page draws is its own. Every app finds it under its own origin, at
   `_lab/lab.js`.

   `window.lab` is the platform's: who this page is, and the channel on which market-data sends its replay. */

const BEAT = 300; // ms until the second hand moves although no price came; each price moves it too, in the same frame
const SILENT_AFTER = 3000; // ms without a price until the page says so
const RATE_OVER = 20; // updates over which the rate in the footer is measured, once there are half as many
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SVG = "http://www.w3.org/2000/svg";

export const TICKERS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"];
export const byId = (id) => document.getElementById(id);

// --- how things are written ------------------------------------------------------------------------------------------

const decimals = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const price = (value) => (value == null ? "–" : decimals.format(value));

export function shares(value) {
  if (value == null) return "–";
  return value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : `${Math.round(value / 1e3)} K`;
}

/** "2 Jul 2012" of "2012-07-02"; without the year if `short`. */
export function day(date, short = false) {
  const [year, month, number] = date.split("-");
  return `${Number(number)} ${MONTHS[month - 1]}${short ? "" : ` ${year}`}`;
}

/** "May 2012" of "2012-05-18". */
export const month = (date) => `${MONTHS[Number(date.slice(5, 7)) - 1]} ${date.slice(0, 4)}`;

/** Direction of a change: sign to see, word to hear, class to weigh. */
export function move(change) {
  if (change > 0) return { sign: "▲", word: "up", kind: "rose" };
  if (change < 0) return { sign: "▼", word: "down", kind: "fell" };
  return { sign: "", word: "unchanged", kind: "" };
}

/** Set text without touching the page when it is the same. */
export function put(node, text) {
  if (node.firstChild?.nodeType === Node.TEXT_NODE) {
    if (node.firstChild.data !== text) node.firstChild.data = text;
  } else {
    node.textContent = text;
  }
}

/** Show `last` between `low` and `high` in a `.range` row. */
export function range(row, low, high, last) {
  const [, from, track, to] = row.children;
  row.toggleAttribute("data-empty", last == null);
  put(from, price(low));
  put(to, price(high));
  const share = last == null || high <= low ? 0 : (last - low) / (high - low);
  track.firstElementChild.style.transform = `translateX(${(100 * share).toFixed(1)}%)`;
}

export function shape(name, attributes = {}, parent = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent?.append(node);
  return node;
}

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

// --- second hand, feed, notice, footer -------------------------------------------------------------------------------

function clock(place) {
  const face = shape("svg", { width: 44, height: 44 }, place);
  shape("circle", { cx: 22, cy: 22, r: 20.5, fill: "none", stroke: "var(--line)", "stroke-width": 1.5 }, face);
  for (let hour = 0; hour < 12; hour++) {
    const long = hour % 3 === 0;
    shape(
      "path",
      {
        d: long ? "M22 3.4V7.4" : "M22 3.6V5.6",
        stroke: "var(--line-strong)",
        "stroke-width": long ? 1.6 : 1,
        transform: `rotate(${hour * 30} 22 22)`,
      },
      face,
    );
  }
  const hand = shape("svg", { width: 44, height: 44, class: "hand" }, place);
  shape("path", { d: "M22 27V5", stroke: "var(--app-line)", "stroke-width": 2.2, "stroke-linecap": "round" }, hand);
  shape("circle", { cx: 22, cy: 22, r: 2.6, fill: "var(--app-line)" }, hand);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  return () => {
    const seconds = (Date.now() / 1000) % 60;
    hand.style.transform = `rotate(${((calm.matches ? Math.floor(seconds) : seconds) * 6).toFixed(1)}deg)`;
  };
}

function warn(place, text) {
  if (place.textContent === text) return;
  place.replaceChildren();
  if (!text) return;
  const icon = shape("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" }, place);
  shape("circle", { cx: 8, cy: 8, r: 6.6, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }, icon);
  shape("path", { d: "M8 4.4v4.2M8 11v.4", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round" }, icon);
  const words = document.createElement("span");
  words.textContent = text;
  place.append(words);
}

/**
 * Start the page. `onQuotes` and `onHistory` get the contexts of market-data as they come; `subtitle(day)` is the line
 * under the name, `footer()` the left of the last line (the rate of updates, if none is given).
 */
export async function start({ onQuotes, onHistory = () => {}, subtitle = (when) => when, footer = null }) {
  const lab = window.lab;
  const turn = clock(document.querySelector(".clock"));
  const notice = byId("notice");
  const opened = performance.now();
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
    if (times.length < RATE_OVER / 2) return "counting updates";
    const each = (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
    const shown = String(each < 2 ? Math.round(each * 10) / 10 : Math.round(each));
    return `${shown} ${shown === "1" ? "update" : "updates"} each second`;
  }

  function why() {
    if (!lab) return "No prices: labplatform did not open this page";
    if (refused) return `No prices: the channel did not open (${refused}); restart this app`;
    if (lab.connected === false) return "No prices: the connection to the platform is lost";
    return "No prices: is market-data running?";
  }

  function beat() {
    clearTimeout(timer);
    timer = setTimeout(beat, BEAT);
    turn();
    const silence = performance.now() - (times.at(-1) ?? opened);
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
  if (!lab) return;
  try {
    const prices = await lab.channel("prices");
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
    refused = error?.message ?? String(error);
  }
}
