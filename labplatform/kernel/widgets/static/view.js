// The page side of AppView: draws the pictures, says every few seconds that it shows them, and puts the state in words.

const shape = (paths) => `<svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">${paths}</svg>`;
const stroke = (d, width = 1.8, more = "") =>
  `<path d="${d}" fill="none" stroke="currentColor" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round" ${more}/>`;
const SQUARE = "M4.5 3.5h7a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z";

const STATES = {
  starting: ["Starting", shape(stroke("M8 2.8A5.2 5.2 0 1 1 2.8 8"))],
  running: ["Running", shape('<circle cx="8" cy="8" r="4.2" fill="currentColor"/>')],
  unresponsive: ["Stalled", shape(stroke("M4.2 2.8h7.6L4.2 13.2h7.6z", 1.7))],
  stopping: ["Stopping", shape(stroke(SQUARE, 1.6, 'stroke-dasharray="2.2 2.4"'))],
  stopped: ["Stopped", shape(stroke(SQUARE, 1.6))],
  crashed: ["Crashed", shape(stroke("M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4", 2.2))],
  "backing-off": ["Backing off", shape(stroke("M12.9 6.2A5.3 5.3 0 1 0 13.3 9M13.6 2.9v3.7H9.9"))],
  failed: ["Failed", shape(stroke("M5.4 2h5.2L14 5.4v5.2L10.6 14H5.4L2 10.6V5.4z", 1.6) + stroke("M8 4.9v3.6M8 11v.2", 1.9))],
};
const LOST = ["No answer from kernel", STATES.stopped[1]];
const GONE = new Set(["crashed", "backing-off", "failed", "stopped"]);
const PID_CHANGE = 6000; // milliseconds that a change of PID stays

function make(tag, name, parent) {
  const node = document.createElement(tag);
  node.className = `labplatform-${name}`;
  parent?.append(node);
  return node;
}

function chip(parent, look) {
  const node = make("span", "glyph", parent);
  node.setAttribute("aria-hidden", "true");
  if (look.glyph) {
    const image = document.createElement("img");
    image.src = look.glyph;
    image.alt = "";
    node.append(image);
  } else {
    node.textContent = look.title.trim().slice(0, 1).toUpperCase();
    node.style.setProperty("--labplatform-app", look.color || "");
    node.classList.add("labplatform-letter");
  }
}

function render({ model, el }) {
  const look = model.get("look");
  const box = make("figure", "box", el);
  const picture = make("div", "picture", box);
  picture.style.aspectRatio = look.aspect;
  const image = make("img", "image", picture);
  image.draggable = false;
  image.hidden = true;
  const empty = make("span", "empty", picture);
  const caption = make("figcaption", "caption", box);
  const who = make("div", "row", caption);
  chip(who, look);
  const title = make("span", "title", who);
  title.textContent = look.title;
  title.title = look.name;
  const pid = make("span", "pid", who);
  const how = make("div", "row", caption);
  const state = make("span", "state", how);
  const aside = make("span", "aside", how);
  const live = make("div", "live", box);
  live.setAttribute("role", "status");
  live.setAttribute("aria-live", "polite");

  // --- what the app does

  let last = null; // the status drawn before this one
  let pidBefore = null; // the PID of the incarnation before, while the change is shown
  let lastPid = null;
  let pidTimer = 0;
  let lost = false;

  function draw() {
    const status = model.get("status");
    // On its way back after a fault it is still gone; what has never been there only starts.
    const gone = lost || GONE.has(status.state) || (status.state === "starting" && status.ending !== "");
    const back = last && last.state !== "running" && status.state === "running" && status.incarnation > 1;
    if (status.pid !== null && lastPid !== null && status.pid !== lastPid) pidBefore = lastPid;
    const [word, icon] = lost ? LOST : (STATES[status.state] ?? [status.state, ""]);
    const ended = gone && !lost && status.state !== "stopped" && status.ending;

    box.dataset.state = lost ? "lost" : status.state;
    box.classList.toggle("labplatform-gone", gone);
    box.classList.toggle("labplatform-harm", Boolean(ended) || (!lost && status.state === "unresponsive"));
    box.classList.toggle("labplatform-stale", !gone && status.state === "starting");
    state.innerHTML = ended ? (status.state === "failed" ? STATES.failed : STATES.crashed)[1] : icon;
    state.append(ended || word);
    aside.innerHTML = ended ? icon : "";
    if (ended) aside.append(word);
    else if (gone) aside.textContent = lost ? "" : status.ending;
    else if (pidBefore === null && back && last.incarnation) aside.textContent = "page loaded anew";
    else aside.textContent = status.shared ? `process of ${status.shared + 1} apps` : "own process";

    pid.textContent = "";
    const shown = status.pid ?? (gone ? null : lastPid);
    if (pidBefore !== null && shown !== null && shown !== pidBefore) {
      make("s", "former", pid).textContent = pidBefore;
      pid.append(" → ");
      make("b", "new", pid).textContent = shown;
      pid.setAttribute("aria-label", `PID ${pidBefore}, now ${shown}`);
    } else {
      pid.removeAttribute("aria-label");
      pid.textContent = shown !== null ? `PID ${shown}` : lastPid !== null ? `was PID ${lastPid}` : "";
    }
    if (back) {
      clearTimeout(pidTimer);
      pidTimer = setTimeout(() => {
        pidBefore = null;
        draw();
      }, PID_CHANGE);
    }

    image.alt = gone
      ? `Last picture of ${look.title}: ${lost ? word : status.ending || word}`
      : `${status.state === "running" ? "Live" : "Last"} picture of ${look.title}, ${word.toLowerCase()}, PID ${shown ?? "none"}`;
    empty.textContent = gone ? "No picture" : "Waiting for a picture";
    if (last && !lost && last.state !== status.state) {
      if (gone) live.textContent = `${look.title}: ${status.ending || word}`;
      else if (status.state === "unresponsive") live.textContent = `${look.title}: ${word}`;
      else if (back) live.textContent = `${look.title} is back` + (pidBefore ? `, PID ${pidBefore}, now ${shown}` : "");
    }
    if (status.pid !== null) lastPid = status.pid;
    last = status;
  }

  // --- pictures

  const page = crypto.getRandomValues(new Uint32Array(3)).join("-");
  let drawn = model.get("number");
  let drawing = false;
  let newer = false;
  let address = "";

  async function drawPicture() {
    const data = model.get("frame");
    if (!data?.byteLength) return;
    if (drawing) {
      newer = true; // the one under way first; those in between are left out
      return;
    }
    drawing = true;
    const number = model.get("number");
    const next = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    try {
      const loaded = new Image();
      loaded.src = next;
      await loaded.decode();
      image.src = next;
      image.hidden = false;
      image.dataset.number = number;
      empty.hidden = true;
      picture.style.aspectRatio = `${loaded.naturalWidth} / ${loaded.naturalHeight}`;
      if (address) URL.revokeObjectURL(address);
      address = next;
    } catch {
      URL.revokeObjectURL(next); // a broken picture: the next one will do
    }
    drawn = number;
    drawing = false;
    if (newer) {
      newer = false;
      drawPicture();
    }
  }

  // --- whether anybody sees it, and whether a kernel answers

  let inView = false;
  let beat = 0;
  let closed = false; // Jupyter says that this model has no kernel any more
  let heard = 0; // when the kernel gave its last sign of life, in milliseconds

  function setLost(now) {
    if (now === lost) return;
    lost = now;
    draw();
  }

  function kernelSpoke() {
    heard = performance.now();
    setLost(closed);
  }

  function say(shown) {
    if (!closed) model.send({ page, shown, drawn });
  }

  function lookAgain() {
    const shown = inView && !document.hidden;
    if (shown && !beat) {
      heard = performance.now();
      say(true);
      beat = setInterval(() => {
        if (performance.now() - heard > look.silence * 1000) setLost(true);
        say(true);
      }, look.beat * 1000);
    } else if (!shown && beat) {
      clearInterval(beat);
      beat = 0;
      say(false);
    }
  }

  function connectionChanged() {
    closed = true;
    setLost(true);
  }

  const observer = new IntersectionObserver((entries) => {
    inView = entries[entries.length - 1].isIntersecting;
    lookAgain();
  });
  observer.observe(box);
  document.addEventListener("visibilitychange", lookAgain);

  const events = {
    "change:status": () => (kernelSpoke(), draw()),
    "change:number": () => (kernelSpoke(), drawPicture()),
    "msg:custom": kernelSpoke,
    comm_live_update: connectionChanged,
  };
  for (const [name, react] of Object.entries(events)) model.on(name, react);
  draw();
  drawPicture();

  return () => {
    for (const [name, react] of Object.entries(events)) model.off(name, react);
    document.removeEventListener("visibilitychange", lookAgain);
    observer.disconnect();
    clearTimeout(pidTimer);
    inView = false;
    lookAgain();
    if (address) URL.revokeObjectURL(address);
  };
}

export default { render };
