/* ticker-list: five rows with price, change and the last closes; the chosen one up close below. Who chooses a row sends its
   instrument over the user channel; a row is marked, too, when another app sends one. */
import "./_lab/channels.js";
import { byId, make, put, shape } from "./_lab/dom.js";
import { fdc3, follow, instrument, inWords } from "./_lab/fdc3.js";
import { raise, SHOWN } from "./_lab/intents.js";
import { openMenu } from "./_lab/menu.js";
import { History, start, TICKERS } from "./_lab/prices.js";
import { month, move, price, range, shares } from "./_lab/writing.js";

const WIDE = 240; // the sparkline's own units; it stretches to its cell
const HIGH = 34;
const EDGE = 3;

const history = new History();
const rows = new Map();
let latest = new Map();
let chosen = TICKERS[0];

const channels = document.querySelector("lab-channels");

function cell(parent, className, ...inside) {
  const node = make("div", { className }, ...inside);
  parent.append(node);
  return node;
}

const span = (className) => make("span", { className });

for (const ticker of TICKERS) {
  const row = make("li", { id: `row-${ticker}`, role: "option" });
  const who = cell(row, "who");
  cell(who, "ticker", ticker);
  const company = cell(who, "company");
  const spark = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, row);
  spark.classList.add("spark");
  const line = shape("path", { d: "" }, spark);
  const money = cell(row, "number");
  const last = cell(money, "last live", "–");
  const volume = cell(money, "small live", "");
  const [sign, word, percent] = [span("sign"), span("unseen"), span("percent")];
  sign.setAttribute("aria-hidden", "true");
  const moves = cell(row, "number");
  const change = cell(moves, "change live", sign, " ", word, percent);
  const absolute = cell(moves, "small live", "");
  rows.set(ticker, { row, company, line, last, volume, sign, word, percent, change, absolute });
  row.addEventListener("click", () => choose(ticker));
  row.addEventListener("contextmenu", (event) => offer(event, ticker));
  byId("rows").append(row);
}

const nameOf = (ticker) => latest.get(ticker)?.name;

/** Mark one row. The focus goes along only if the listbox has it already, or asks for it. */
function mark(ticker, focus) {
  chosen = document.body.dataset.ticker = ticker;
  for (const [name, { row }] of rows) {
    row.setAttribute("aria-selected", String(name === ticker));
    row.tabIndex = name === ticker ? 0 : -1;
  }
  if (focus) rows.get(ticker).row.focus();
  closeUp();
}

/** A person chose this one: the others on the channel are told. */
async function choose(ticker) {
  mark(ticker, true);
  if (!fdc3) return;
  try {
    await fdc3.broadcast(instrument(ticker, nameOf(ticker)));
    if (channels.current) channels.note(`sent ${ticker}`);
  } catch (error) {
    channels.note(`${ticker} not sent`, inWords(error));
  }
}

/** Another app sent this one. */
function followed(ticker, from) {
  if (rows.has(ticker)) mark(ticker, byId("rows").contains(document.activeElement));
  channels.note(rows.has(ticker) ? ticker : `${ticker} is not here`, `from ${from || "the channel"}`);
}

for (const [intent, what] of Object.entries(SHOWN)) {
  const button = make("button", { type: "button", textContent: what[0].toUpperCase() + what.slice(1) });
  button.addEventListener("click", () => raise(intent, chosen, nameOf(chosen)));
  byId("do").append(button);
}

/** The same for any row, chosen or not. */
function offer(event, ticker) {
  event.preventDefault();
  const items = Object.entries(SHOWN).map(([intent, what]) => [
    `Show ${what} of ${ticker}`,
    () => raise(intent, ticker, nameOf(ticker)),
  ]);
  openMenu(`${ticker}`, items, { x: event.clientX, y: event.clientY }, rows.get(chosen).row);
}

byId("rows").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const at = TICKERS.indexOf(chosen);
  const typed = event.key.length === 1 ? event.key.toUpperCase() : null;
  const order = [...TICKERS.slice(at + 1), ...TICKERS.slice(0, at + 1)];
  const to = {
    ArrowDown: TICKERS[Math.min(at + 1, TICKERS.length - 1)],
    ArrowUp: TICKERS[Math.max(at - 1, 0)],
    Home: TICKERS[0],
    End: TICKERS.at(-1),
  }[event.key] ?? (typed && order.find((ticker) => ticker.startsWith(typed)));
  if (!to) return;
  event.preventDefault();
  choose(to);
});

function closeUp() {
  const quote = latest.get(chosen);
  put(byId("chosen-name"), chosen);
  put(byId("chosen-company"), quote?.name ?? "");
  put(byId("open"), price(quote?.open));
  put(byId("high"), price(quote?.high));
  put(byId("low"), price(quote?.low));
  put(byId("volume"), shares(quote?.volume));
  range(byId("day-range"), quote?.low, quote?.high, quote?.last);
  range(byId("year-range"), quote?.yearLow, quote?.yearHigh, quote?.last);
}

function showRow(quote) {
  const parts = rows.get(quote.ticker);
  if (!parts) return;
  put(parts.company, quote.name);
  put(parts.last, price(quote.last));
  const listed = quote.last != null;
  const { sign, word, kind } = move(quote.change);
  const none = !listed ? "not listed" : quote.change == null ? "first day" : "";
  put(parts.sign, none ? "" : sign);
  put(parts.word, none ? "" : `${word} `);
  put(parts.percent, none || `${Math.abs(quote.changePercent).toFixed(2)} %`);
  const look = `change live ${none ? "fell" : kind}`;
  if (parts.change.className !== look) parts.change.className = look;
  if (!listed) put(parts.absolute, quote.firstDay ? `until ${month(quote.firstDay)}` : "");
  else put(parts.absolute, none ? "" : price(Math.abs(quote.change)));
  put(parts.volume, listed ? shares(quote.volume) : "");
}

function sparkline(ticker) {
  const { close } = history.of(ticker);
  const known = close.filter((value) => value != null);
  let path = "";
  if (known.length > 1) {
    const low = Math.min(...known);
    const scale = (HIGH - 2 * EDGE) / (Math.max(...known) - low || 1);
    const step = WIDE / (close.length - 1);
    close.forEach((value, at) => {
      if (value == null) return;
      path += `${path ? "L" : "M"}${(at * step).toFixed(1)} ${(HIGH - EDGE - (value - low) * scale).toFixed(1)}`;
    });
  }
  rows.get(ticker).line.setAttribute("d", path);
}

function showHistory(context) {
  history.replace(context);
  put(byId("days"), `${history.dates.length} days`);
  TICKERS.forEach(sparkline);
}

function showQuotes(context) {
  latest = new Map(context.quotes.map((quote) => [quote.ticker, quote]));
  history.append(context);
  context.quotes.forEach(showRow);
  TICKERS.forEach(sparkline);
  closeUp();
}

mark(chosen, false);
follow(followed).catch((error) => channels.note("not following", inWords(error)));
start({
  onQuotes: showQuotes,
  onHistory: showHistory,
  subtitle: (when) => `${TICKERS.length} instruments · ${when}`,
});
