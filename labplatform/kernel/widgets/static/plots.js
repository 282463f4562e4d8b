// The page side of Plots: keeps the samples that come, has Bokeh draw them on one canvas, and puts names, values and
// labels beside and above it. One unit of the figure's vertical axis is a pixel, so a row is where this file puts it.

const LAGS = [1, 4, 16, 50, 100]; // milliseconds from which on a lag has its next colour; from the last on it is harm's
const KEPT = 600; // seconds of samples
const CELL = 8; // pixels of a cell of a lag strip, at least
const LEAST_SPAN = 5; // seconds: no zoom goes further
const NARROW = 720; // pixels of room under which names stand above their rows
const EDGE = 1; // pixel of the figure at its left and its top that stays free
const LANES = 2; // lines of labels above the rows
const CLOSE = 6; // pixels from a mark within which its reason is told
const SAVE_AFTER = 250; // milliseconds that a zoom rests until the kernel is told
const HINT = 2500; // milliseconds
const FIGURES = ["memory", "heap", "cpu", "lag", "incarnation"];
const PROCESS_FIGURES = ["memory", "cpu"];
const CPU_SCALES = [25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800];
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300];
const WINDOWS = [
  [60, "1 min"],
  [300, "5 min"],
  [600, "10 min"],
];
const MARK_ICONS = {
  end: STATES.crashed[1],
  loss: STATES.crashed[1],
  stall: STATES.unresponsive[1],
  recycle: ICONS.recycle,
  restart: STATES["backing-off"][1],
  stop: STATES.stopped[1],
};
const HARMFUL = new Set(["end", "loss", "stall"]);

// --- samples ---------------------------------------------------------------------------------------------------------

function joined(one, other) {
  const both = new one.constructor(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

// The samples of all lines over one row of ticks, as they come from the kernel (`recorded.py` tells of the form).
class Samples {
  constructor() {
    this.number = 0; // of the last message that was whole, or followed on the one before; 0: the whole is wanted
    this.ticks = new Float64Array(0);
    this.lines = [];
  }

  // Whether a message could be taken; if not, something before it was lost.
  take(word, view) {
    if (word.since !== 0 && word.since !== this.number) {
      this.number = 0;
      return false;
    }
    const data = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    const ticks = new Float64Array(data, 0, word.count);
    if (word.since === 0) {
      this.ticks = new Float64Array(0);
      this.lines = word.lines.map(([app, pid, role, slot]) => ({ app, pid, role, slot, figures: {} }));
    }
    let at = 8 * word.count;
    for (const line of this.lines) {
      for (const name of line.pid === undefined ? FIGURES : PROCESS_FIGURES) {
        const values = new Float32Array(data, at, word.count);
        line.figures[name] = this.ticks.length ? joined(line.figures[name], values) : values;
        at += 4 * word.count;
      }
    }
    this.ticks = joined(this.ticks, ticks);
    this.number = word.plots;
    this.trim();
    return true;
  }

  trim() {
    const oldest = this.last - KEPT;
    if (!(this.ticks[50] < oldest)) return;
    const first = this.after(oldest);
    this.ticks = this.ticks.slice(first);
    for (const { figures } of this.lines) {
      for (const [name, values] of Object.entries(figures)) figures[name] = values.slice(first);
    }
  }

  get last() {
    return this.ticks.length ? this.ticks[this.ticks.length - 1] : 0;
  }

  // Seconds from tick to tick.
  get period() {
    const gaps = [];
    for (let tick = Math.max(1, this.ticks.length - 15); tick < this.ticks.length; tick++) {
      gaps.push(this.ticks[tick] - this.ticks[tick - 1]);
    }
    return gaps.length ? gaps.sort((a, b) => a - b)[gaps.length >> 1] : 1;
  }

  // The index of the first tick after this moment.
  after(moment) {
    let [low, high] = [0, this.ticks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ticks[middle] > moment) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

// Where a line is one: pairs of its first and last index between two ticks. Nothing joins it over an end.
function runs({ figures }, first, last) {
  const found = [];
  const { memory, incarnation } = figures;
  let start = -1;
  for (let tick = first; tick <= last; tick++) {
    const there = !Number.isNaN(memory[tick]);
    const other = start >= 0 && incarnation && incarnation[tick] !== incarnation[tick - 1];
    if (start >= 0 && (!there || other)) {
      found.push([start, tick - 1]);
      start = -1;
    }
    if (there && start < 0) start = tick;
  }
  if (start >= 0) found.push([start, last]);
  return found;
}

// A run as coordinates: of more points than pixels, the largest and the smallest of each pixel.
function curve(ticks, values, [first, last], place, pixels, period) {
  const [xs, ys] = [[], []];
  const put = (tick) => {
    xs.push(ticks[tick]);
    ys.push(place(values[tick]));
  };
  if (first === last) {
    xs.push(ticks[first] - 0.6 * period);
    ys.push(place(values[first]));
  }
  const stride = Math.ceil((last - first + 1) / Math.max(1, pixels));
  if (stride < 3) {
    for (let tick = first; tick <= last; tick++) put(tick);
    return [xs, ys];
  }
  for (let start = first; start <= last; start += stride) {
    let [low, high] = [start, start];
    for (let tick = start; tick < start + stride && tick <= last; tick++) {
      if (values[tick] < values[low]) low = tick;
      if (values[tick] > values[high]) high = tick;
    }
    put(Math.min(low, high));
    if (low !== high) put(Math.max(low, high));
  }
  return [xs, ys];
}

function most(values, first, last) {
  let found = NaN;
  for (let tick = first; tick <= last; tick++) if (!(values[tick] <= found) && !Number.isNaN(values[tick])) found = values[tick];
  return found;
}

function mean(values, first, last) {
  let [sum, count] = [0, 0];
  for (let tick = first; tick <= last; tick++) {
    if (Number.isNaN(values[tick])) continue;
    sum += values[tick];
    count += 1;
  }
  return count ? sum / count : NaN;
}

// The next round figure that is not below this one, or of several steps the largest that is not above.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((one) => one >= value * 0.999);
}
function roundDown(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [5, 2, 1].map((step) => step * power).find((one) => one <= value) ?? power / 2;
}

const orDash = (format) => (value) => (Number.isNaN(value) || value === undefined ? "–" : format(value));
const sizeOf = orDash(size);
const percentOf = orDash(percent);
const lagOf = orDash(milliseconds);

// --- the widget ------------------------------------------------------------------------------------------------------

function render({ model, el }) {
  const samples = new Samples();
  let facts = { platform: "", apps: [] };
  let told = { marks: [], spans: {}, words: [] };
  let plot = null; // Bokeh's view, document and end
  let embedding = false;
  let colours = null;
  let rows = []; // of apps and processes, from the top
  let height = 0;
  let narrow = false;
  let width = 0; // pixels of the figure
  let hair = null; // the tick that somebody points at, by index
  let heard = 0; // marks known to who listens
  let frame = 0;
  const put = new Map(); // what each source holds, for those that seldom change
  const nodes = new Map(); // a row's elements

  const shared = part({
    model,
    el,
    kind: "plots",
    name: "Memory, CPU and lag of the apps, live",
    draw: (now) => {
      facts = now;
      schedule();
    },
    more: () => ({ have: samples.number }),
  });
  const { box, live } = shared;

  // --- the frame

  const bar = make("div", "plots-bar", box);
  const title = make("span", "label labplatform-plots-title", bar);
  title.textContent = "Memory, CPU and lag";
  const resetButton = button(bar, { words: "Reset zoom", press: () => setZoom([]) });
  const options = WINDOWS.some(([one]) => one === model.get("seconds"))
    ? WINDOWS
    : [[model.get("seconds"), `${Math.round(model.get("seconds"))} s`], ...WINDOWS];
  const windows = segmented(bar, "How much time is shown", options, model.get("seconds"), (value) => {
    model.set("zoom", []);
    tell("seconds", value);
  });
  const pauseButton = button(bar, { words: "Pause", kind: "quiet labplatform-plots-pause", press: pause });
  const tableButton = button(bar, { words: "As table", kind: "quiet", press: () => tell("table", !model.get("table")) });

  const stage = make("div", "plots-stage", box);
  const lane = make("div", "plots-lane", stage);
  const names = make("div", "plots-names", stage);
  const field = make("div", "plots-field", stage);
  const canvas = make("div", "plots-canvas", field);
  const cover = keepKeys(make("div", "plots-cover", field));
  cover.tabIndex = 0;
  cover.setAttribute("role", "group");
  cover.setAttribute(
    "aria-label",
    "Plot. Left and right arrows read it, page up and page down go from event to event, plus and minus zoom, 0 resets",
  );
  const line = make("div", "plots-hair", field);
  const reason = make("div", "plots-reason", field);
  const values = make("div", "plots-values", stage);
  const axis = make("div", "plots-axis", stage);
  const legend = make("div", "plots-legend", stage);
  drawLegend();
  line.hidden = reason.hidden = true;
  const empty = make("p", "plots-empty", box);
  const tables = make("div", "plots-tables", box);
  const say = make("p", "plots-say", box);
  for (const node of [names, values, axis, lane, legend]) node.setAttribute("aria-hidden", "true");
  names.removeAttribute("aria-hidden"); // its buttons open rows

  function drawLegend() {
    const strip = make("div", "plots-scale", legend);
    ["<1", ...LAGS].forEach((words, level) => {
      const one = make("span", `plots-step labplatform-lag-${level}`, strip);
      one.textContent = words;
    });
    make("div", "plots-scale-words", legend).textContent = "lag in ms, hollow: silent";
  }

  // --- what a person wants

  function tell(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  function pause() {
    tell("paused", model.get("paused") ? 0 : samples.last);
  }

  let saving = 0;
  function setZoom(zoom) {
    model.set("zoom", zoom);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), SAVE_AFTER);
    schedule();
  }

  const isLive = () => !model.get("paused") && model.get("zoom").length !== 2;
  function range() {
    const zoom = model.get("zoom");
    if (zoom.length === 2 && zoom[1] > samples.ticks[0]) return zoom;
    const end = model.get("paused") || samples.last;
    return [end - model.get("seconds"), end];
  }

  // The range, moved and stretched by a person: within what there is.
  function go(start, end) {
    const [oldest, newest] = [Math.min(samples.ticks[0], samples.last - model.get("seconds")), samples.last];
    const span = Math.min(Math.max(end - start, LEAST_SPAN), newest - oldest);
    const from = Math.min(Math.max(start, oldest), newest - span);
    const all = span >= model.get("seconds") * 0.98 && newest - (from + span) < samples.period * 2;
    setZoom(all ? [] : [from, from + span]);
  }
  function zoom(factor, part = 0.5) {
    const [start, end] = range();
    const span = Math.max((end - start) * factor, LEAST_SPAN);
    const middle = start + (end - start) * part;
    go(middle - span * part, middle + span * (1 - part));
  }

  // --- by mouse, by finger and by keys

  const partOf = (event) => {
    const place = cover.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - place.left) / place.width));
  };
  let drag = null;
  let hint = 0;
  cover.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200))), partOf(event));
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        const [start, end] = range();
        const by = ((end - start) * event.deltaX) / Math.max(1, width);
        go(start + by, end + by);
      } else {
        // The wheel alone scrolls the notebook, as everywhere.
        axis.dataset.hint = "Ctrl and the wheel zoom, dragging moves";
        clearTimeout(hint);
        hint = setTimeout(() => delete axis.dataset.hint, HINT);
      }
    },
    { passive: false },
  );
  cover.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, range: range(), moved: false };
    cover.setPointerCapture(event.pointerId);
  });
  cover.addEventListener("pointermove", (event) => {
    if (drag && (drag.moved || Math.abs(event.clientX - drag.x) > 4)) {
      drag.moved = true;
      cover.classList.add("labplatform-plots-dragged");
      const [start, end] = drag.range;
      const by = ((drag.x - event.clientX) / Math.max(1, width)) * (end - start);
      go(start + by, end + by);
      return;
    }
    const [start, end] = range();
    point(nearest(start + (end - start) * partOf(event)), false);
  });
  const drop = () => {
    drag = null;
    cover.classList.remove("labplatform-plots-dragged");
  };
  cover.addEventListener("pointerup", drop);
  cover.addEventListener("pointercancel", drop);
  cover.addEventListener("pointerleave", () => !drag && document.activeElement !== cover && point(null));
  cover.addEventListener("blur", () => point(null));
  cover.addEventListener("dblclick", () => setZoom([]));
  cover.addEventListener("keydown", (event) => {
    const [start, end] = range();
    const last = Math.max(0, samples.after(end) - 1);
    const by = event.shiftKey ? 10 : 1;
    const keys = {
      ArrowLeft: () => point(Math.max(samples.after(start - 1e-3), (hair ?? last + 1) - by), true),
      ArrowRight: () => point(Math.min(last, (hair ?? last) + by), true),
      Home: () => point(samples.after(start - 1e-3), true),
      End: () => point(last, true),
      PageUp: () => jump(-1),
      PageDown: () => jump(1),
      "+": () => zoom(0.5, hair === null ? 1 : (samples.ticks[hair] - start) / (end - start)),
      "-": () => zoom(2, hair === null ? 1 : (samples.ticks[hair] - start) / (end - start)),
      0: () => setZoom([]),
      Escape: () => point(null),
    };
    const key = keys[event.key === "=" ? "+" : event.key];
    if (!key || event.ctrlKey || event.metaKey || event.altKey || !samples.ticks.length) return;
    event.preventDefault();
    event.stopPropagation();
    key();
  });

  function nearest(moment) {
    if (!samples.ticks.length) return null;
    const next = Math.min(samples.after(moment), samples.ticks.length - 1);
    const before = Math.max(0, next - 1);
    return moment - samples.ticks[before] < samples.ticks[next] - moment ? before : next;
  }

  function jump(direction) {
    const [start, end] = range();
    const now = hair === null ? end + 1 : samples.ticks[hair];
    const there = told.marks.filter(({ at }) => at >= start && at <= end);
    const slack = samples.period * 0.6;
    const next =
      direction < 0 ? there.filter(({ at }) => at < now - slack).pop() : there.find(({ at }) => at > now + slack);
    if (next) point(nearest(next.at), true);
  }

  // Reads the plot at a tick; aloud where somebody goes there by keys.
  function point(tick, aloud = false) {
    hair = tick;
    showHair();
    showValues();
    if (!aloud || tick === null) return;
    const mark = markAt(samples.ticks[tick]);
    live.textContent = mark
      ? `${clockTime(mark.at)} ${mark.words}. ${mark.reason}`
      : `${clockTime(samples.ticks[tick])}: ${rows
          .filter((row) => row.line && row.role === undefined)
          .slice(0, 4)
          .map(({ app, line: { figures } }) => `${app} ${sizeOf(figures.memory[tick])}, ${lagOf(figures.lag[tick])}`)
          .join("; ")}`;
  }

  const toPixels = (moment) => {
    const [start, end] = range();
    return ((moment - start) / (end - start)) * width;
  };
  function markAt(moment) {
    const [start, end] = range();
    const near = (CLOSE / Math.max(1, width)) * (end - start);
    const reach = Math.max(near, samples.period * 0.6);
    return told.marks
      .filter(({ at }) => Math.abs(at - moment) <= reach)
      .sort((a, b) => Math.abs(a.at - moment) - Math.abs(b.at - moment))[0];
  }

  function showHair() {
    const shown = hair !== null && samples.ticks[hair] >= range()[0] - 1e-3 && samples.ticks[hair] <= range()[1] + 1e-3;
    line.hidden = !shown;
    const mark = shown ? markAt(samples.ticks[hair]) : null;
    reason.hidden = !mark;
    if (!shown) return;
    const x = toPixels(samples.ticks[hair]);
    line.style.transform = `translateX(${x}px)`;
    line.dataset.time = clockTime(samples.ticks[hair]);
    if (!mark) return;
    reason.replaceChildren();
    make("b", "plots-reason-words", reason).textContent = mark.words;
    make("span", "plots-reason-more", reason).textContent = `${clockTime(mark.at)}${mark.reason ? ` · ${mark.reason}` : ""}`;
    const left = toPixels(mark.at) + 8;
    const room = left + Math.min(reason.offsetWidth, 320) <= width;
    reason.style.left = room ? `${left}px` : "auto";
    reason.style.right = room ? "auto" : `${Math.max(0, width - left + 16)}px`;
  }

  // --- rows

  // Puts the rows below one another: where each figure of each app has its top and its foot, in pixels.
  function layOut() {
    const opened = new Set(model.get("opened"));
    const looks = model.get("looks");
    const above = narrow ? 26 : 0;
    const slots = new Map();
    for (const one of samples.lines) {
      if (one.pid === undefined) continue;
      const key = `${one.role} ${one.slot}`;
      const own = slots.get(one.app) ?? slots.set(one.app, new Map()).get(one.app);
      own.set(key, [...(own.get(key) ?? []), one]);
    }
    rows = [];
    let top = 0;
    for (const fact of facts.apps) {
      const look = looks[fact.name] ?? { name: fact.name, title: fact.name };
      const first = top + above;
      rows.push({
        key: fact.name,
        app: fact.name,
        fact,
        look,
        line: samples.lines.find((one) => one.app === fact.name && one.pid === undefined),
        top,
        memory: [first + 10, first + 58],
        cpu: [first + 65, first + 87],
        lag: [first + 93, first + 102],
        end: first + 113,
      });
      top = first + 113;
      if (!opened.has(fact.name)) continue;
      for (const [key, own] of slots.get(fact.name) ?? []) {
        const begin = narrow ? top + 18 : top;
        rows.push({
          key: `${fact.name}/${key}`,
          app: fact.name,
          role: own[0].role,
          lines: own,
          look,
          top,
          memory: [begin + 5, begin + 23],
          cpu: [begin + 27, begin + 37],
          end: begin + 42,
        });
        top = begin + 42;
      }
      rows[rows.length - 1].end += 4;
      top += 4;
    }
    height = Math.max(top, 1);
  }

  // The elements of a row, made once.
  function nodesOf(row) {
    const known = nodes.get(row.key);
    if (known) return known;
    const own = {};
    own.name = paint(make("div", `plots-name${row.role ? " labplatform-plots-process" : ""}`, names), row.look);
    own.values = paint(make("div", "plots-value", values), row.look);
    if (row.role) {
      own.words = make("span", "plots-role", own.name);
      own.memory = make("span", "plots-figure", own.values);
      own.cpu = make("span", "plots-figure", own.values);
    } else {
      const head = make("div", "plots-head", own.name);
      chip(head, row.look);
      const name = make("span", "name", head);
      name.textContent = row.app;
      name.title = row.app;
      own.open = button(own.name, { icon: ICONS.open, kind: "quiet labplatform-plots-open", press: () => open(row.app) });
      own.pid = make("span", "plots-pid", own.open);
      own.state = stateOf(own.name, "running");
      own.state.node.classList.add("labplatform-plots-state");
      const figure = (words, kind) => {
        const node = make("div", `plots-figure labplatform-plots-${kind}`, own.values);
        make("span", "plots-what", node).textContent = words;
        return make("span", "plots-number", node);
      };
      own.memory = figure("memory", "memory");
      own.heap = figure("JS heap", "heap");
      own.cpu = figure("CPU", "cpu");
      own.lag = figure("lag", "lag");
      own.ticks = ["memory", "cpu"].map((kind) => make("span", `plots-tick labplatform-plots-tick-${kind}`, names));
      own.limits = ["memory", "cpu"].map(() => make("span", "plots-limit", field));
    }
    nodes.set(row.key, own);
    return own;
  }

  function forget(key) {
    const own = nodes.get(key);
    own.name.remove();
    own.values.remove();
    for (const node of [...(own.ticks ?? []), ...(own.limits ?? [])]) node.remove();
    nodes.delete(key);
  }

  function open(app) {
    const opened = model.get("opened");
    tell("opened", opened.includes(app) ? opened.filter((one) => one !== app) : [...opened, app]);
  }

  function text(node, words) {
    if (node.textContent !== words) node.textContent = words;
  }

  function showNames() {
    const there = new Set(rows.map(({ key }) => key));
    for (const key of [...nodes.keys()]) if (!there.has(key)) forget(key);
    const opened = new Set(model.get("opened"));
    for (const row of rows) {
      const own = nodesOf(row);
      own.name.style.top = `${row.top}px`;
      own.values.style.top = `${row.top}px`;
      own.values.style.height = `${row.end - row.top}px`;
      for (const kind of ["memory", "cpu", "lag"]) {
        if (own[kind] && !row.role) own[kind].parentNode.style.top = `${row[kind][kind === "memory" ? 0 : 1] - row.top}px`;
      }
      if (row.role) {
        const [newest] = row.lines.slice(-1);
        text(own.words, `${row.role} ${newest.pid}`);
        own.memory.style.top = `${row.memory[1] - row.top}px`;
        own.cpu.style.top = `${row.cpu[1] - row.top}px`;
        continue;
      }
      own.heap.parentNode.style.top = `${row.memory[0] - row.top + 20}px`;
      const { fact } = row;
      const processes = fact.processes === 1 ? "1 process" : `${fact.processes} processes`;
      const words = fact.pid === null ? "no process" : `PID ${fact.pid}`;
      text(own.pid, fact.shared.length ? `${words}, shared by ${fact.shared.length + 1}` : words);
      own.open.setAttribute("aria-expanded", String(opened.has(row.app)));
      own.open.setAttribute("aria-label", `${words} of ${row.app}: ${processes}, each in a row of its own`);
      own.open.title = `${processes}, each in a row of its own`;
      own.state.set(fact.state);
      own.state.node.hidden = fact.state === "running";
    }
  }

  function showValues() {
    const at = hair ?? (model.get("paused") ? samples.after(model.get("paused")) - 1 : samples.ticks.length - 1);
    for (const row of rows) {
      const own = nodes.get(row.key);
      if (!own) continue;
      if (row.role) {
        const there = row.lines.find(({ figures }) => !Number.isNaN(figures.memory[at])) ?? { figures: { memory: [], cpu: [] } };
        text(own.memory, sizeOf(there.figures.memory[at]));
        text(own.cpu, percentOf(there.figures.cpu[at]));
        continue;
      }
      const { memory = [], heap = [], cpu = [], lag = [] } = row.line?.figures ?? {};
      text(own.memory, sizeOf(memory[at]));
      text(own.heap, sizeOf(heap[at]));
      own.heap.parentNode.hidden = heap[at] === undefined || Number.isNaN(heap[at]);
      text(own.cpu, percentOf(cpu[at]));
      text(own.lag, lagOf(lag[at]));
      own.lag.classList.toggle("labplatform-harmed", lag[at] * 1000 >= LAGS[LAGS.length - 1]);
    }
  }

  // --- the figure

  function readColours() {
    const style = getComputedStyle(box);
    const of = (name) => style.getPropertyValue(name).trim();
    colours = {
      harm: of("--lv-harm"),
      line: of("--lv-line"),
      strong: of("--lv-line-strong"),
      second: of("--lv-ink-3"),
      ink: of("--lv-ink-2"),
      lags: [0, 1, 2, 3, 4, 5].map((level) => of(`--lag-${level}`)),
      app: (look) => {
        const shades = look.shades?.line ?? {};
        return shades[theme] ?? of("--lv-line-strong");
      },
    };
  }

  function give(name, data, keep = false) {
    if (keep) {
      const now = JSON.stringify(data);
      if (put.get(name) === now) return;
      put.set(name, now);
    }
    plot.document.get_model_by_name(name).data = data;
  }

  function drawFigure() {
    const [start, end] = range();
    const figure = plot.view.model;
    if (figure.y_range.start !== height) {
      figure.height = height + EDGE;
      figure.y_range.start = height;
    }
    figure.x_range.setv({ start, end });
    const { ticks, period } = samples;
    const first = Math.max(0, samples.after(start) - 1);
    const last = Math.min(ticks.length - 1, samples.after(end));
    const sources = {};
    for (const name of ["areas", "cpu", "heap", "memory"]) sources[name] = { xs: [], ys: [], color: [] };
    const cells = { left: [], right: [], top: [], bottom: [], color: [] };
    const hollow = { left: [], right: [], top: [], bottom: [], color: [], fill: [] };
    const grid = { y: [], color: [] };
    const limits = { y: [], color: [] };
    const add = (name, [xs, ys], color) => {
      sources[name].xs.push(xs);
      sources[name].ys.push(ys);
      sources[name].color.push(color);
    };
    const busiest = rows.reduce((found, row) => {
      const own = row.role ? NaN : most(row.line?.figures.cpu ?? [], first, last);
      return own > found ? own : found;
    }, 0);
    const cpuScale = CPU_SCALES.find((one) => one >= busiest) ?? busiest;
    const columns = cellsOf(start, end, first, last);
    let scale = 1;
    for (const row of rows) {
      const color = colours.app(row.look);
      const level = ([top, foot], part) => foot - (foot - top) * Math.max(0, Math.min(1.04, part));
      if (!row.role) scale = scaleRow(row, first, last, cpuScale, grid, limits, level);
      else grid.y.push(row.memory[1] + 0.5) && grid.color.push(colours.line);
      for (const one of row.role ? row.lines : row.line ? [row.line] : []) {
        for (const run of runs(one, first, last)) {
          const { memory, heap, cpu } = one.figures;
          add("memory", curve(ticks, memory, run, (value) => level(row.memory, value / scale), width, period), color);
          if (heap && !Number.isNaN(heap[run[1]])) {
            const known = runs({ figures: { memory: heap } }, run[0], run[1]);
            for (const part of known) {
              add("heap", curve(ticks, heap, part, (value) => level(row.memory, value / scale), width, period), color);
            }
          }
          const load = curve(ticks, cpu, run, (value) => level(row.cpu, value / cpuScale), width, period);
          add("cpu", load, color);
          const [xs, ys] = load;
          add("areas", [[...xs, xs[xs.length - 1], xs[0]], [...ys, row.cpu[1], row.cpu[1]]], color);
        }
      }
      if (row.lag) strip(row, columns, cells, hollow);
      grid.y.push(row.end - 0.5);
      grid.color.push(row.role || rows[rows.indexOf(row) + 1]?.role ? "transparent" : colours.line);
    }
    for (const [name, data] of Object.entries(sources)) give(name, data);
    give("cells", cells);
    give("hollow", hollow);
    give("grid", grid, true);
    give("limits", limits, true);
    const marks = told.marks.filter(({ at }) => at >= start && at <= end);
    const harmful = marks.map(({ kind }) => HARMFUL.has(kind));
    const data = {
      x: marks.map(({ at }) => at),
      color: harmful.map((harm) => (harm ? colours.harm : colours.second)),
      width: harmful.map((harm) => (harm ? 1.5 : 1.2)),
    };
    give("marks", data, true);
    showMarks(marks);
  }

  // How many bytes the height of an app's memory is, from zero; with its grid, its limits and their words.
  function scaleRow(row, first, last, cpuScale, grid, limits, level) {
    const own = nodesOf(row);
    const [memoryTick, cpuTick] = own.ticks;
    const [memoryLimit, cpuLimit] = own.limits;
    const figures = row.line?.figures ?? { memory: [], cpu: [] };
    const peak = most(figures.memory, first, last) || 1e6;
    const { memory: limit, cpu } = row.fact;
    const near = limit !== null && peak >= 0.4 * limit;
    const scale = near ? Math.max(limit, peak) * 1.05 : 1e6 * roundUp((peak * 1.12) / 1e6);
    const rule = 1e6 * roundDown((scale / 1e6) * (near ? 0.7 : 0.9));
    for (const y of [row.memory[1], level(row.memory, rule / scale), row.cpu[1]]) {
      grid.y.push(Math.round(y) + 0.5);
      grid.color.push(colours.line);
    }
    text(memoryTick, size(rule));
    memoryTick.style.top = `${level(row.memory, rule / scale)}px`;
    text(cpuTick, `${cpuScale} %`);
    cpuTick.style.top = `${row.cpu[0] + 3}px`;
    const dashed = (node, shown, y, words) => {
      node.hidden = !shown;
      if (!shown) return;
      limits.y.push(Math.round(y) + 0.5);
      limits.color.push(colours.ink);
      text(node, words);
      node.style.top = `${y}px`;
    };
    dashed(memoryLimit, near, level(row.memory, limit / scale), `limit ${size(limit)}`);
    const held = cpu !== null && cpu <= cpuScale && most(figures.cpu, first, last) >= 0.4 * cpu;
    dashed(cpuLimit, held, level(row.cpu, cpu / cpuScale), `limit ${cpu} %`);
    return scale;
  }

  // The cells that all strips share: ticks, several to a cell where they are close; and where there were no ticks at
  // all, as many as there should have been.
  function cellsOf(start, end, first, last) {
    const { ticks, period } = samples;
    const together = Math.max(1, Math.ceil((CELL / Math.max(1, width)) * ((end - start) / period)));
    const wide = together * period;
    const found = [];
    const put = (from, to, tick) => {
      const group = together === 1 ? null : Math.floor(to / wide + 1e-6);
      const before = found[found.length - 1];
      if (before && group !== null && before.group === group) {
        before.to = to;
        if (tick !== null) before.ticks.push(tick);
      } else {
        found.push({ from, to, group, ticks: tick === null ? [] : [tick] });
      }
    };
    for (let tick = first; tick <= last; tick++) {
      const before = tick ? ticks[tick - 1] : ticks[tick] - period;
      const gap = ticks[tick] - before;
      if (gap > 3 * period) {
        for (let at = before; at < ticks[tick] - 1.5 * period; at += period) put(at, at + period, null);
        put(ticks[tick] - period, ticks[tick], tick);
      } else {
        put(before, ticks[tick], tick);
      }
    }
    return found;
  }

  function strip(row, columns, cells, hollow) {
    const { memory = [], lag = [] } = row.line?.figures ?? {};
    const spans = told.spans[row.app] ?? [];
    const space = ((range()[1] - range()[0]) / Math.max(1, width)) * 1;
    const [top, bottom] = row.lag;
    for (const { from, to, ticks } of columns) {
      let worst = NaN;
      let silent = ticks.length === 0;
      let there = false;
      for (const tick of ticks) {
        if (!Number.isNaN(lag[tick])) worst = Number.isNaN(worst) || lag[tick] > worst ? lag[tick] : worst;
        else silent = true;
        there ||= !Number.isNaN(memory[tick]);
      }
      const away = spans.find(([since, until]) => since < to && (until === null || until > from));
      const known = !Number.isNaN(worst);
      if (known) {
        const level = LAGS.filter((least) => worst * 1000 >= least).length;
        cells.left.push(from);
        cells.right.push(to - space);
        cells.top.push(top);
        cells.bottom.push(bottom);
        cells.color.push(colours.lags[level]);
      }
      const struck = away?.[2] === "down";
      if ((known && !(silent && struck)) || away?.[2] === "off") continue;
      if (!known && !struck && !there && !away) continue;
      hollow.left.push(from + space * 0.5);
      hollow.right.push(to - space * 1.5);
      hollow.top.push(top + 0.5);
      hollow.bottom.push(bottom - 0.5);
      hollow.color.push(struck ? colours.harm : colours.strong);
      hollow.fill.push("transparent");
    }
  }

  // --- above and below it

  const labels = new Map();
  function showMarks(marks) {
    const used = new Set();
    const lanes = Array.from({ length: LANES }, () => []);
    const free = (at, from, to) => lanes[at].every(([left, right]) => to < left || from > right);
    // What came last has the first choice of a place, faults before the rest.
    const order = [...marks].reverse().sort((a, b) => HARMFUL.has(b.kind) - HARMFUL.has(a.kind));
    for (const mark of order) {
      const key = `${mark.at} ${mark.kind} ${mark.apps[0]}`;
      used.add(key);
      let own = labels.get(key);
      if (!own) {
        const node = make("div", `plots-mark${HARMFUL.has(mark.kind) ? " labplatform-plots-harm" : ""}`, lane);
        node.innerHTML = MARK_ICONS[mark.kind];
        own = { node, words: make("span", "plots-mark-words", node), said: null, wide: 0 };
        labels.set(key, own);
      }
      if (own.said !== mark.words || !own.wide) {
        own.said = own.words.textContent = mark.words;
        own.node.hidden = false;
        own.node.className = own.node.className.replace(/ labplatform-plots-(bare|left)/g, "");
        own.wide = own.node.offsetWidth;
      }
      const x = toPixels(mark.at);
      const places = [];
      for (let at = LANES - 1; at >= 0; at--) {
        if (x + own.wide <= width + (narrow ? 90 : 120)) places.push([at, x - 8, x + own.wide, ""]);
        if (x - own.wide >= -150) places.push([at, x - own.wide, x + 8, "left"]);
      }
      for (let at = LANES - 1; at >= 0; at--) places.push([at, x - 8, x + 8, "bare"]);
      const place = places.find(([at, from, to]) => free(at, from, to));
      own.node.hidden = !place;
      if (!place) continue;
      const [at, from, to, kind] = place;
      lanes[at].push([from, to + 10]);
      own.node.classList.toggle("labplatform-plots-bare", kind === "bare");
      own.node.classList.toggle("labplatform-plots-left", kind === "left");
      own.node.style.top = `${at * 20}px`;
      own.node.style.setProperty("--down", `${(LANES - 1 - at) * 20}px`);
      own.node.style.transform = `translateX(${kind === "left" ? x - own.wide + 7 : x - 7}px)`;
    }
    for (const [key, own] of labels) {
      if (used.has(key)) continue;
      own.node.remove();
      labels.delete(key);
    }
  }

  function showAxis() {
    const [start, end] = range();
    const room = Math.max(2, Math.floor(width / 96));
    const step = STEPS.find((one) => (end - start) / one <= room) ?? 600;
    const found = [];
    if (isLive()) {
      for (let back = 0; back <= end - start + 0.01; back += step) {
        const words = step >= 60 ? `−${back / 60} min` : `−${back} s`;
        found.push([1 - back / (end - start), back ? words : "now"]);
      }
    } else {
      for (let at = Math.ceil(start / step) * step; at <= end; at += step) {
        found.push([(at - start) / (end - start), clockTime(at)]);
      }
    }
    while (axis.childElementCount > found.length) axis.lastChild.remove();
    while (axis.childElementCount < found.length) make("span", "plots-time", axis);
    found.forEach(([part, words], at) => {
      const node = axis.children[at];
      text(node, words);
      node.style.left = `${part * 100}%`;
      node.style.transform = `translateX(${part < 0.04 ? 0 : part > 0.96 ? -100 : -50}%)`;
    });
  }

  function showWords() {
    say.replaceChildren();
    const paused = model.get("paused");
    if (paused) make("b", "plots-strong", say).textContent = `Paused at ${clockTime(paused)}. `;
    for (const piece of told.words) {
      if (typeof piece === "string") say.append(piece);
      else if (piece.at !== undefined) say.append(clockTime(piece.at));
      else make("b", "plots-strong", say).textContent = piece.strong;
    }
    cover.setAttribute("aria-description", say.textContent);
  }

  // --- the same as tables

  function showTables() {
    const [start, end] = range();
    const first = samples.after(start - 1e-3);
    const last = samples.after(end + 1e-3) - 1;
    const head = ["App", "State", "Memory", "at most", "Limit", "JS heap", "CPU", "mean", "at most", "Lag", "at worst"];
    const body = [];
    for (const row of rows) {
      if (row.role) {
        const { figures } = row.lines[row.lines.length - 1];
        body.push([
          `${row.role} ${row.lines[row.lines.length - 1].pid}`,
          "",
          sizeOf(figures.memory[last]),
          sizeOf(Math.max(...row.lines.map((one) => most(one.figures.memory, first, last)).filter((one) => one >= 0))),
          ...["", "", percentOf(figures.cpu[last]), percentOf(mean(figures.cpu, first, last))],
          ...[percentOf(most(figures.cpu, first, last)), "", ""],
        ]);
        continue;
      }
      const { memory = [], heap = [], cpu = [], lag = [] } = row.line?.figures ?? {};
      body.push([
        row.app,
        (STATES[row.fact.state] ?? [row.fact.state])[0].toLowerCase(),
        sizeOf(memory[last]),
        sizeOf(most(memory, first, last)),
        row.fact.memory === null ? "none" : size(row.fact.memory),
        sizeOf(heap[last]),
        percentOf(cpu[last]),
        percentOf(mean(cpu, first, last)),
        percentOf(most(cpu, first, last)),
        lagOf(lag[last]),
        lagOf(most(lag, first, last)),
      ]);
    }
    const span = `from ${clockTime(start)} to ${clockTime(end)}`;
    fill(0, `What the apps used ${span}`, head, body, rows.map((row) => (row.role ? "process" : "")));
    const happened = told.marks.filter(({ at }) => at >= start && at <= end).reverse();
    const lines = happened.map((mark) => [clockTime(mark.at), mark.words, mark.reason]);
    fill(1, `What happened ${span}`, ["Time", "What", "Why"], lines.length ? lines : [["–", "nothing", ""]], []);
  }

  // A table whose cells change in place, so that whoever reads it stays where they are.
  function fill(number, words, head, body, kinds) {
    let own = tables.children[number];
    if (!own) {
      const room = make("div", "plots-scroll", tables);
      const table = make("table", `plots-table labplatform-plots-table-${number}`, room);
      make("caption", "plots-caption", table);
      const row = make("tr", "plots-row", make("thead", "plots-thead", table));
      for (const one of head) {
        const cell = make("th", "plots-th", row);
        cell.scope = "col";
        cell.textContent = one;
      }
      make("tbody", "plots-tbody", table);
      own = room;
    }
    text(own.querySelector("caption"), words);
    const into = own.querySelector("tbody");
    while (into.childElementCount > body.length) into.lastChild.remove();
    while (into.childElementCount < body.length) {
      const row = make("tr", "plots-row", into);
      head.forEach((_, at) => (make(at ? "td" : "th", at ? "plots-td" : "plots-th", row).scope = at ? "" : "row"));
    }
    body.forEach((cells, at) => {
      const row = into.children[at];
      row.classList.toggle("labplatform-plots-process", kinds[at] === "process");
      cells.forEach((words, column) => text(row.children[column], words));
    });
  }

  // --- when

  function schedule() {
    if (!frame) frame = requestAnimationFrame(drawAll);
  }

  function drawAll() {
    frame = 0;
    if (!box.isConnected) return;
    const asTable = model.get("table");
    resetButton.hidden = model.get("zoom").length !== 2;
    windows.set(model.get("seconds"));
    const paused = model.get("paused");
    pauseButton.innerHTML = paused ? ICONS.play : ICONS.pause;
    pauseButton.append(paused ? "Go on" : "Pause");
    tableButton.setAttribute("aria-pressed", String(asTable));
    stage.hidden = asTable || !facts.apps.length;
    tables.hidden = !asTable || !facts.apps.length;
    empty.hidden = facts.apps.length > 0;
    empty.textContent = facts.platform === "running" ? "No app has been launched yet." : `The platform is ${facts.platform}.`;
    showWords();
    measure();
    layOut();
    if (asTable) {
      showTables();
    } else if (facts.apps.length) {
      names.style.height = values.style.height = field.style.height = `${height}px`;
      if (!plot) return embedPlot();
      if (!width) return;
      showNames();
      drawFigure();
      showAxis();
      showValues();
      showHair();
    }
    box.dataset.tick = String(paused || samples.last); // of what is drawn, not of what has come
  }

  function measure() {
    const now = box.clientWidth > 0 && box.clientWidth < NARROW;
    if (now !== narrow) {
      narrow = now;
      box.classList.toggle("labplatform-plots-narrow", narrow);
    }
    width = field.clientWidth;
  }

  async function embedPlot() {
    if (embedding || !field.clientWidth) return;
    embedding = true;
    try {
      const made = await embed(model, model.get("item"), canvas);
      if (ended) return made.end();
      plot = made;
      put.clear();
      schedule();
    } catch (error) {
      canvas.textContent = `The plot cannot be drawn: ${error.message}`;
    } finally {
      embedding = false;
    }
  }

  function take(word, buffers) {
    if (typeof word?.plots !== "number") return;
    if (!samples.take(word, buffers[0])) {
      shared.say();
      return;
    }
    for (const name of ["marks", "spans", "words"]) if (word[name] !== undefined) told[name] = word[name];
    announce(word);
    if (hair !== null) hair = Math.min(hair, samples.ticks.length - 1);
    schedule();
  }

  // A fault is told to who listens, once.
  function announce(word) {
    const faults = told.marks.filter(({ kind }) => HARMFUL.has(kind));
    const latest = faults.length ? faults[faults.length - 1] : null;
    if (heard && latest && latest.at > heard) live.textContent = latest.words;
    heard = Math.max(heard, latest?.at ?? 0, word.since === 0 && !heard ? 1 : 0);
  }

  let theme = "light";
  let ended = false;
  const endTheme = watchTheme(el, (now) => {
    theme = now;
    readColours();
    put.clear();
    schedule();
  });
  readColours();
  const sized = new ResizeObserver(schedule);
  sized.observe(box);
  const follow = ["seconds", "paused", "table", "opened", "zoom", "looks"].map((name) => `change:${name}`);
  for (const name of follow) model.on(name, schedule);
  model.on("msg:custom", take);
  shared.begin();

  return () => {
    ended = true;
    for (const name of follow) model.off(name, schedule);
    model.off("msg:custom", take);
    sized.disconnect();
    endTheme();
    cancelAnimationFrame(frame);
    clearTimeout(saving);
    clearTimeout(hint);
    shared.end();
    plot?.end();
    plot = null;
  };
}

export default { render };
