// The page side of ProcessTable: a row an app, what it does to them, and the last minute of each one's CPU.

const CHANGE = 6000; // milliseconds that a change of PID stays
const NEAR = 0.85; // of its limit, from which on a figure is bold
const LEAST_CPU = 5; // percent of one core at the top of a line, at least
const [LINE_WIDTH, LINE_HEIGHT] = [96, 20];
const ORDER = Object.keys(STATES);

// Each column: what it is called, what it sorts by, and whether highest comes first when it is chosen.
const COLUMNS = [
  ["state", "State", (row) => ORDER.indexOf(row.state)],
  ["app", "App", (row) => row.name],
  ["pid", "PID", (row) => row.pid],
  ["memory", "Memory of limit", (row) => row.memory, true],
  ["cpu", "CPU, % of one core", (row) => row.cpu, true],
  ["lag", "Lag", (row) => row.lag, true],
];

function svg(tag, parent, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent?.append(node);
  return node;
}

// A line of the last `seconds` of one figure; `values`: [[at, value or null], …], null where it is not to be joined.
function sparkline(parent, seconds) {
  const node = svg("svg", parent, {
    class: "labplatform-spark",
    viewBox: `0 0 ${LINE_WIDTH} ${LINE_HEIGHT}`,
    "aria-hidden": "true",
  });
  const line = svg("path", node, { class: "labplatform-spark-line" });
  const dot = svg("circle", node, { class: "labplatform-spark-now", r: 1.8 });
  return (values, now) => {
    const top = Math.max(LEAST_CPU, ...values.map((one) => one[1] ?? 0));
    let path = "";
    let joined = false;
    let last = null;
    for (const [at, value] of values) {
      if (value === null) {
        joined = false;
        continue;
      }
      const x = (LINE_WIDTH - 3) * (1 - (now - at) / seconds);
      const y = LINE_HEIGHT - 2 - (LINE_HEIGHT - 4) * (value / top);
      path += `${joined ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      joined = true;
      last = [x, y];
    }
    line.setAttribute("d", path);
    dot.style.display = joined ? "" : "none";
    if (joined) {
      dot.setAttribute("cx", last[0].toFixed(1));
      dot.setAttribute("cy", last[1].toFixed(1));
    }
  };
}

// The figures over time that this page has seen, and those from before that it asked for.
function series(seconds) {
  const kept = new Map(); // by app: { incarnation, values }
  const trim = (values, now) => values.filter((one) => now - one[0] <= seconds);
  return {
    of: (name) => kept.get(name)?.values ?? [],
    add(row) {
      const one = kept.get(row.name) ?? { incarnation: row.incarnation, values: [] };
      kept.set(row.name, one);
      const last = one.values[one.values.length - 1];
      if (row.incarnation !== one.incarnation || row.at === null) {
        if (last && last[1] !== null) one.values.push([last[0], null]);
        one.incarnation = row.incarnation;
      }
      if (row.at !== null && !(last && last[0] >= row.at)) {
        one.values = trim([...one.values, [row.at, row.cpu]], row.at);
      }
    },
    before(recent) {
      for (const [name, values] of Object.entries(recent)) {
        const one = kept.get(name);
        if (!one) continue;
        const first = one.values[0]?.[0] ?? Infinity;
        one.values = [...values.filter(([at]) => at < first), ...one.values];
      }
    },
    forget(names) {
      for (const name of [...kept.keys()]) if (!names.has(name)) kept.delete(name);
    },
  };
}

function render({ model, el }) {
  const frame = part({ model, el, kind: "table", name: "Processes", draw });
  const { box, act, live, look } = frame;
  const cpu = series(look.minute);
  const rows = new Map(); // by app
  let sort = { column: null, down: false };
  let now = 0; // the latest sample's time
  let asked = false; // whether the last minute has been asked for

  // --- above the table

  const bar = make("div", "bar", box);
  const field = keepKeys(make("input", "field labplatform-filter", bar));
  field.type = "search";
  field.placeholder = "Filter by app, state or PID";
  field.setAttribute("aria-label", "Filter the apps");
  field.addEventListener("input", () => arrange());
  const count = make("span", "count", bar);
  const problem = make("div", "table-problem", box);
  problem.setAttribute("role", "alert");
  asking(bar, {
    words: "Kill all",
    icon: ICONS.kill,
    ask() {
      const up = model.get("facts").rows.filter((row) => !["stopped", "failed"].includes(row.state)).length;
      if (!up) return null;
      return { question: up === 1 ? "Kill the one app?" : `Kill all ${up} apps?`, deed: "Kill" };
    },
    press() {
      act("kill_all").then(
        () => complain(problem, ""),
        (error) => complain(problem, `Not all were killed: ${error.message}`),
      );
    },
  });

  // --- the table

  const scroll = make("div", "table-scroll", box);
  const table = make("table", "processes", scroll);
  make("caption", "live", table).textContent = "The platform's apps, their processes, and the supervisor";
  const head = make("tr", "head", make("thead", "heads", table));
  heading("open", "").append(hidden("Processes"));
  const sorters = new Map();
  for (const [id, words] of COLUMNS) {
    const cell = heading(id, "");
    const press = keepKeys(make("button", "sorter", cell));
    press.type = "button";
    press.append(words);
    make("span", "sort-mark", press).setAttribute("aria-hidden", "true");
    press.addEventListener("click", () => sortBy(id));
    sorters.set(id, cell);
  }
  heading("more", "").append(hidden("Actions"));
  const empty = make("div", "table-empty", box);
  const foot = make("tbody", "supervisor", table);
  const own = supervisorRow(foot);

  function heading(id, words) {
    const cell = make("th", `col-${id}`, head);
    cell.scope = "col";
    cell.textContent = words;
    return cell;
  }
  function hidden(words) {
    const node = make("span", "hidden", null);
    node.textContent = words;
    return node;
  }
  function complain(node, words) {
    node.replaceChildren();
    node.hidden = !words;
    if (!words) return;
    make("span", "problem-words", node).textContent = words;
    button(node, { icon: ICONS.close, name: "Dismiss", kind: "quiet", press: () => complain(node, "") });
  }
  complain(problem, "");

  // --- the order of the rows

  function sortBy(id) {
    const column = COLUMNS.find((one) => one[0] === id);
    const first = Boolean(column[3]);
    if (sort.column !== id) sort = { column: id, down: first };
    else if (sort.down === first) sort = { column: id, down: !first };
    else sort = { column: null, down: false };
    for (const [own, cell] of sorters) {
      const chosen = own === sort.column;
      if (chosen) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    arrange(true);
    live.textContent = sort.column
      ? `Sorted by ${column[1]}, ${sort.down ? "highest" : "lowest"} first.`
      : "In the order of launch.";
  }

  // While a pointer is over the rows, or the keyboard in them, none may move away from it.
  function held() {
    const active = document.activeElement;
    return (
      [...table.tBodies].some((body) => body.matches(":hover") || body.contains(active)) ||
      [...rows.values()].some((row) => row.menu.isOpen())
    );
  }

  function arrange(sorted = false) {
    const facts = model.get("facts").rows;
    const words = field.value.trim().toLowerCase();
    const value = COLUMNS.find((one) => one[0] === sort.column)?.[2];
    let wanted = facts.map((row) => row.name);
    if (value) {
      const order = new Intl.Collator("en", { numeric: true });
      const compare = (one, other) => {
        const [left, right] = [value(one), value(other)];
        if (left === null || right === null) return (left === null) - (right === null);
        const sign = typeof left === "string" ? order.compare(left, right) : left - right;
        return sort.down ? -sign : sign;
      };
      wanted = [...facts].sort(compare).map((row) => row.name);
    }
    const there = [...table.tBodies].filter((body) => body !== foot).map((body) => body.dataset.app);
    if (!sorted && held()) {
      wanted = [...there.filter((name) => rows.has(name)), ...wanted.filter((name) => !there.includes(name))];
    }
    // Only those that are out of place are moved, for what is moved loses the keyboard.
    let place = table.tBodies[0];
    for (const name of wanted) {
      const { body } = rows.get(name);
      if (body === place) place = place.nextElementSibling;
      else table.insertBefore(body, place);
    }
    let shown = 0;
    for (const row of rows.values()) {
      row.body.hidden = words !== "" && !row.words().includes(words);
      shown += !row.body.hidden;
    }
    const up = facts.filter((row) => row.state === "running").length;
    setText(
      count,
      words ? `${shown} of ${facts.length} shown` : `${facts.length} app${facts.length === 1 ? "" : "s"}, ${up} running`,
    );
    empty.hidden = shown > 0;
    setText(
      empty,
      words ? `No app matches “${field.value.trim()}”.` : model.get("facts").problem || "No app has been launched yet.",
    );
  }
  table.addEventListener("pointerleave", () => arrange());
  table.addEventListener("focusout", () => setTimeout(() => arrange()));

  // --- one app

  function appRow(name) {
    const body = make("tbody", "app", null);
    body.dataset.app = name;
    const line = make("tr", "line", body);
    const cell = (id, tag = "td") => make(tag, `col-${id}`, line);
    const opener = button(cell("open"), { icon: ICONS.open, name: `Processes of ${name}`, kind: "quiet" });
    opener.setAttribute("aria-expanded", "false");
    const stateCell = cell("state");
    const state = stateOf(stateCell, "starting");
    const doing = make("span", "doing", stateCell);
    const appCell = cell("app", "th");
    appCell.scope = "row";
    const who = make("div", "who", appCell);
    const label = make("span", "name", who);
    const pid = cell("pid");
    const memoryCell = cell("memory");
    const memory = make("div", "memory", memoryCell);
    const track = make("div", "track", memoryCell);
    const fill = make("div", "fill", track);
    const cpuCell = cell("cpu");
    const cpuBox = make("div", "cpu", cpuCell);
    const drawCpu = sparkline(cpuBox, look.minute);
    const cpuValue = make("span", "value", cpuBox);
    const lag = cell("lag");
    const more = button(cell("more"), { icon: ICONS.more, name: `Actions on ${name}`, kind: "quiet" });
    const trouble = make("tr", "trouble", body);
    const troubleCell = make("td", "trouble-cell", trouble);
    troubleCell.colSpan = 8;
    trouble.hidden = true;
    const details = []; // the rows of its processes

    let facts = null;
    let drawnLook = null;
    let change = null; // { from, words }: its process is another than the one before
    let changeTimer = 0;
    let lastPid = null;
    let underWay = [];

    function begun(words, promise) {
      const one = { words };
      underWay.push(one);
      const showDoing = () => setText(doing, underWay.length ? `${underWay[underWay.length - 1].words} …` : "");
      showDoing();
      complain(troubleCell, "");
      trouble.hidden = true;
      const over = () => {
        underWay = underWay.filter((other) => other !== one);
        showDoing();
      };
      promise.then(over, (error) => {
        over();
        complain(troubleCell, error.message);
        trouble.hidden = false;
        troubleCell.querySelector("button").addEventListener("click", () => (trouble.hidden = true));
        live.textContent = `${label.textContent}: ${error.message}`;
      });
    }

    const menuOfApp = menu(more, () =>
      appActions(
        { name, state: facts.state, page: facts.page, shared: facts.shared.length },
        act,
        begun,
        showPicture,
      ),
    );

    opener.addEventListener("click", () => {
      const open = opener.getAttribute("aria-expanded") !== "true";
      opener.setAttribute("aria-expanded", String(open));
      drawDetails();
    });

    function drawDetails() {
      const open = opener.getAttribute("aria-expanded") === "true";
      body.classList.toggle("labplatform-open", open);
      const none = [{ role: "no process", pids: [], memory: null, cpu: null }];
      const lines = open ? (facts.processes.length ? facts.processes : none) : [];
      // Where there is no room for these columns, they stand here.
      const folded = open ? [{ role: "CPU", folded: "cpu" }, { role: "Lag", folded: "lag" }] : [];
      const all = [...folded, ...lines];
      while (details.length > all.length) details.pop().remove();
      while (details.length < all.length) details.push(make("tr", "detail", body));
      all.forEach((one, at) => drawDetail(details[at], one));
    }

    function drawDetail(line, one) {
      line.classList.toggle("labplatform-folded", Boolean(one.folded));
      if (!line.childElementCount) {
        for (const id of ["open", "state", "app", "pid", "memory", "cpu", "lag", "more"]) make("td", `col-${id}`, line);
      }
      const [, , role, pids, used, cpuOf, lagOf] = line.children;
      setText(role, one.role);
      if (one.folded) {
        setText(pids, "");
        setText(used, one.folded === "cpu" ? percent(facts.cpu) : milliseconds(facts.lag));
        setText(cpuOf, "");
        setText(lagOf, "");
        return;
      }
      setText(pids, one.pids.join(", "));
      const words = size(one.memory);
      if (one.heap) {
        used.replaceChildren(`${words} `);
        make("span", "label", used).textContent = `JS heap ${size(one.heap)}`;
      } else {
        setText(used, words);
      }
      setText(cpuOf, percent(one.cpu));
      setText(lagOf, one.lag === undefined || one.lag === null ? "" : milliseconds(one.lag));
    }

    function drawPid() {
      const gone = GONE.has(facts.state);
      pid.replaceChildren();
      if (change && facts.pid !== null) {
        const words = make("span", "change", pid);
        if (change.from !== facts.pid) {
          words.append(String(change.from), " → ");
        }
        make("b", "pid-now", words).textContent = facts.pid;
        pid.append(" ");
        make("span", change.wanted ? "label" : "why", pid).textContent = change.words;
      } else if (facts.pid !== null) {
        make("b", "pid-now", pid).textContent = facts.pid;
        pid.append(" ");
        if (facts.dialog) make("span", "why", pid).textContent = "a dialog is open";
      } else {
        make("span", "label", pid).textContent = gone && lastPid !== null ? `was ${lastPid}` : "–";
        pid.append(" ");
        if (gone && facts.ended) {
          make("span", facts.state === "stopped" ? "label" : "why", pid).textContent = facts.ended.toLowerCase();
        }
      }
      pid.title = facts.dialog ? `A dialog is open: ${facts.dialog}` : pid.textContent;
    }

    function drawMemory() {
      memory.replaceChildren();
      const near = facts.limit !== null && facts.memory !== null && facts.memory >= NEAR * facts.limit;
      const value = make(near ? "b" : "span", "memory-now", memory);
      if (facts.memory === null) value.textContent = "–";
      else if (facts.limit === null) value.textContent = size(facts.memory);
      else {
        // The unit once, where both have the same.
        const [used, limit] = [size(facts.memory), size(facts.limit)];
        const [number, unit] = used.split(" ");
        value.textContent = limit.endsWith(` ${unit}`) ? number : used;
        make("span", "of", memory).textContent = ` of ${limit}`;
      }
      if (facts.memory !== null && facts.shared.length) {
        const count = facts.shared.length + 1;
        make("span", "of", memory).textContent = `, ${count} apps`;
        memory.title = `The process is shared with ${facts.shared.join(", ")}; what it uses is told for all of them`;
      } else {
        memory.removeAttribute("title");
      }
      track.hidden = facts.limit === null || facts.memory === null;
      track.classList.toggle("labplatform-near", near);
      if (!track.hidden) fill.style.width = `${Math.min(100, (100 * facts.memory) / facts.limit).toFixed(1)}%`;
    }

    function update(row, looks) {
      const before = facts;
      facts = row;
      if (looks && looks !== drawnLook) {
        drawnLook = looks;
        who.replaceChildren();
        chip(who, looks);
        who.append(label);
        label.title = `${looks.title} (${name})`;
        paint(body, looks);
      }
      setText(label, name);
      state.set(row.state);
      stateCell.title = row.dialog;
      body.classList.toggle("labplatform-gone", GONE.has(row.state));
      const moved = row.pid !== null && lastPid !== null && row.pid !== lastPid;
      const anew = before && row.incarnation > before.incarnation && row.pid !== null && row.pid === lastPid;
      if (moved || anew) {
        const words = moved ? row.change : `page anew, ${row.change}`;
        change = { from: lastPid, words, wanted: ["restarted", "recycled"].includes(row.change) };
        waitForChange();
      }
      if (before && before.state !== row.state) {
        if (["crashed", "failed", "backing-off"].includes(row.state) && !GONE.has(before.state)) {
          live.textContent = `${name}: ${row.ended || row.state}`;
        } else if (row.state === "unresponsive") live.textContent = `${name}: not answering`;
        else if (row.state === "running" && change) {
          live.textContent = `${name} is back, PID ${change.from}, now ${row.pid}`;
          waitForChange(); // it stays for as long once it is back
        }
      }
      if (row.pid !== null) lastPid = row.pid;
      drawPid();
      drawMemory();
      drawCpu(cpu.of(name), now);
      setText(cpuValue, percent(row.cpu));
      setText(lag, milliseconds(row.lag));
      drawDetails();
    }

    function waitForChange() {
      clearTimeout(changeTimer);
      changeTimer = setTimeout(() => {
        change = null;
        if (facts) drawPid();
      }, CHANGE);
    }

    return {
      body,
      menu: menuOfApp,
      update,
      words: () =>
        [name, drawnLook?.title, facts.state, STATES[facts.state]?.[0], facts.ended, facts.pid]
          .concat(facts.processes.flatMap((one) => [one.role, ...one.pids]))
          .filter((word) => word !== null && word !== undefined)
          .join(" ")
          .toLowerCase(),
      end() {
        clearTimeout(changeTimer);
        menuOfApp.close(false);
        body.remove();
      },
    };
  }

  function supervisorRow(body) {
    const line = make("tr", "line", body);
    const cell = (id, tag = "td") => make(tag, `col-${id}`, line);
    cell("open");
    const state = stateOf(cell("state"), "running");
    const who = cell("app", "th");
    who.scope = "row";
    make("span", "supervisor-name", who).textContent = "supervisor";
    const [pid, memory, cpuCell] = [cell("pid"), cell("memory"), cell("cpu")];
    const cpuBox = make("div", "cpu", cpuCell);
    make("span", "spark", cpuBox);
    const value = make("span", "value", cpuBox);
    cell("lag");
    cell("more");
    return (facts) => {
      body.hidden = facts.state === "new" || facts.state === "starting";
      state.set({ running: "running", lost: "crashed" }[facts.state] ?? "stopped");
      setText(pid, String(facts.supervisor ? facts.supervisor.pid : ""));
      setText(memory, facts.supervisor ? size(facts.supervisor.memory) : "");
      setText(value, facts.supervisor ? percent(facts.supervisor.cpu) : "");
    };
  }

  // --- all of them

  function draw(facts) {
    const names = new Set(facts.rows.map((row) => row.name));
    for (const [name, row] of rows) {
      if (names.has(name)) continue;
      row.end();
      rows.delete(name);
    }
    now = Math.max(now, ...facts.rows.map((row) => row.at ?? 0));
    const looks = model.get("looks");
    for (const row of facts.rows) {
      cpu.add(row);
      if (!rows.has(row.name)) rows.set(row.name, appRow(row.name));
      rows.get(row.name).update(row, looks[row.name]);
    }
    cpu.forget(names);
    own(facts);
    arrange();
    if (!asked && facts.rows.length) {
      asked = true;
      act("recent").then(
        (recent) => {
          cpu.before(recent);
          draw(model.get("facts"));
        },
        () => {}, // then the lines begin now
      );
    }
  }

  const looked = () => draw(model.get("facts"));
  model.on("change:looks", looked);
  frame.begin();
  return () => {
    model.off("change:looks", looked);
    for (const row of rows.values()) row.end();
    frame.end();
  };
}

export default { render };
