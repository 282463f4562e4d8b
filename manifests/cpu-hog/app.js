/* cpu-hog: computes without end. In the page's renderer: on the page's own thread it does nothing else for most of each
   second, a worker is a thread beside that; its Python side is a thread of the host process. */
import { pythonSide, start } from "./_lab/trouble.js";

const EVERY = 1000; // ms
const HOLD = 700; // ms of them in which the page's thread does nothing else
const LOOP = "for (;;) {}";

const spinning = { page: false, worker: false, python: false };
let worker = null;

function hold() {
  if (!spinning.page) return;
  const end = performance.now() + HOLD;
  while (performance.now() < end);
  setTimeout(hold, EVERY - HOLD);
}

/** Compute on the page's thread, in a worker or in Python, until `rest(where)`. */
globalThis.spin = async (where) => {
  if (!(where in spinning)) throw new RangeError(`cpu-hog spins in ${Object.keys(spinning).join(", ")}; not in ${where}`);
  if (spinning[where]) return;
  spinning[where] = true;
  show();
  if (where === "page") setTimeout(hold, EVERY - HOLD);
  if (where === "worker") worker = new Worker(URL.createObjectURL(new Blob([LOOP])));
  if (where === "python") await (await side)({ type: "labplatform.spin", on: true });
};

globalThis.rest = async (where) => {
  if (!spinning[where]) return;
  spinning[where] = false;
  show();
  if (where === "worker") worker.terminate();
  if (where === "python") await (await side)({ type: "labplatform.spin", on: false });
};

const busy = (where) => spinning[where];
const show = start(
  [
    { where: "page", title: "On the page's thread", about: `${HOLD / 10} % of each second, in one piece` },
    { where: "worker", title: "In a worker", about: "a thread beside the page's" },
    { where: "python", title: "In Python", about: "a thread of its host process" },
  ],
  {
    act: (where) => (busy(where) ? rest(where) : spin(where)),
    figure: (where) => (busy(where) ? "computing" : ""),
    busy,
    foot: () => "takes what CPU it gets",
  },
);

const side = pythonSide();
