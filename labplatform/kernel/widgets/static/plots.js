// The page side of Plots: keeps the samples that come, has Bokeh draw them on one canvas, and puts names, values and
// labels beside and above it. One unit of the figure's vertical axis is a pixel, so a row is where this file puts it.

const LAGS = [1, 4, 16, 50, 100]; // milliseconds from which on a lag has its next colour; from the last on it is harm's
const CELL = 8; // pixels of a cell of a lag strip, at least
const LEAST_SPAN = 5; // seconds: no zoom goes further
const NARROW = 720; // pixels of room under which names stand above their rows
const EDGE = 1; // pixel of the figure at its left and its top that stays free
const CLOSE = 6; // pixels from a mark within which its reason is told
const SAVE_AFTER = 250; // milliseconds that a zoom rests until the kernel is told
const CPU_SCALES = [25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800];
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300];
const WINDOWS = [
  [60, "1 min"],
  [300, "5 min"],
  [600, "10 min"],
];

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
  const showMarks = markLane(lane);
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

  const forgetHint = steer(cover, axis, samples, {
    range,
    go,
    zoom,
    reset: () => setZoom([]),
    point,
    jump,
    width: () => Math.max(1, width),
    pointed: () => hair,
  });

  function jump(direction) {
    const [start, end] = range();
    const now = hair === null ? end + 1 : samples.ticks[hair];
    const there = told.marks.filter(({ at }) => at >= start && at <= end);
    const slack = samples.period * 0.6;
    const next =
      direction < 0 ? there.filter(({ at }) => at < now - slack).pop() : there.find(({ at }) => at > now + slack);
    if (next) point(samples.nearest(next.at), true);
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
        setText(own.words, `${row.role} ${newest.pid}`);
        own.memory.style.top = `${row.memory[1] - row.top}px`;
        own.cpu.style.top = `${row.cpu[1] - row.top}px`;
        continue;
      }
      own.heap.parentNode.style.top = `${row.memory[0] - row.top + 20}px`;
      const { fact } = row;
      const processes = fact.processes === 1 ? "1 process" : `${fact.processes} processes`;
      const words = fact.pid === null ? "no process" : `PID ${fact.pid}`;
      setText(own.pid, fact.shared.length ? `${words}, shared by ${fact.shared.length + 1}` : words);
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
        setText(own.memory, sizeOf(there.figures.memory[at]));
        setText(own.cpu, percentOf(there.figures.cpu[at]));
        continue;
      }
      const { memory = [], heap = [], cpu = [], lag = [] } = row.line?.figures ?? {};
      setText(own.memory, sizeOf(memory[at]));
      setText(own.heap, sizeOf(heap[at]));
      own.heap.parentNode.hidden = heap[at] === undefined || Number.isNaN(heap[at]);
      setText(own.cpu, percentOf(cpu[at]));
      setText(own.lag, lagOf(lag[at]));
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
    const { ticks } = samples;
    const first = Math.max(0, samples.after(start) - 1);
    // One tick beyond the edge, for the line that goes there; none where the range ends at a tick, as a paused one does.
    const inside = samples.after(end) - 1;
    const last = ticks[inside] === end ? inside : Math.min(ticks.length - 1, inside + 1);
    const period = samples.periodUpTo(last);
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
    const columns = cellsOf(ticks, period, [start, end], [first, last], Math.max(1, width) / CELL);
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
    showMarks(marks, { toPixels, width, narrow });
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
    setText(memoryTick, size(rule));
    memoryTick.style.top = `${level(row.memory, rule / scale)}px`;
    setText(cpuTick, `${cpuScale} %`);
    cpuTick.style.top = `${row.cpu[0] + 3}px`;
    const dashed = (node, shown, y, words) => {
      node.hidden = !shown;
      if (!shown) return;
      limits.y.push(Math.round(y) + 0.5);
      limits.color.push(colours.ink);
      setText(node, words);
      node.style.top = `${y}px`;
    };
    dashed(memoryLimit, near, level(row.memory, limit / scale), `limit ${size(limit)}`);
    const held = cpu !== null && cpu <= cpuScale && most(figures.cpu, first, last) >= 0.4 * cpu;
    dashed(cpuLimit, held, level(row.cpu, cpu / cpuScale), `limit ${cpu} %`);
    return scale;
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
      setText(node, words);
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
      showTables(tables, rows, samples, told.marks, range());
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
    forgetHint();
    shared.end();
    plot?.end();
    plot = null;
  };
}

export default { render };
