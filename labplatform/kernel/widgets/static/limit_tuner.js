// The page side of LimitTuner: sliders and fields, what is used beside them, and one change at a time to the kernel.

const SEND_GAP = 100; // milliseconds between two changes of one limit while it is dragged
const SOON = 600; // seconds within which it is worth saying when an app will be full
const FULL = 0.95; // of a CPU limit, from which on an app is told to be at it
const OVER = new Set(["stopped", "failed", "stopping"]);

const KINDS = {
  memory: {
    limit: "max_memory",
    name: "Memory",
    noun: "memory",
    unit: "MB",
    per: 1e6, // what one in the field is
    least: 10, // what a slider begins at, in the field's unit
    words: (value) => size(value),
    used(row) {
      const { used, limit, growth, full_in: full } = row.memory;
      if (used === null) return "";
      let words = `uses ${size(used)}`;
      if (full !== null && full < SOON) words += `, full in about ${full < 100 ? `${full} s` : `${Math.round(full / 60)} min`}`;
      else if (growth) words += `, grows ${(growth / 1e6).toFixed(1)} MB/s`;
      if (limit !== null && used >= limit && full === null) words += ", at its limit";
      return words;
    },
  },
  cpu: {
    limit: "max_cpu",
    name: "CPU",
    noun: "CPU",
    unit: "%",
    per: 1,
    least: 1,
    words: (value) => `${value} %`,
    used(row) {
      const { used, limit } = row.cpu;
      if (used === null) return "";
      return `uses ${percent(used)}` + (limit !== null && used >= FULL * limit ? ", held at its limit" : "");
    },
  },
};

// Sends what was wanted last: one change at a time, so that they arrive in order, and not too many a second. After each
// `told(problem, last)`; `last`: nothing newer waits.
function oneAtATime(send, gap, told) {
  let wanted = null; // { value }
  let busy = false;
  let last = -Infinity;
  let timer = 0;

  function next() {
    if (busy || timer || !wanted) return;
    const wait = last + gap - performance.now();
    if (wait > 0) {
      timer = setTimeout(() => {
        timer = 0;
        next();
      }, wait);
      return;
    }
    const { value } = wanted;
    wanted = null;
    busy = true;
    last = performance.now();
    const over = (problem) => {
      busy = false;
      told(problem, wanted === null);
      next();
    };
    send(value).then(
      () => over(""),
      (error) => over(error.message),
    );
  }

  return {
    want(value) {
      wanted = { value };
      next();
    },
    pending: () => busy || wanted !== null,
    end: () => clearTimeout(timer),
  };
}

// One limit of one app: slider, field, a way to lift it, and a line of words. `row()` gives the app's facts now.
function limitOf(parent, kind, name, row, ends, act) {
  const node = make("div", "limit", parent);
  make("span", "limit-name", node).textContent = kind.name;
  const slide = make("div", "slide", node);
  const used = make("div", "used", make("div", "rail", slide));
  const slider = keepKeys(make("input", "slider", slide));
  slider.type = "range";
  slider.setAttribute("aria-label", `${kind.name} limit of ${name}`);
  const number = make("label", "number", node);
  const field = keepKeys(make("input", "field", number));
  field.type = "number";
  field.inputMode = "numeric";
  field.min = 1;
  field.placeholder = "none";
  field.setAttribute("aria-label", `${kind.name} limit of ${name}, ${kind.unit === "%" ? "percent of one core" : kind.unit}`);
  make("span", "unit", number).textContent = kind.unit;
  const lift = button(node, {
    icon: ICONS.close,
    name: `Lift the ${kind.noun} limit of ${name}`,
    kind: "quiet",
    press: () => want(null),
  });
  const words = make("div", "uses", node);
  words.id = `labplatform-uses-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const trouble = make("div", "limit-problem", node);
  trouble.setAttribute("role", "alert");
  field.setAttribute("aria-describedby", words.id);
  slider.setAttribute("aria-describedby", words.id);

  const own = () => row()[kind === KINDS.memory ? "memory" : "cpu"];
  const sender = oneAtATime(
    (value) => act("set", { app: name, limit: kind.limit, value }),
    SEND_GAP,
    (problem, last) => {
      complain(problem);
      // What holds is shown again, but not under a finger that goes on.
      if (last && !dragging) {
        typing = false;
        show(problem ? own().limit : shown);
      }
    },
  );
  let shown = undefined; // what the controls stand for: a limit, or null for none
  let dragging = false;
  let typing = false;

  function show(limit) {
    shown = limit;
    const { scale } = ends();
    const value = limit === null ? null : limit / kind.per;
    if (!typing) field.value = value === null ? "" : kind.unit === "%" ? value : Math.round(value);
    slider.min = kind.least;
    slider.max = Math.round(scale / kind.per);
    slider.step = kind.unit === "%" ? 1 : Math.max(1, Math.round(scale / kind.per / 120 / 5) * 5);
    if (!dragging) slider.value = value === null ? slider.max : value;
    slider.setAttribute("aria-valuetext", limit === null ? "no limit" : kind.words(limit));
    node.classList.toggle("labplatform-free", limit === null);
    // Not hidden, for then the fields would not stand below one another.
    lift.style.visibility = limit === null ? "hidden" : "";
  }

  function complain(problem) {
    setText(trouble, problem);
    if (problem) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }

  function want(limit) {
    complain("");
    show(limit);
    sender.want(limit);
  }

  slider.addEventListener("input", () => {
    dragging = true;
    want(Math.round(Number(slider.value) * kind.per));
  });
  slider.addEventListener("change", () => {
    dragging = false;
    if (!sender.pending()) show(trouble.textContent ? own().limit : shown);
  });

  field.addEventListener("input", () => (typing = true));
  function commit() {
    if (!typing) return;
    typing = false;
    const text = field.value.trim();
    if (text === "" && !field.validity.badInput) want(null);
    else if (Number(text) > 0) want(kind === KINDS.memory ? Math.round(Number(text) * kind.per) : Number(text));
    else {
      complain(`A number above 0; ${kind.unit === "%" ? "100 is one core" : "in MB"}.`);
      show(own().limit);
    }
  }
  field.addEventListener("change", commit);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      // Outside a form not every browser takes this for the end of a change.
      commit();
    } else if (event.key === "Escape" && typing) {
      event.stopPropagation();
      typing = false;
      complain("");
      show(own().limit);
    }
  });
  field.addEventListener("blur", () => {
    if (typing) {
      typing = false;
      show(own().limit);
    }
  });

  return {
    node,
    update() {
      const { limit, used: now } = own();
      if (!sender.pending() && !dragging) show(limit);
      const part = now === null ? 0 : Math.min(1, now / ends().scale);
      used.style.width = `${(100 * part).toFixed(1)}%`;
      setText(words, kind.used(row()));
      const off = OVER.has(row().state);
      for (const control of [slider, field, lift]) control.disabled = off;
    },
    end: () => sender.end(),
  };
}

function render({ model, el }) {
  const frame = part({ model, el, kind: "tuner", name: "Limits", draw });
  const { box, act } = frame;
  const grid = make("div", "limits", box);
  const head = make("div", "limits-head", grid);
  make("span", "limits-app", head);
  const [ofMemory, ofCpu] = [make("span", "limits-of", head), make("span", "limits-of", head)];
  const empty = make("div", "limits-empty", box);
  const foot = make("div", "held", box);
  const rows = new Map();
  let heldWords = "";

  function appRow(name) {
    const node = make("div", "limits-row", grid);
    node.setAttribute("role", "group");
    const who = make("div", "limits-app", node);
    const label = make("span", "name", who);
    const state = stateOf(who, "running");
    const why = make("div", "limits-why", node);
    let facts = null;
    let drawnLook = null;
    const ends = {
      memory: () => ({ scale: model.get("facts").scale }),
      cpu: () => ({ scale: Math.max(100, Math.round((model.get("facts").cores ?? 1) * 100)) }),
    };
    const limits = Object.entries(KINDS).map(([id, kind]) =>
      limitOf(node, kind, name, () => facts, ends[id], act),
    );
    return {
      node,
      update(row, looks) {
        facts = row;
        if (looks && looks !== drawnLook) {
          drawnLook = looks;
          who.querySelector(".labplatform-glyph")?.remove();
          chip(who, looks);
          who.prepend(who.lastChild);
          label.title = `${looks.title} (${name})`;
          paint(node, looks);
        }
        setText(label, name);
        node.setAttribute("aria-label", `Limits of ${name}`);
        state.set(row.state);
        state.node.hidden = row.state === "running";
        const { used } = row.memory;
        const uses = used === null ? "" : ` The process uses ${size(used)} and ${percent(row.cpu.used)} of a core.`;
        setText(why, row.why && row.why + uses);
        node.classList.toggle("labplatform-unheld", row.why !== "");
        for (const limit of limits) {
          limit.node.hidden = row.why !== "";
          limit.update();
        }
      },
      end() {
        for (const limit of limits) limit.end();
        node.remove();
      },
    };
  }

  function drawHeld(held) {
    const words = JSON.stringify(held);
    if (words === heldWords) return;
    heldWords = words;
    foot.replaceChildren();
    foot.hidden = !held;
    if (!held) return;
    const first = make("p", "held-words", foot);
    if (held.tier === "off") {
      make("b", "held-by", first).textContent = "No limits are held here.";
    } else {
      make("b", "held-by", first).textContent = `Held by ${held.by}.`;
      first.append(
        " Past its memory an app is ended and comes back; past its CPU it has to wait, and is never ended. A change holds within 100 ms.",
      );
    }
    const more = make("details", "held-more", foot);
    keepKeys(make("summary", "held-summary", more)).textContent = "What counts, and what cannot be promised";
    const list = make("ul", "held-list", more);
    const line = (text) => (make("li", "held-line", list).textContent = `${text[0].toUpperCase()}${text.slice(1)}.`);
    if (held.counts) line(`for an app's memory counts ${held.counts}`);
    held.cannot.forEach(line);
    for (const why of held.why) line(`not taken: ${why}`);
  }

  function draw(facts) {
    const names = new Set(facts.rows.map((row) => row.name));
    for (const [name, row] of rows) {
      if (names.has(name)) continue;
      row.end();
      rows.delete(name);
    }
    setText(ofMemory, `Memory, up to ${size(facts.scale)}`);
    ofMemory.title = `The sliders end here; a field takes what this ${facts.where} has, ${size(facts.memory)}`;
    setText(ofCpu, "CPU, percent of one core");
    if (facts.cores) ofCpu.title = `This machine has ${facts.cores} cores, ${Math.round(100 * facts.cores)} %`;
    const looks = model.get("looks");
    for (const row of facts.rows) {
      if (!rows.has(row.name)) rows.set(row.name, appRow(row.name));
      rows.get(row.name).update(row, looks[row.name]);
    }
    head.hidden = rows.size === 0;
    empty.hidden = rows.size > 0;
    setText(empty, facts.problem || "No app has been launched yet.");
    drawHeld(facts.held);
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
