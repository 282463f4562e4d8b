/* news-feed: sample headlines of news.json, shown as the replay reaches their day. The headlines are made up; only the
   days are the replay's. It follows the instrument of its user channel, and shows the news that an intent asks for. */
import "./_lab/channels.js";
import { byId, make, put } from "./_lab/dom.js";
import { follow, handle, inWords } from "./_lab/fdc3.js";
import { start, TICKERS } from "./_lab/prices.js";
import { day } from "./_lab/writing.js";

const NEW_FOR = 14; // days of the replay for which a headline counts as new

let news = []; // oldest first
let shown = 0; // how many of them the replay has reached
let date = "";
let about = "";
let problem = "";

const channels = document.querySelector("lab-channels");

for (const ticker of ["", ...TICKERS]) {
  const radio = make("input", { type: "radio", name: "about", value: ticker, checked: ticker === about });
  byId("pick").append(make("label", {}, radio, make("span", { textContent: ticker || "All" })));
  radio.addEventListener("change", () => choose(ticker));
}

function choose(ticker) {
  about = document.body.dataset.ticker = ticker;
  document.querySelector(`input[name="about"][value="${ticker}"]`).checked = true;
  filter();
  byId("scroll").scrollTop = 0;
}

/** Another app wants the news of this one: `how` is an intent, or "" where it only told the channel. */
function ask(ticker, how, from) {
  const here = TICKERS.includes(ticker);
  if (here) choose(ticker);
  channels.note(here ? how || ticker : `${ticker} is not here`, `from ${from || "the channel"}`);
}

/** The current instrument of the channel first: what is asked for by an intent counts for more. */
async function listen() {
  await follow((ticker, from) => ask(ticker, "", from));
  await handle("ViewNews", (ticker, from) => ask(ticker, "ViewNews", from));
}

const element = (name, text, ...inside) => make(name, {}, text, ...inside);

function item({ date: when, title, source, tickers }) {
  const node = make("li");
  const time = element("time", day(when, true), element("small", when.slice(0, 4)));
  time.dateTime = when;
  const from = element("p", `${source} · `);
  tickers.forEach((ticker, at) => from.append(at ? " · " : "", element("b", ticker)));
  const words = make("div", {}, element("h2", title), from);
  node.append(time, words);
  node.dataset.tickers = tickers.join(" ");
  node.dataset.date = when;
  return node;
}

const matches = (node) => !about || node.dataset.tickers.split(" ").includes(about);

/** What the replay has reached by `date`, put on top; from the start again when a new round has begun. */
function reach() {
  const before = news[shown - 1];
  if (before && before.date > date) {
    byId("items").replaceChildren();
    shown = 0;
  }
  const first = shown;
  while (shown < news.length && news[shown].date <= date) {
    const node = item(news[shown++]);
    node.hidden = !matches(node);
    byId("items").prepend(node);
  }
  const oldest = new Date(`${date}T00:00Z`);
  oldest.setUTCDate(oldest.getUTCDate() - NEW_FOR);
  const limit = oldest.toISOString().slice(0, 10);
  for (const node of byId("items").children) {
    const fresh = node.dataset.date > limit;
    if (!fresh && !node.hasAttribute("data-new") && first > 0) break;
    node.toggleAttribute("data-new", fresh);
  }
  count();
}

function filter() {
  for (const node of byId("items").children) node.hidden = !matches(node);
  count();
}

function count() {
  const visible = [...byId("items").children].filter((node) => !node.hidden);
  const fresh = visible.filter((node) => node.hasAttribute("data-new")).length;
  put(byId("new"), fresh ? `${fresh} new` : "");
  byId("none").hidden = visible.length > 0;
  const what = about ? `sample headline about ${about}` : "sample headline";
  put(byId("none"), problem || (date ? `No ${what} up to ${day(date)}.` : "Headlines appear in step with the replay."));
}

listen().catch((error) => channels.note("not following", inWords(error)));
start({
  onQuotes(context) {
    if (context.date === date) return;
    date = context.date;
    reach();
  },
  subtitle: (when) => `sample headlines · ${when}`,
  footer: () => `${shown} of ${news.length} headlines`,
});
try {
  const answer = await fetch("news.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  news = (await answer.json()).headlines;
} catch (error) {
  problem = `The headlines in news.json cannot be read: ${error.message}.`;
}
if (date) reach();
else count();
