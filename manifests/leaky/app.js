/* leaky: keeps what it allocates, and writes to all of it, for memory that nobody has touched costs nothing. In the
   page's renderer; its Python side keeps the rest, and the helper process that it starts. */
import { pythonSide, start } from "./_lab/trouble.js";

const EVERY = 100; // ms
const STEP = 4_000_000; // bytes
const MB = 1e6;

const kept = [];
const size = { page: 0, python: 0, helper: 0 };
const until = { page: 0 };
let timer = 0;

function grow() {
  timer = 0;
  if (size.page >= until.page) return;
  kept.push(new Uint8Array(STEP).fill(kept.length + 1));
  size.page += STEP;
  show();
  timer = setTimeout(grow, EVERY);
}

/** Keep so many bytes more in the page, in Python or in a helper process; 0 is for ever. Some 40 MB each second. */
globalThis.leak = async (where, bytes = 0) => {
  if (!(where in size)) throw new RangeError(`leaky leaks in ${Object.keys(size).join(", ")}; not in ${where}`);
  if (where !== "page") return (await side)({ type: "labplatform.leak", where, bytes });
  until.page = bytes ? size.page + bytes : Infinity;
  if (!timer) grow();
};

const mb = (bytes) => `${Math.round(bytes / MB)} MB`;
const total = () => size.page + size.python + size.helper;
const show = start(
  [
    { where: "page", title: "In the page", about: "JavaScript, in its renderer process" },
    { where: "python", title: "In Python", about: "its Python side, in its host process" },
    { where: "helper", title: "In a helper", about: "a process that its Python side starts" },
  ],
  {
    act: (where) => leak(where),
    figure: (where) => mb(size[where]),
    busy: (where) => size[where] > 0,
    foot: () => `${mb(total())} kept`,
  },
);

const side = pythonSide(({ kept }) => {
  Object.assign(size, kept);
  show();
});
