/* order-ticket: an order that somebody is writing. Each keystroke is kept by `lab.saveState`, and `lab.getState` brings
   it back after whatever ended the page. Nothing is sent anywhere. It follows the instrument of its user channel as long
   as nobody has written anything. */
import "./_lab/channels.js";
import { secondHand } from "./_lab/clock.js";
import { byId, make, put, warn } from "./_lab/dom.js";
import { follow, inWords } from "./_lab/fdc3.js";
import { TICKERS } from "./_lab/prices.js";

const BEAT = 200; // ms between two moves of the second hand
const EMPTY = { ticker: TICKERS[0], side: "buy", quantity: "", limit: "", note: "" };

const lab = window.lab;
const form = byId("order");
const channels = document.querySelector("lab-channels");
let saves = 0;

for (const [name, words] of [
  ["ticker", Object.fromEntries(TICKERS.map((ticker) => [ticker, ticker]))],
  ["side", { buy: "Buy", sell: "Sell" }],
]) {
  for (const [value, text] of Object.entries(words)) {
    byId(name).append(make("label", {}, make("input", { type: "radio", name, value }), make("span", { textContent: text })));
  }
}

/** The order as it stands in the form. */
const read = () => Object.fromEntries(new FormData(form));

function write(order) {
  for (const [name, value] of Object.entries({ ...EMPTY, ...order })) form.elements[name].value = value;
  document.body.dataset.ticker = form.elements.ticker.value;
}

const untouched = () => !form.elements.quantity.value && !form.elements.limit.value && !form.elements.note.value;

/** What came last is kept; an answer to what came before says nothing any more. */
async function keep() {
  const number = ++saves;
  document.body.dataset.ticker = form.elements.ticker.value;
  put(byId("kept"), "…");
  try {
    await lab.saveState(read());
    if (number === saves) put(byId("kept"), "kept on disk");
  } catch (error) {
    if (number === saves) put(byId("kept"), "not kept");
    warn(byId("notice"), error.message, () => warn(byId("notice"), ""));
  }
}

/** What the page before left, and in words what became of it. */
async function restore() {
  const order = await lab?.getState();
  write(order);
  if (!lab?.restored) return;
  put(byId("story"), `the page before: ${lab.restored.after.replaceAll("-", " ")}; ${order ? "order restored" : "no order kept"}`);
  if (order) put(byId("kept"), "restored from disk");
}

/** The channel's instrument, unless somebody is writing an order for another one. */
function ask(ticker, from) {
  const taken = untouched() && TICKERS.includes(ticker);
  if (taken) write({ ...read(), ticker });
  channels.note(taken ? ticker : `${ticker} not taken`, taken ? `from ${from || "the channel"}` : "an order is being written");
}

put(byId("where"), lab ? `PID ${lab.pid} · ${lab.placement}` : "no platform");
const turn = secondHand(document.querySelector(".clock"));
turn();
setInterval(turn, BEAT);
form.addEventListener("input", keep);
form.addEventListener("reset", (event) => {
  event.preventDefault();
  write(EMPTY);
  keep();
});
try {
  await restore();
} catch (error) {
  write(EMPTY);
  warn(byId("notice"), error.message, () => warn(byId("notice"), ""));
}
document.body.dataset.ready = "";
follow(ask).catch((error) => channels.note("not following", inWords(error)));
