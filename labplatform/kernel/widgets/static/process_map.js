// The page side of ProcessMap: boxes, tiles and lanes from the facts, pictures of windows, and pulses for messages.

const PULSES_AT_ONCE = 20;
const PULSE = 400; // milliseconds along one lane
const STAGE = 1.42; // how much larger all is at stage size
const NAMED = 235; // width of a tile, in usual pixels, from which on its name fits beside its picture
const ROOMY = 190; // the same of a service, whose name and figure stand beside one another
const CARD_SOON = 350; // milliseconds until a mouse that rests brings up details

function render({ model, el }) {
  const stage = model.get("look").size === "stage";
  const unit = stage ? STAGE : 1;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  const frame = part({ model, el, kind: "map", name: "Process map", draw });
  const { box, act, live } = frame;
  box.classList.toggle("labplatform-stage", stage);
  const summary = make("p", "live", box);
  const heading = make("div", "map-heading", box);
  const title = make("span", "map-title", heading);
  const harm = make("span", "map-harm", heading);
  const words = make("span", "map-words", heading);
  const field = make("div", "map-field", box);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("labplatform-map-lanes");
  const supervisor = make("div", "map-host labplatform-map-supervisor", field);
  const kernel = make("div", "map-host labplatform-map-kernel", field);
  const finding = make("p", "map-finding", box);
  const problem = make("div", "map-problem", box);
  problem.setAttribute("role", "alert");
  problem.hidden = true;
  legend(make("div", "map-legend", box));
  const card = make("div", "map-card", field);
  card.setAttribute("role", "tooltip");
  card.id = `labplatform-card-${Math.random().toString(36).slice(2)}`;
  card.hidden = true;

  const hosts = new Map(); // by key
  const tiles = new Map(); // by app
  const lanes = new Map(); // by app, "" for the kernel
  const pictures = new Map(); // by app: the address of its last picture
  const doing = new Map(); // by app: what a person has asked for, and is under way
  let facts = null;
  let place = null; // where all stands
  let placedFor = ""; // what that depends on

  // --- small help

  const put = (node, text) => node.textContent !== text && (node.textContent = text);
  function at(node, spot) {
    const key = `${spot.x} ${spot.y} ${spot.width} ${spot.height}`;
    if (node.spot === key) return;
    node.spot = key;
    Object.assign(node.style, { left: `${spot.x}px`, top: `${spot.y}px`, width: `${spot.width}px`, height: `${spot.height}px` });
  }
  const within = (spot, outer) => ({ ...spot, x: spot.x - outer.x - 1.5, y: spot.y - outer.y - 1.5 });
  const toggle = (node, name, on) => node.classList.toggle(`labplatform-${name}`, Boolean(on));
  function keep(map, wanted, make_, drop) {
    for (const key of [...map.keys()].filter((one) => !wanted.has(one))) {
      drop(map.get(key));
      map.delete(key);
    }
    for (const key of wanted) if (!map.has(key)) map.set(key, make_(key));
  }
  // "host 4711", and for a while "host 4711 → 4802"
  function pids(node, role, pid, was) {
    const text = `${role} ${was ? `${was} → ` : ""}${pid ?? "–"}`;
    if (node.shown === text) return;
    node.shown = text;
    node.replaceChildren(`${role} `);
    if (was) {
      make("span", "map-was", node).textContent = was;
      node.append(" → ");
    }
    make("b", "map-pid", node).textContent = pid ?? "–";
  }

  // --- hosts and renderers

  function head(parent, kind) {
    const node = make("div", kind, parent);
    const icon = make("span", "map-icon", node);
    const pid = make("span", "map-name", node);
    const more = make("span", "map-more", node);
    const memory = make("span", "map-memory", node);
    return { node, icon, pid, more, memory };
  }
  function newHost() {
    const node = make("div", "map-host", field);
    node.setAttribute("role", "group");
    return { node, head: head(node, "map-head"), renderers: [] };
  }
  function newRenderer(host) {
    const node = make("div", "map-renderer", host.node);
    node.setAttribute("role", "group");
    return { node, head: head(node, "map-rhead") };
  }
  function drawHost(one, spot) {
    const host = hosts.get(one.key);
    at(host.node, spot);
    toggle(host.node, "gone", one.gone);
    toggle(host.node, "harm", one.harm);
    toggle(host.node, "fresh", !one.gone && !one.pid);
    if (host.icon !== (one.gone ? one.harm : null)) {
      host.icon = one.gone ? one.harm : null;
      host.head.icon.innerHTML = one.gone ? STATES[one.harm ? "crashed" : "stopped"][1] : "";
    }
    pids(host.head.pid, "host", one.pid, one.was);
    put(host.head.more, one.helpers && !one.was ? `+${one.helpers}` : ""); // both do not fit
    host.head.more.title = one.roles ? `and ${one.roles}` : "";
    put(host.head.memory, one.gone ? one.signal : one.memory === null ? "" : size(one.memory));
    const label = one.gone ? `Host process ${one.pid ?? ""}, gone` : `Host process ${one.pid ?? "starting"}`;
    const rest = one.gone ? one.signal : [one.memory === null ? "" : size(one.memory), one.roles].filter(Boolean).join(", ");
    host.node.setAttribute("aria-label", [label, rest].filter(Boolean).join(", "));
    while (host.renderers.length > one.renderers.length) host.renderers.pop().node.remove();
    while (host.renderers.length < one.renderers.length) host.renderers.push(newRenderer(host));
    one.renderers.forEach((renderer, index) => drawRenderer(host.renderers[index], renderer, spot.renderers[index], spot));
    for (const service of spot.services) hang(tiles.get(service.name), host.node, within(service, spot), true);
  }
  function drawRenderer(drawn, renderer, spot, outer) {
    at(drawn.node, within(spot, outer));
    toggle(drawn.node, "gone", renderer.gone);
    toggle(drawn.node, "fresh", !renderer.gone && !renderer.pid);
    pids(drawn.head.pid, "renderer", renderer.pid, renderer.was);
    put(drawn.head.memory, renderer.memory === null || renderer.was ? "" : size(renderer.memory));
    const label = `Renderer process ${renderer.pid ?? "starting"}${renderer.gone ? ", gone" : ""}`;
    drawn.node.setAttribute("aria-label", [label, drawn.head.memory.textContent].filter(Boolean).join(", "));
    for (const tile of spot.tiles) hang(tiles.get(tile.name), drawn.node, within(tile, spot), false);
  }
  // Moved only if need be: a node that is put into the page anew loses the focus.
  function hang(tile, parent, spot, small) {
    if (tile.node.parentNode !== parent) parent.append(tile.node);
    at(tile.node, spot);
    toggle(tile.node, "small", small);
    toggle(tile.node, "tall", !small && spot.width < NAMED * unit);
    toggle(tile.node, "tight", small && spot.width < ROOMY * unit);
  }

  // --- tiles

  function newTile(name) {
    const node = keepKeys(make("button", "map-tile", null));
    node.type = "button";
    const thumb = make("span", "map-thumb", node);
    const image = make("img", "map-image", thumb);
    image.alt = "";
    image.draggable = false;
    image.hidden = true;
    const text = make("span", "map-text", node);
    const who = make("span", "map-who", text);
    const chipAt = make("span", "map-chip", who);
    make("span", "map-app", who).textContent = name;
    const tile = {
      ...{ name, node, thumb, image, chipAt },
      first: make("span", "map-first", text),
      second: make("span", "map-second", text),
      state: make("span", "live", text),
    };
    tile.menu = menu(node, () => {
      hideCard();
      const app = facts.apps[name];
      return app ? appActions({ name, ...app, windows: false }, act, (word, promise) => begun(name, word, promise), showPicture) : [];
    });
    node.addEventListener("focus", () => node.matches(":focus-visible") && showCard(tile));
    node.addEventListener("blur", hideCard);
    node.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && soon(tile));
    node.addEventListener("pointerleave", () => document.activeElement !== node && hideCard());
    node.addEventListener("keydown", (event) => event.key === "Escape" && hideCard());
    return tile;
  }
  function dropTile(tile) {
    if (tile === carded) hideCard();
    tile.menu.close(false);
    tile.node.remove();
    if (pictures.has(tile.name)) URL.revokeObjectURL(pictures.get(tile.name));
    pictures.delete(tile.name);
  }
  function drawTile(tile, app, look) {
    if (look && tile.look !== look) {
      tile.look = look;
      paint(tile.node, look);
      tile.chipAt.replaceChildren();
      chip(tile.chipAt, look);
    }
    toggle(tile.node, "gone", app.gone);
    toggle(tile.node, "stalled", app.stalled);
    toggle(tile.node, "fresh", app.state === "starting" && !app.gone);
    const under = doing.get(tile.name);
    const first = under && !app.gone ? `${under} …` : (app.lines[0] ?? "");
    put(tile.first, first);
    put(tile.second, app.lines[1] ?? "");
    tile.first.dataset.kind = under ? "" : app.kind;
    put(tile.state, `, ${app.state}`);
  }

  // --- pictures

  async function picture(name, data) {
    const tile = tiles.get(name);
    if (!tile) return;
    const address = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    try {
      const loaded = new Image();
      loaded.src = address;
      await loaded.decode();
      const former = pictures.get(name);
      if (tiles.get(name) !== tile) throw new Error("its tile has gone");
      tile.image.src = address;
      tile.image.hidden = false;
      pictures.set(name, address);
      tile.image.dataset.count = Number(tile.image.dataset.count ?? 0) + 1;
      if (former) URL.revokeObjectURL(former);
    } catch {
      URL.revokeObjectURL(address); // a broken one, or too late: the next will do
    }
  }

  // --- details

  let carded = null; // the tile whose details are shown
  let cardTimer = 0;
  function soon(tile) {
    clearTimeout(cardTimer);
    cardTimer = setTimeout(() => !tile.menu.isOpen() && showCard(tile), CARD_SOON);
  }
  function showCard(tile) {
    clearTimeout(cardTimer);
    carded?.node.removeAttribute("aria-describedby");
    carded = tile;
    tile.node.setAttribute("aria-describedby", card.id);
    card.hidden = false;
    drawCard();
  }
  function hideCard() {
    clearTimeout(cardTimer);
    carded?.node.removeAttribute("aria-describedby");
    carded = null;
    card.hidden = true;
  }
  function drawCard() {
    const app = carded && facts.apps[carded.name];
    if (!app) return hideCard();
    const host = facts.hosts.find((one) => one.services.includes(carded.name) || one.renderers.some((r) => r.apps.includes(carded.name)));
    const renderer = host?.renderers.find((one) => one.apps.includes(carded.name));
    const used = app.memory === null ? "" : `${size(app.memory)}${app.limit ? ` of ${size(app.limit)}` : ""} in all`;
    const lines = [
      `${carded.name}: ${app.state}`,
      [`host ${host?.pid ?? "–"}`, renderer ? `renderer ${renderer.pid ?? "–"}` : "no page", app.shared ? `shared with ${app.shared}` : ""],
      [used, app.cpu === null ? "" : `CPU ${percent(app.cpu)}`],
      [app.lag && `lag ${app.lag}`, app.rate],
      host?.roles ? `beside them ${host.roles}` : "",
      [app.restarts ? `restarted ${app.restarts}×` : "", app.recycles ? `recycled ${app.recycles}×` : ""],
      app.why,
    ].map((line) => (Array.isArray(line) ? line.filter(Boolean).join(" · ") : line));
    const text = lines.filter(Boolean).join("\n");
    if (card.textContent !== text) {
      card.replaceChildren();
      for (const line of lines.filter(Boolean)) make("div", "map-card-line", card).textContent = line;
    }
    // Below its tile, or above it where there is no room.
    const own = carded.node.getBoundingClientRect();
    const whole = field.getBoundingClientRect();
    const left = Math.max(0, Math.min(own.left - whole.left, whole.width - card.offsetWidth));
    const below = own.bottom - whole.top + 6;
    const above = own.top - whole.top - card.offsetHeight - 6;
    const fits = above < 0 || own.bottom + card.offsetHeight + 10 <= box.getBoundingClientRect().bottom;
    card.style.left = `${left}px`;
    card.style.top = `${fits ? below : above}px`;
  }

  // --- what a person does

  function begun(name, word, promise) {
    doing.set(name, word);
    problem.hidden = true;
    redraw();
    promise
      .catch((error) => {
        problem.textContent = `${name}: ${error.message}`;
        problem.hidden = false;
      })
      .finally(() => {
        if (doing.get(name) === word) doing.delete(name);
        redraw();
      });
  }

  // --- lanes

  function newLane(name) {
    const draw_ = (kind) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
      svg.append(node);
      return node;
    };
    const lane = { name, line: draw_("path"), dot: draw_("circle"), waiting: [], count: null, passed: 0, running: new Set() };
    lane.line.classList.add("labplatform-map-lane");
    lane.dot.classList.add("labplatform-map-end");
    return lane;
  }
  function dropLane(lane) {
    for (const pulse of lane.running) pulse.stop();
    for (const node of [lane.line, lane.dot, lane.count, ...lane.waiting]) node?.remove();
  }
  function drawLane(lane, spot, app) {
    if (lane.path !== spot.path) {
      lane.path = spot.path;
      for (const pulse of lane.running) pulse.stop(); // it would run where no line is any more
      lane.line.setAttribute("d", spot.path);
      lane.dot.setAttribute("cx", spot.start[0]);
      lane.dot.setAttribute("cy", spot.start[1]);
      lane.dot.setAttribute("r", 2.4 * unit);
    }
    lane.spot = spot;
    const cut = Boolean(app?.gone) || facts.supervisor.gone;
    lane.line.classList.toggle("labplatform-cut", cut);
    lane.dot.classList.toggle("labplatform-cut", cut);
    drawWaiting(lane, app?.senders ?? []);
    drawCount(lane);
  }
  // Messages for one that does not answer stand at the supervisor's end of its lane.
  function drawWaiting(lane, senders) {
    while (lane.waiting.length > senders.length) lane.waiting.pop().remove();
    while (lane.waiting.length < senders.length) lane.waiting.push(make("div", "pulse labplatform-waiting", field));
    const step = 10 * unit;
    const [x, y] = lane.spot.end;
    senders.forEach((sender, index) => {
      const node = lane.waiting[index];
      colour(node, sender);
      node.style.left = `${x + (index % 2) * step}px`;
      node.style.top = `${y - 7 * unit - Math.floor(index / 2) * step}px`;
    });
  }
  function drawCount(lane) {
    if (still.matches && lane.passed) {
      lane.count ??= make("span", "map-count", field);
      put(lane.count, `${lane.passed}`);
      lane.count.style.left = `${lane.spot.end[0] + 4 * unit}px`;
      lane.count.style.top = `${lane.spot.end[1] - 17 * unit}px`;
    } else if (lane.count) {
      lane.count.remove();
      lane.count = null;
    }
  }

  // --- pulses

  let pulsing = 0;
  function colour(node, sender) {
    const look = sender && model.get("looks")[sender];
    if (look) paint(node, look);
  }
  function pulse(lane, sender, inwards, delay) {
    if (pulsing >= PULSES_AT_ONCE || !lane) return;
    pulsing += 1;
    const node = make("div", "pulse", field);
    colour(node, sender);
    node.style.offsetPath = `path("${lane.path}")`;
    // Out of sight until its time has come.
    const way = ["0%", "100%"].map((offsetDistance) => ({ offsetDistance, opacity: 1 }));
    const moving = node.animate(inwards ? way : way.reverse(), { duration: PULSE, delay, easing: "ease-in-out" });
    const one = {
      stop() {
        if (!lane.running.delete(one)) return;
        pulsing -= 1;
        moving.cancel();
        node.remove();
      },
    };
    lane.running.add(one);
    moving.onfinish = one.stop;
  }
  function told({ pulses, counts }) {
    for (const [name, count] of counts) {
      const lane = lanes.get(name);
      if (lane) lane.passed += count;
      if (lane && still.matches) drawCount(lane);
    }
    if (still.matches || document.hidden) return;
    for (const [delay, sender, receivers] of pulses) {
      const from = sender === null ? null : lanes.get(sender);
      pulse(from, sender, true, delay);
      for (const receiver of receivers) {
        const app = facts.apps[receiver];
        if (app?.gone || app?.stalled || receiver === null) continue;
        pulse(lanes.get(receiver), sender, false, delay + (from ? PULSE : 0));
      }
    }
  }

  // --- all of it

  function draw(now) {
    const former = facts;
    facts = now;
    redraw();
    if (former) announce(former, now);
  }

  function redraw() {
    if (!facts) return;
    const looks = model.get("looks");
    put(summary, facts.summary);
    put(title, facts.heading.title);
    put(words, facts.heading.words);
    put(harm, facts.heading.harm);
    words.hidden = Boolean(facts.heading.harm);
    const room = Math.floor(field.clientWidth);
    if (!room) return; // not on the page yet
    const needed = JSON.stringify([room, facts.hosts.map((one) => [one.key, one.renderers.map((r) => r.apps), one.services])]);
    if (needed !== placedFor) {
      placedFor = needed;
      place = places(facts, room, unit);
      field.style.height = `${place.height}px`;
      svg.setAttribute("width", room);
      svg.setAttribute("height", place.height);
    }
    keep(tiles, new Set(Object.keys(facts.apps)), newTile, dropTile);
    const stands = new Map(place.hosts.map((one) => [one.key, one]));
    keep(hosts, new Set(facts.hosts.map((one) => one.key)), newHost, (host) => host.node.remove());
    for (const one of facts.hosts) drawHost(one, stands.get(one.key));
    for (const [name, tile] of tiles) drawTile(tile, facts.apps[name], looks[name]);
    drawEnds();
    keep(lanes, new Set(Object.keys(place.lanes)), newLane, dropLane);
    for (const [name, lane] of lanes) drawLane(lane, place.lanes[name], facts.apps[name]);
    order();
    drawFinding();
    if (carded) drawCard();
  }
  // The order of nodes is that of reading; what stands right already is not touched.
  let lastOrder = "";
  function order() {
    const wanted = [...facts.hosts.map((one) => hosts.get(one.key).node), kernel, supervisor];
    const key = facts.hosts.map((one) => one.key).join("\n");
    if (key === lastOrder) return;
    lastOrder = key;
    const focused = document.activeElement;
    for (const node of wanted) field.append(node);
    field.append(svg, card);
    if (field.contains(focused)) focused.focus();
  }

  const supervisorHead = head(supervisor, "map-head");
  const kernelHead = head(kernel, "map-head");
  const kernelWords = make("div", "map-cell", kernel);
  supervisor.setAttribute("role", "group");
  kernel.setAttribute("role", "group");
  function drawEnds() {
    const { supervisor: one, kernel: own } = facts;
    at(supervisor, place.supervisor);
    toggle(supervisor, "gone", one.gone);
    toggle(supervisor, "harm", facts.state === "lost");
    pids(supervisorHead.pid, "supervisor", one.pid, null);
    put(supervisorHead.more, one.words);
    put(supervisorHead.memory, one.memory === null ? "" : size(one.memory));
    supervisor.setAttribute("aria-label", `Supervisor process ${one.pid ?? "none"}`);
    at(kernel, place.kernel);
    pids(kernelHead.pid, "kernel", own.pid, null);
    put(kernelHead.memory, own.memory === null ? "" : size(own.memory));
    const lines = place.kernel.small ? own.words.slice(0, 1) : ["this notebook", ...own.words];
    const text = lines.join("\n");
    if (kernelWords.text !== text) {
      kernelWords.text = text;
      kernelWords.replaceChildren();
      for (const line of lines) make("div", "map-cell-line", kernelWords).textContent = line;
    }
    kernel.setAttribute("aria-label", `Kernel process ${own.pid}, this notebook`);
  }

  function drawFinding() {
    const text = JSON.stringify(facts.finding);
    if (finding.text === text) return;
    finding.text = text;
    finding.replaceChildren();
    for (const [piece, strong] of facts.finding) {
      if (strong) make("b", "map-figure", finding).textContent = piece;
      else finding.append(piece);
    }
    finding.hidden = !facts.finding.length;
  }

  function announce(former, now) {
    const said = [];
    for (const [name, app] of Object.entries(now.apps)) {
      const before = former.apps[name];
      if (!before || before.state === app.state) continue;
      if ((app.gone && !before.gone) || app.stalled) said.push(`${name}: ${app.lines[0]}`);
      else if (before.gone && app.state === "running") said.push(`${name} is ${app.lines[0]}`);
    }
    if (now.state !== former.state && now.problem) said.push(now.problem);
    if (said.length) live.textContent = said.join("; ");
  }

  function legend(node) {
    const key = (sample, text) => {
      const one = make("span", "map-key", node);
      make("span", `map-sample labplatform-sample-${sample}`, one).setAttribute("aria-hidden", "true");
      one.append(text);
    };
    key("process", "OS process, with its PID and private memory; +2: helper processes");
    key("message", "message, in its sender’s colour");
    key("gone", "gone");
  }

  function messaged(message, buffers) {
    if (message?.pictures) message.pictures.forEach((name, index) => picture(name, buffers[index]));
    if (message?.pulses && facts) told(message);
  }

  // The facts of a saved notebook or a first look are drawn once the field has a width.
  const resized = new ResizeObserver(() => redraw());
  resized.observe(field);
  const relook = () => redraw();
  model.on("msg:custom", messaged);
  model.on("change:looks", relook);
  still.addEventListener("change", relook);
  frame.begin();

  return () => {
    resized.disconnect();
    model.off("msg:custom", messaged);
    model.off("change:looks", relook);
    still.removeEventListener("change", relook);
    hideCard();
    for (const lane of lanes.values()) dropLane(lane);
    for (const tile of tiles.values()) tile.menu.close(false);
    for (const address of pictures.values()) URL.revokeObjectURL(address);
    frame.end();
  };
}

export default { render };
