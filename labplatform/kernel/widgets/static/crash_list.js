// The page side of CrashList: a line for each report; one or two of them open below, and a way to take one along.

function render({ model, el }) {
  const { box, act, live, begin, end } = part({ model, el, kind: "crashes", name: "Crash reports", draw });
  const none = make("p", "crashes-none", box);
  none.textContent = "Nothing has crashed yet. Break something, and what the platform finds out about it stands here.";
  const list = make("ol", "crashes-list", box);
  const older = make("p", "label labplatform-crashes-older", box);
  const shelf = make("div", "crashes-shelf", box);
  const lines = new Map(); // by number: { node, json }
  const opened = new Map(); // by number: the node on the shelf
  let last = null; // the newest number drawn so far

  function save(file) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file.text], { type: file.name.endsWith("json") ? "application/json" : "text/html" }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function close(number) {
    opened.get(number)?.remove();
    opened.delete(number);
    mark();
  }

  function mark() {
    for (const [number, { opener, comparer }] of lines) {
      opener.setAttribute("aria-expanded", String(opened.has(number)));
      opener.textContent = opened.has(number) ? "Close" : "Open";
      comparer.hidden = opened.size === 0 || opened.has(number);
    }
    shelf.classList.toggle("labplatform-crashes-two", opened.size > 1);
    shelf.hidden = opened.size === 0;
  }

  // Beside the one that is open already, or in its place.
  async function open(number, beside) {
    if (!beside) for (const other of [...opened.keys()]) close(other);
    if (opened.size > 1) close([...opened.keys()][0]);
    const place = make("article", "crashes-open", shelf);
    opened.set(number, place);
    const bar = make("div", "crashes-bar", place);
    const name = make("span", "crashes-title", bar);
    name.textContent = "fetching what is known …";
    const problem = make("p", "crashes-problem", place);
    const exported = (kind, words) =>
      button(bar, {
        words,
        press: () => act("export", { number, kind }).then(save, (error) => (problem.textContent = error.message)),
      });
    exported("html", "Export HTML");
    exported("json", "Export JSON");
    button(bar, { icon: ICONS.close, name: "Close this report", kind: "quiet", press: () => close(number) });
    const page = make("div", "crashes-page", place);
    mark();
    try {
      const found = await act("open", { number });
      name.textContent = found.title;
      page.innerHTML = found.html; // the kernel's own page, in which all that comes from apps is escaped
      live.textContent = `Report open: ${found.title}`;
    } catch (error) {
      name.textContent = "";
      problem.textContent = error.message;
    }
    place.scrollIntoView({ block: "nearest" });
  }

  function lineOf(report) {
    const node = make("li", "crashes-line", null);
    paint(node, report);
    const at = make("time", "crashes-at", node);
    at.textContent = clockTime(report.at);
    at.title = new Date(report.at * 1000).toLocaleString("en-GB");
    const app = make("span", "crashes-app", node);
    if (report.app) chip(app, model.get("looks")[report.app] ?? report);
    make("span", "name", app).textContent = report.app || report.title;
    const why = make("span", "crashes-why", node);
    make("b", "crashes-sentence", why).textContent = report.sentence;
    make("span", "crashes-reason", why).textContent = report.reason;
    make("span", "crashes-back", node).textContent = report.back;
    const buttons = make("span", "crashes-buttons", node);
    const comparer = button(buttons, { words: "Compare", press: () => open(report.number, true) });
    const opener = button(buttons, {
      words: "Open",
      press: () => (opened.has(report.number) ? close(report.number) : open(report.number, false)),
    });
    return { node, opener, comparer };
  }

  function draw(facts) {
    const there = new Set(facts.reports.map((one) => one.number));
    for (const [number, { node }] of lines) {
      if (!there.has(number)) {
        node.remove();
        lines.delete(number);
        close(number);
      }
    }
    facts.reports.forEach((report, index) => {
      const json = JSON.stringify(report);
      const known = lines.get(report.number);
      if (known?.json === json) return;
      const line = { ...lineOf(report), json };
      if (known) known.node.replaceWith(line.node);
      else list.insertBefore(line.node, list.children[index] ?? null);
      lines.set(report.number, line);
    });
    const newest = facts.reports[0];
    if (last !== null && newest && newest.number > last) live.textContent = `${newest.title}: ${newest.sentence}`;
    last = newest?.number ?? 0;
    none.hidden = facts.reports.length > 0;
    list.hidden = !none.hidden;
    const rest = facts.all - facts.reports.length;
    older.hidden = rest <= 0;
    older.textContent = `and ${rest} older ones, in platform.crash_reports`;
    mark();
  }
  begin();
  return end;
}

export default { render };
