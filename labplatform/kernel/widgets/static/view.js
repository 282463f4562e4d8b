// The page side of AppView: draws the pictures, says every few seconds that it shows them, and puts the state in words.

const PID_CHANGE = 6000; // milliseconds that a change of PID stays

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
  const live = announcer(box);

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
    if (status.pid !== null && lastPid !== null && status.pid !== lastPid) {
      pidBefore = lastPid;
      clearTimeout(pidTimer); // that of the return before this one
    }
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

  const { spoke, end } = presence({
    model,
    box,
    beat: look.beat,
    silence: look.silence,
    more: () => ({ drawn }),
    lost(now) {
      if (now === lost) return;
      lost = now;
      draw();
    },
  });

  const events = {
    "change:status": () => (spoke(), draw()),
    "change:number": () => (spoke(), drawPicture()),
  };
  for (const [name, react] of Object.entries(events)) model.on(name, react);
  draw();
  drawPicture();

  return () => {
    for (const [name, react] of Object.entries(events)) model.off(name, react);
    clearTimeout(pidTimer);
    end();
    if (address) URL.revokeObjectURL(address);
  };
}

export default { render };
