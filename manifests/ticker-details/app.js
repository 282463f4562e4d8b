/* ticker-details: one share up close. It follows the instrument of its user channel, and shows what an intent asks for;
   `#MSFT` in the address chooses the first one, the buttons any other. There is no order book, because the data has no
   bids and asks: averages, best and worst day come from the closes in the chart. */
import "./_lab/channels.js";
import { byId, make, put, shape } from "./_lab/dom.js";
import { follow, handle, inWords } from "./_lab/fdc3.js";
import { raise } from "./_lab/intents.js";
import { History, start, TICKERS } from "./_lab/prices.js";
import { day, move, price, range, shares } from "./_lab/writing.js";

const RIGHT = 52; // px for prices beside the chart
const BOTTOM = 20; // px for days below it
const VOLUMES = 26; // px for the volume bars
const TOP = 8;
const LINES = 4; // about so many grid lines

const history = new History();
const channels = document.querySelector("lab-channels");
let quotes = new Map();
let chosen = fromAddress() ?? TICKERS[0];

function fromAddress() {
  const wanted = location.hash.slice(1).toUpperCase();
  return TICKERS.includes(wanted) ? wanted : null;
}

// --- the choice ------------------------------------------------------------------------------------------------------

for (const ticker of TICKERS) {
  const radio = make("input", { type: "radio", name: "ticker", value: ticker });
  byId("pick").append(make("label", {}, radio, make("span", { textContent: ticker })));
  radio.addEventListener("change", () => choose(ticker));
}

function choose(ticker) {
  chosen = document.body.dataset.ticker = ticker;
  document.querySelector(`input[value="${ticker}"]`).checked = true;
  put(byId("name"), ticker);
  draw();
}

addEventListener("hashchange", () => choose(fromAddress() ?? chosen));

/** Another app wants this one shown: `how` is an intent, or "" where it only told the channel. */
function ask(ticker, how, from) {
  const here = TICKERS.includes(ticker);
  if (here) choose(ticker);
  channels.note(here ? how || ticker : `${ticker} is not here`, `from ${from || "the channel"}`);
}

/** The chart alone, or all figures around it. */
function whole(chart) {
  byId("whole").setAttribute("aria-pressed", String(chart));
  document.body.toggleAttribute("data-chart", chart);
}

byId("whole").addEventListener("click", () => whole(!document.body.hasAttribute("data-chart")));
byId("news").addEventListener("click", () => raise("ViewNews", chosen, quotes.get(chosen)?.name));

/** The current instrument of the channel first: what is asked for by an intent counts for more. */
async function listen() {
  await follow((ticker, from) => ask(ticker, "", from));
  for (const [intent, chart] of [["ViewInstrument", false], ["ViewChart", true]]) {
    await handle(intent, (ticker, from) => {
      whole(chart);
      ask(ticker, intent, from);
    });
  }
}

// --- figures ---------------------------------------------------------------------------------------------------------

function average(closes, days) {
  const last = closes.slice(-days);
  return last.length === days && last.every((close) => close != null) ? last.reduce((a, b) => a + b) / days : null;
}

function extremes(closes, dates) {
  let best = null;
  let worst = null;
  for (let at = 1; at < closes.length; at++) {
    if (closes[at] == null || closes[at - 1] == null) continue;
    const percent = 100 * (closes[at] / closes[at - 1] - 1);
    if (!best || percent > best.percent) best = { percent, date: dates[at] };
    if (!worst || percent < worst.percent) worst = { percent, date: dates[at] };
  }
  return { best, worst };
}

function written(extreme) {
  if (!extreme) return "–";
  return `${move(extreme.percent).sign} ${Math.abs(extreme.percent).toFixed(2)} %, ${day(extreme.date, true)}`;
}

function figures() {
  const quote = quotes.get(chosen);
  const { close } = history.of(chosen);
  const { sign, word, kind } = move(quote?.change);
  const moved = quote?.change != null;
  put(byId("last"), price(quote?.last));
  put(byId("sign"), moved ? sign : "");
  put(byId("word"), moved ? `${word} ` : "");
  put(byId("absolute"), moved ? price(Math.abs(quote.change)) : "");
  put(byId("percent"), moved ? `${Math.abs(quote.changePercent).toFixed(2)} %` : "");
  byId("change").className = `change live ${kind}`;
  const unlisted = quote && quote.last == null && quote.firstDay;
  put(byId("unit"), unlisted ? `not listed until ${day(quote.firstDay)}` : "USD, close of the day");
  put(byId("open"), price(quote?.open));
  put(byId("high"), price(quote?.high));
  put(byId("low"), price(quote?.low));
  put(byId("volume"), shares(quote?.volume));
  put(byId("span-title"), `The ${history.dates.length || ""} days in the chart`);
  put(byId("average-20"), price(average(close, 20)));
  put(byId("average-50"), price(average(close, 50)));
  const { best, worst } = extremes(close, history.dates);
  put(byId("best"), written(best));
  put(byId("worst"), written(worst));
  range(byId("year-range"), quote?.yearLow, quote?.yearHigh, quote?.last);
}

// --- chart -----------------------------------------------------------------------------------------------------------

const svg = shape("svg", { width: "100%", height: "100%", "aria-hidden": "true" }, byId("chart"));
const area = shape("path", { class: "area" }, svg);
const grid = shape("path", { class: "grid" }, svg);
const volumes = shape("path", { class: "volumes" }, svg);
const line = shape("path", { class: "line" }, svg);
const now = shape("circle", { class: "now", r: 3.5 }, svg);
const prices = Array.from({ length: 2 * LINES }, () => shape("text", { "dominant-baseline": "middle" }, svg));
const days = ["start", "middle", "end"].map((anchor) => shape("text", { "text-anchor": anchor }, svg));
let width = 0;
let height = 0;

/** Why there is nothing to draw. */
function nothing() {
  const quote = quotes.get(chosen);
  if (quote?.last == null && quote?.firstDay) return `${quote.name} first trades on ${day(quote.firstDay)}`;
  return quote?.change === null ? "The line begins with the second day" : "No closes yet";
}

/** A round distance between grid lines: 1, 2 or 5 times a power of ten. */
function gap(span) {
  const rough = span / LINES;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((step) => step * power >= rough) ?? 10);
}

function chart() {
  const { close, volume } = history.of(chosen);
  const known = close.filter((value) => value != null);
  put(byId("empty"), known.length > 1 ? "" : nothing());
  svg.style.visibility = known.length > 1 && width > 0 ? "visible" : "hidden";
  if (known.length < 2 || width <= 0) return;
  const right = width - RIGHT;
  const base = height - BOTTOM;
  const floor = base - VOLUMES;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const step = gap(high - low || 1);
  const bottom = Math.floor(low / step) * step;
  const top = Math.ceil(high / step) * step;
  const x = (at) => (at * (right - 2)) / (close.length - 1);
  const y = (value) => floor - ((value - bottom) / (top - bottom || 1)) * (floor - TOP);

  let lines = "";
  let used = 0;
  for (let value = bottom; value <= top + step / 2 && used < prices.length; value += step) {
    const at = Math.round(y(value)) + 0.5;
    lines += `M0 ${at}H${right}`;
    prices[used].setAttribute("x", right + 8);
    prices[used].setAttribute("y", at);
    put(prices[used++], step < 1 ? value.toFixed(2) : String(Math.round(value)));
  }
  prices.slice(used).forEach((text) => put(text, ""));
  grid.setAttribute("d", lines);

  const first = close.findIndex((value) => value != null);
  let path = "";
  for (let at = first; at < close.length; at++) {
    if (close[at] != null) path += `${path ? "L" : "M"}${x(at).toFixed(1)} ${y(close[at]).toFixed(1)}`;
  }
  const end = close.length - 1;
  line.setAttribute("d", path);
  area.setAttribute("d", `${path}V${floor}H${x(first).toFixed(1)}Z`);
  now.setAttribute("cx", x(end).toFixed(1));
  now.setAttribute("cy", y(close[end]).toFixed(1));

  const most = Math.max(...volume.map((value) => value ?? 0)) || 1;
  let bars = "";
  volume.forEach((value, at) => {
    if (value != null) bars += `M${x(at).toFixed(1)} ${base}v${(-(VOLUMES - 5) * (value / most)).toFixed(1)}`;
  });
  volumes.setAttribute("d", bars);
  volumes.setAttribute("stroke-width", Math.max(1, (0.62 * right) / close.length).toFixed(1));

  const middle = Math.floor(end / 2);
  [0, middle, end].forEach((at, place) => {
    days[place].setAttribute("x", x(at).toFixed(0));
    days[place].setAttribute("y", height - 4);
    put(days[place], day(history.dates[at]));
  });
}

/** The chart in words; with each whole history, not with each price. */
function describe() {
  const { close } = history.of(chosen);
  const known = close.filter((value) => value != null);
  const words = known.length
    ? `${chosen}: closes of ${known.length} trading days up to ${day(history.dates.at(-1))}, ` +
      `from ${price(known[0])} to ${price(known.at(-1))}, lowest ${price(Math.min(...known))}, ` +
      `highest ${price(Math.max(...known))}; bars: volume`
    : `${chosen}: ${nothing()}`;
  byId("chart").setAttribute("aria-label", words);
}

function draw() {
  figures();
  chart();
  describe();
}

new ResizeObserver(([entry]) => {
  ({ width, height } = entry.contentRect);
  chart();
}).observe(byId("chart"));

choose(chosen);
listen().catch((error) => channels.note("not following", inWords(error)));
start({
  onQuotes(context) {
    quotes = new Map(context.quotes.map((quote) => [quote.ticker, quote]));
    history.append(context);
    figures();
    chart();
  },
  onHistory(context) {
    history.replace(context);
    draw();
  },
  subtitle: (when) => [quotes.get(chosen)?.name, when].filter(Boolean).join(" · "),
});
