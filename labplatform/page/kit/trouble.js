/* A page that misbehaves on demand: a button for each place in which it can, with a figure, and the second hand that
   shows whether the page is alive. In the page's renderer, on its main thread. */
import { secondHand } from "./clock.js";
import { byId, make, put } from "./dom.js";

const BEAT = 200; // ms between two moves of the second hand

/**
 * The Python side of this very page: returns the function that tells it something, once it listens. `hear(context)` gets
 * what it says of itself. The two meet on an app channel that is named after the page and its incarnation.
 */
export async function pythonSide(hear = () => {}) {
  const lab = window.lab;
  if (!lab) return () => Promise.reject(new Error("labplatform did not open this page, so it has no Python side"));
  const channel = await lab.channel(`${lab.appId}.${lab.instanceId}.${lab.incarnation}`);
  let listens;
  const listening = new Promise((resolve) => (listens = resolve));
  await channel.addContextListener("labplatform.side", (context) => {
    listens();
    hear(context);
  });
  if (await channel.getCurrentContext("labplatform.side")) listens();
  return async (context) => {
    await listening;
    await channel.broadcast(context);
  };
}

/**
 * Show `places` (each `where`, `title`, `about`) as buttons that call `act(where)`; `figure(where)`, `busy(where)` and
 * `foot()` say how it stands. Returns the function that shows it anew.
 */
export function start(places, { act, figure, busy, foot }) {
  const lab = window.lab;
  const turn = secondHand(document.querySelector(".clock"));
  const rows = places.map(({ where, title, about }) => {
    const value = make("output");
    const button = make("button", { type: "button" }, make("b", { textContent: title }), value);
    button.append(make("small", { textContent: about }));
    button.dataset.where = where;
    button.addEventListener("click", () => act(where));
    byId("places").append(button);
    return () => {
      put(value, figure(where));
      button.ariaPressed = String(busy(where));
    };
  });
  const show = () => {
    for (const row of rows) row();
    put(byId("pace"), foot());
  };
  put(byId("where"), lab ? `PID ${lab.pid} · ${lab.placement}` : "no platform");
  show();
  turn();
  setInterval(turn, BEAT);
  return show;
}
