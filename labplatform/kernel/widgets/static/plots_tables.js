// The plots in words and figures, for who does not see them or wants to copy them.

const orDash = (format) => (value) => (Number.isNaN(value) || value === undefined ? "–" : format(value));
const sizeOf = orDash(size);
const percentOf = orDash(percent);
const lagOf = orDash(milliseconds);

// What the rows hold between two moments, and what happened there: as tables.
function showTables(tables, rows, samples, marks, [start, end]) {
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
  fillTable(tables, 0, `What the apps used ${span}`, head, body, rows.map((row) => (row.role ? "process" : "")));
  const happened = marks.filter(({ at }) => at >= start && at <= end).reverse();
  const lines = happened.map((mark) => [clockTime(mark.at), mark.words, mark.reason]);
  fillTable(tables, 1, `What happened ${span}`, ["Time", "What", "Why"], lines.length ? lines : [["–", "nothing", ""]], []);
}

// A table whose cells change in place, so that whoever reads it stays where they are. `number`: which of those in
// `tables`; `kinds`: of each row, "process" or nothing.
function fillTable(tables, number, words, head, body, kinds) {
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
  setText(own.querySelector("caption"), words);
  const into = own.querySelector("tbody");
  while (into.childElementCount > body.length) into.lastChild.remove();
  while (into.childElementCount < body.length) {
    const row = make("tr", "plots-row", into);
    head.forEach((_, at) => (make(at ? "td" : "th", at ? "plots-td" : "plots-th", row).scope = at ? "" : "row"));
  }
  body.forEach((cells, at) => {
    const row = into.children[at];
    row.classList.toggle("labplatform-plots-process", kinds[at] === "process");
    cells.forEach((words, column) => setText(row.children[column], words));
  });
}
