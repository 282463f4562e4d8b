// The page side of MessageConsole: the newest messages as rows, one of them whole, and an editor to send one.

const SHOWN = 300; // rows in the page at once; a filter looks through all that are kept
const CHECK_AFTER = 250; // milliseconds after the last key before the kernel looks at a context
const KINDS = [["all", "All"], ["broadcast", "Broadcasts"], ["intent", "Intents"], ["private", "Private"]];
const CHANNEL = /^fdc3\.channel\.([1-8])$/;
const EXAMPLE = '{ "type": "fdc3.instrument",\n  "id": { "ticker": "MSFT" } }';

function render({ model, el }) {
  const { box, act, look, begin, end } = part({ model, el, kind: "console", name: "Messages between apps", draw });
  const rows = new Map(); // by seq, the oldest first
  let kind = "all";
  let wanted = "";
  let paused = null; // the rows that came since it was paused, or null
  let chosen = 0;
  let missing = 0;

  // --- above the list: filter, kinds, pause

  const bar = make("div", "console-bar", box);
  const filter = keepKeys(make("input", "field labplatform-console-filter", bar));
  filter.type = "search";
  filter.placeholder = "Filter by app, type or channel";
  filter.setAttribute("aria-label", "Filter by app, type or channel");
  filter.addEventListener("input", () => {
    wanted = filter.value.trim().toLowerCase();
    list();
  });
  segmented(bar, "Kind of message", KINDS, kind, (value) => {
    kind = value;
    list();
  });
  const pause = button(bar, {
    words: "Pause",
    icon: ICONS.pause,
    kind: "quiet",
    press() {
      const waiting = paused;
      paused = paused ? null : [];
      if (waiting) add(waiting);
      drawPause();
    },
  });
  function drawPause() {
    pause.innerHTML = paused ? ICONS.play : ICONS.pause;
    pause.append(paused ? `Go on${paused.length ? ` (${paused.length})` : ""}` : "Pause");
    pause.setAttribute("aria-pressed", String(Boolean(paused)));
  }

  // --- the list

  const body = make("div", "console-body", box);
  const left = make("div", "console-list", body);
  const scroller = make("div", "console-scroller", left);
  const table = make("table", "console-table", scroller);
  const head = make("tr", "console-head", make("thead", "console-thead", table));
  for (const [words, more] of [["Time"], ["From"], ["To"], ["By"], ["Type"], ["ms", "num"]]) {
    const cell = make("th", `label${more ? ` labplatform-${more}` : ""}`, head);
    cell.scope = "col";
    cell.textContent = words;
  }
  const tbody = make("tbody", "console-rows", table);
  const empty = make("p", "console-empty", left);
  const omitted = make("p", "console-omitted labplatform-label", left);

  function who(cell, name) {
    const known = model.get("looks")[name];
    if (known) chip(cell, known);
    const words = make("span", "console-who", cell);
    words.textContent = name === "jupyter" ? "this notebook" : name || "the platform";
    words.title = name;
  }

  function by(cell, [, , , , , of, channel]) {
    const number = CHANNEL.exec(channel)?.[1];
    if (number) {
      const ring = make("span", "ring", cell);
      ring.dataset.channel = number;
      cell.append(number);
      cell.title = channel;
    } else {
      cell.textContent = of === "broadcast" && channel ? channel : of;
      cell.title = channel;
    }
  }

  function rowOf(one) {
    const [seq, time, from, to, count, , , what, latency] = one;
    const node = make("tr", "console-row", null);
    node.dataset.seq = seq;
    node.tabIndex = -1;
    const at = make("td", "console-time", node);
    at.textContent = `${clockTime(time).slice(3)}.${String(Math.floor((time % 1) * 1000)).padStart(3, "0")}`;
    at.title = clockTime(time);
    const cell = (name) => make("div", "row", make("td", name, node));
    who(cell("console-from"), from);
    const target = cell("console-to");
    if (count === 1) who(target, to[0]);
    else target.textContent = count ? `${count} apps` : "nobody";
    if (count > 1) target.title = to.join(", ") + (count > to.length ? `, and ${count - to.length} more` : "");
    by(cell("console-by"), one);
    const type = make("td", "console-type", node);
    type.textContent = what;
    type.title = what;
    const took = make("td", "num", node);
    took.textContent = latency === null ? "–" : (latency * 1000).toFixed(2);
    if (seq === chosen) select(node);
    return node;
  }

  function fits(one) {
    if (kind !== "all" && one[5] !== kind) return false;
    if (!wanted) return true;
    return [one[2], ...one[3], one[5], one[6], one[7]].some((words) => words.toLowerCase().includes(wanted));
  }

  function drawEnd() {
    const none = tbody.childElementCount === 0;
    empty.hidden = !none;
    table.hidden = none && rows.size === 0;
    empty.textContent = rows.size
      ? "No message fits the filter."
      : "No message yet. Choose a share in one of the apps, or send one yourself.";
    omitted.hidden = !missing;
    omitted.textContent = `${missing.toLocaleString("en")} messages were too many to be listed here.`;
    if (!tbody.querySelector('[tabindex="0"]') && tbody.firstChild) tbody.firstChild.tabIndex = 0;
  }

  function list() {
    const fitting = [...rows.values()].filter(fits).slice(-SHOWN).reverse();
    tbody.replaceChildren(...fitting.map(rowOf));
    drawEnd();
  }

  // New ones come on top; whoever has scrolled down keeps seeing the same rows.
  function add(more) {
    const fresh = more.filter((one) => !rows.has(one[0]));
    if (!fresh.length) return;
    for (const one of fresh) rows.set(one[0], one);
    for (const seq of rows.keys()) {
      if (rows.size <= look.most) break;
      rows.delete(seq);
    }
    const height = scroller.scrollHeight;
    tbody.prepend(...fresh.filter(fits).slice(-SHOWN).reverse().map(rowOf));
    while (tbody.childElementCount > SHOWN) tbody.lastChild.remove();
    if (scroller.scrollTop > 0) scroller.scrollTop += scroller.scrollHeight - height;
    drawEnd();
  }

  // --- one of them, whole

  const side = make("div", "console-side", body);
  const about = make("section", "console-payload", side);
  make("h3", "console-title", about).textContent = "Payload";
  const text = make("pre", "console-text", about);
  const facts = make("p", "label", about);
  text.textContent = "";
  facts.textContent = "Choose a message to read it.";
  text.hidden = true;
  text.tabIndex = 0;
  text.setAttribute("aria-label", "Payload");

  function select(node) {
    for (const other of tbody.querySelectorAll("[aria-selected]")) other.removeAttribute("aria-selected");
    node.setAttribute("aria-selected", "true");
  }

  async function choose(node) {
    chosen = Number(node.dataset.seq);
    select(node);
    for (const other of tbody.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    node.tabIndex = 0;
    const seq = chosen;
    try {
      const found = await act("payload", { seq });
      if (seq !== chosen) return;
      text.textContent = found.text;
      text.hidden = false;
      const took = found.latency === null ? "" : ` · ${(found.latency * 1000).toFixed(2)} ms`;
      const cut = found.cut ? ", of which the beginning" : "";
      facts.textContent = `${found.type} · ${found.size.toLocaleString("en")} bytes${cut}${took} · to ${found.receivers.join(", ") || "nobody"}`;
    } catch (error) {
      text.hidden = true;
      facts.textContent = error.message;
    }
  }
  tbody.addEventListener("click", (event) => {
    const node = event.target.closest(".labplatform-console-row");
    if (node) choose(node);
  });
  keepKeys(tbody).addEventListener("keydown", (event) => {
    const node = event.target.closest(".labplatform-console-row");
    const to = { ArrowDown: node?.nextSibling, ArrowUp: node?.previousSibling, Enter: node, " ": node }[event.key];
    if (!to) return;
    event.preventDefault();
    to.focus();
    choose(to);
  });

  // --- one's own

  const compose = make("section", "console-compose", side);
  make("h3", "console-title", compose).textContent = "Send one yourself";
  const editor = keepKeys(make("textarea", "field labplatform-console-editor", compose));
  editor.value = EXAMPLE;
  editor.rows = 4;
  editor.spellcheck = false;
  editor.setAttribute("aria-label", "Context, as JSON");
  const verdict = make("p", "console-verdict", compose);
  verdict.setAttribute("role", "status");
  const send = make("div", "console-send", compose);
  const channel = keepKeys(make("select", "field", send));
  channel.setAttribute("aria-label", "User channel");
  const broadcast = button(send, { words: "Broadcast", kind: "primary", press: () => go("broadcast", { channel: channel.value }) });
  const intent = keepKeys(make("select", "field", send));
  intent.setAttribute("aria-label", "Intent");
  const raise = button(send, { words: "Raise", press: () => go("raise", { intent: intent.value }) });
  let context;
  let good = false;
  let timer = 0;

  function say(words, harm) {
    verdict.innerHTML = harm ? ICONS.close : ICONS.check;
    verdict.append(words);
    verdict.classList.toggle("labplatform-harmed", harm);
    editor.setAttribute("aria-invalid", String(harm));
  }
  function usable() {
    broadcast.disabled = !good || !channel.value;
    raise.disabled = !good || !intent.value;
  }
  function check() {
    clearTimeout(timer);
    try {
      context = JSON.parse(editor.value);
    } catch (error) {
      good = false;
      say(`Not JSON: ${error.message}`, true);
      usable();
      return;
    }
    const looked = context;
    act("check", { context }).then(
      (found) => {
        if (looked !== context) return;
        good = !found.length;
        say(good ? `A valid ${context.type}` : found.join("; "), !good);
        usable();
      },
      (error) => say(error.message, true),
    );
  }
  editor.addEventListener("input", () => {
    clearTimeout(timer);
    good = false;
    usable();
    timer = setTimeout(check, CHECK_AFTER);
  });
  async function go(word, where) {
    broadcast.disabled = raise.disabled = true;
    verdict.textContent = "on its way …";
    try {
      const done = await act(word, { ...where, context });
      say(done.charAt(0).toUpperCase() + done.slice(1), false);
    } catch (error) {
      say(error.message, true);
      editor.setAttribute("aria-invalid", "false"); // it was good, but could not be sent
    }
    usable();
  }
  function fill(select, options, none) {
    const before = select.value;
    select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
    if (!options.length) select.append(new Option(none, ""));
    if (options.some(([value]) => value === before)) select.value = before;
  }
  fill(channel, [], "no channel");
  fill(intent, [], "no intent");

  let state = "";
  function draw(now) {
    if (now.state === state) return;
    state = now.state;
    if (state === "running") {
      act("choices").then(
        (found) => {
          fill(channel, found.channels, "no channel");
          fill(intent, found.intents.map((one) => [one, one]), "no intent");
          usable();
        },
        () => {},
      );
      check();
    } else {
      good = false;
      say(state === "new" ? "The platform starts with its first app." : `The platform is ${state}.`, state !== "new");
      editor.setAttribute("aria-invalid", "false");
      usable();
    }
  }

  function take(word) {
    if (!word?.rows) return;
    missing += word.missing;
    if ([...rows.keys()].pop() > word.rows[word.rows.length - 1][0]) {
      rows.clear(); // it was brought back, and counts anew
      tbody.replaceChildren();
    }
    if (paused) {
      paused.push(...word.rows);
      if (paused.length > look.most) paused.splice(0, paused.length - look.most);
      drawPause();
    } else {
      add(word.rows);
    }
  }
  model.on("msg:custom", take);
  drawEnd();
  begin();
  act("recent").then(add, () => {});
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", take);
    end();
  };
}

export default { render };
