// The page side of AppView: draws the pictures, says every few seconds that it shows them, puts the state in words, and
// passes on what a person does on the picture.

const PID_CHANGE = 6000; // milliseconds that a change of PID stays

const INPUTS_EVERY = 40; // milliseconds between two words with moves and turns of the wheel; all else goes at once
const MOST_TEXT = 4096; // characters that are put in at once

// What a person does on `picture`, told by `say({ inputs })` in the kernel's words. The wheel is the app's only while
// the picture has the focus, for else nobody could scroll past it.
function passOn(picture, say) {
  const BUTTONS = ["left", "middle", "right"];
  let waiting = [];
  let timer = 0;
  let held = new Set();

  const tell = () => {
    clearTimeout(timer);
    timer = 0;
    const inputs = waiting;
    waiting = [];
    if (inputs.length) say({ inputs });
  };
  const soon = (input) => {
    const last = waiting[waiting.length - 1];
    // A move overtakes one that waits; turns of the wheel add up.
    if (last?.input === "mouse" && last.what === "move" && input.input === "mouse") waiting.pop();
    if (last?.input === "wheel" && input.input === "wheel") {
      waiting.pop();
      input = { ...input, dx: last.dx + input.dx, dy: last.dy + input.dy };
    }
    waiting.push(input);
    timer ||= setTimeout(tell, INPUTS_EVERY);
  };
  const now = (input) => {
    waiting.push(input);
    tell();
  };
  const place = (event) => {
    const box = picture.getBoundingClientRect();
    const within = (value) => Math.min(1, Math.max(0, value));
    return { x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height) };
  };
  const modifiers = (event) => ({
    modifiers: ["shift", "control", "alt", "meta"].filter((name) => event[name === "control" ? "ctrlKey" : `${name}Key`]),
  });
  const mouse = (event, what, more) => ({
    ...{ input: "mouse", what, held: [...held], ...place(event), ...modifiers(event), ...more },
  });
  const focused = () => document.activeElement === picture;

  const events = {
    pointerdown(event) {
      const button = BUTTONS[event.button];
      if (!button) return;
      event.preventDefault();
      picture.focus({ preventScroll: true });
      picture.setPointerCapture(event.pointerId);
      held.add(button);
      now(mouse(event, "press", { button, clicks: Math.min(3, Math.max(1, event.detail || 1)) }));
    },
    pointerup(event) {
      const button = BUTTONS[event.button];
      if (!button || !held.delete(button)) return;
      now(mouse(event, "release", { button }));
    },
    pointercancel(event) {
      for (const button of [...held]) {
        held.delete(button);
        now(mouse(event, "release", { button }));
      }
    },
    pointermove(event) {
      if (focused() || held.size) soon(mouse(event, "move"));
    },
    wheel(event) {
      if (!focused() || event.ctrlKey) return;
      event.preventDefault();
      const unit = [1, 16, picture.clientHeight][event.deltaMode] ?? 1;
      const turn = (value) => Math.min(10_000, Math.max(-10_000, value * unit));
      soon({ input: "wheel", ...place(event), dx: turn(event.deltaX), dy: turn(event.deltaY), ...modifiers(event) });
    },
    keydown(event) {
      if (event.key === "Escape" && event.shiftKey) {
        picture.blur();
        return;
      }
      // What is pasted comes as text, from the clipboard of the machine that the person sits at.
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "v") return;
      if (event.isComposing || event.key === "Dead" || event.key === "Process" || event.key === "Unidentified") return;
      event.preventDefault();
      event.stopPropagation();
      now({ input: "key", what: "press", key: event.key, repeat: event.repeat, ...modifiers(event) });
    },
    keyup(event) {
      if (event.isComposing || ["Dead", "Process", "Unidentified"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      now({ input: "key", what: "release", key: event.key, ...modifiers(event) });
    },
    paste(event) {
      const text = event.clipboardData?.getData("text/plain").slice(0, MOST_TEXT);
      event.preventDefault();
      event.stopPropagation();
      if (text) now({ input: "text", text });
    },
    contextmenu(event) {
      event.preventDefault();
    },
  };
  keepKeys(picture);
  for (const [name, react] of Object.entries(events)) picture.addEventListener(name, react, { passive: false });
  return () => clearTimeout(timer);
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

  const { spoke, say, end } = presence({
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

  let endPassingOn = () => {};
  if (look.interactive) {
    picture.tabIndex = 0;
    picture.setAttribute("role", "application");
    picture.setAttribute("aria-label", `Window of ${look.title}; Shift+Escape leaves it`);
    picture.classList.add("labplatform-steered");
    make("span", "steering", picture).textContent = "Keys go to the app · Shift+Esc leaves";
    endPassingOn = passOn(picture, say);
  }

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
    endPassingOn();
    end();
    if (address) URL.revokeObjectURL(address);
  };
}

export default { render };
