/**
 * Text that every receiver can read. In the page's renderer.
 *
 * A string of a page may hold half a character (`"👍".slice(0, 1)`), which JSON can write and UTF-8 cannot: the supervisor
 * would take such a message for none. A WebSocket puts U+FFFD in its place; so does this where JSON has escaped it.
 */

import * as native from "./natives.js";

const ESCAPE = "\\ud";
/** Characters of `\ud83d`. */
const LENGTH = 6;

/** The same JSON with U+FFFD for each half of a pair. `JSON.stringify` escapes those alone, and whole pairs never. */
export function wellFormed(json: string): string {
  let [whole, from] = ["", 0];
  for (let at = native.indexOf(json, ESCAPE, 0); at >= 0; at = native.indexOf(json, ESCAPE, at + 1)) {
    let before = at;
    while (json[before - 1] === "\\") before--;
    // Behind another backslash it is the text "\ud", which means nothing.
    if ((at - before) % 2) continue;
    whole += `${native.slice(json, from, at)}\\ufffd`;
    from = at + LENGTH;
  }
  return from ? whole + native.slice(json, from, json.length) : json;
}
