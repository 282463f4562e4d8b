/* How prices, volumes and days are written, and where a price stands between two others. In the page's renderer. */
import { put } from "./dom.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

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

/** Show `last` between `low` and `high` in a `.range` row. */
export function range(row, low, high, last) {
  const [, from, track, to] = row.children;
  row.toggleAttribute("data-empty", last == null);
  put(from, price(low));
  put(to, price(high));
  const share = last == null || high <= low ? 0 : (last - low) / (high - low);
  track.firstElementChild.style.transform = `translateX(${(100 * share).toFixed(1)}%)`;
}
