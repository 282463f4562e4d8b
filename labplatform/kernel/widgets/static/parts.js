// What the page sides of all widgets share: elements, icons, an app's glyph, and the word between page and kernel.

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
const UNANSWERED = 60_000; // milliseconds after which an action that nobody answers is given up
const PALE = 200; // grey value, of 255, from which on a letter is dark on an app's colour
const LOST = ["No answer from kernel", STATES.stopped[1]];
const GONE = new Set(["crashed", "backing-off", "failed", "stopped"]);
const HARM = new Set(["unresponsive", "crashed", "failed"]); // states that take harm's colour
const ICONS = {
  more: shape('<g fill="currentColor"><circle cx="3" cy="8" r="1.3"/><circle cx="8" cy="8" r="1.3"/><circle cx="13" cy="8" r="1.3"/></g>'),
  open: shape(stroke("M6 3.5L10.5 8L6 12.5", 1.6)),
  bolt: shape('<path d="M9.2 1.5L3.5 9h3.6l-.6 5.5L12.5 7H8.6z" fill="currentColor"/>'),
  kill: shape('<rect x="3.5" y="3.5" width="9" height="9" rx="1" fill="currentColor"/>'),
  pause: shape(stroke("M5.5 3.5v9M10.5 3.5v9", 2)),
  play: shape('<path d="M4.5 2.8v10.4L13 8z" fill="currentColor"/>'),
  check: shape(stroke("M3 8.5l3.4 3.4L13 4.8", 1.9)),
  close: shape(stroke("M4 4l8 8M12 4l-8 8", 1.7)),
  recycle: shape(stroke("M3.2 6.4A5.2 5.2 0 0 1 12.6 5.4M12.9 2.6v3h-3M12.8 9.6A5.2 5.2 0 0 1 3.4 10.6M3.1 13.4v-3h3", 1.6)),
  tools: shape(stroke("M5.5 4.5L2 8l3.5 3.5M10.5 4.5L14 8l-3.5 3.5", 1.6)),
  picture: shape(stroke("M2.5 3.5h11v9h-11zM2.8 11l3.2-3.2 2.4 2.4 2-2 2.8 2.8", 1.4) + '<circle cx="10.6" cy="6" r="1" fill="currentColor"/>'),
};

function make(tag, name, parent) {
  const node = document.createElement(tag);
  node.className = `labplatform-${name}`;
  parent?.append(node);
  return node;
}

// Jupyter would take arrows, Enter and Escape for the notebook's. It asks the element that has the focus.
function keepKeys(element) {
  element.dataset.lmSuppressShortcuts = "true";
  return element;
}

// Change a node's words, if they are others: who reads it or has it marked is left alone else.
function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

// A button with an icon, words, or both; `name` says what it does where it has no words.
function button(parent, { words = "", icon = "", name = "", kind = "", press }) {
  const node = keepKeys(make("button", `button${kind ? ` labplatform-${kind}` : ""}`, parent));
  node.type = "button";
  node.innerHTML = icon;
  node.append(words);
  if (name) node.setAttribute("aria-label", name);
  if (name && !words) node.title = name;
  if (press) node.addEventListener("click", press);
  return node;
}

// One of several, beside one another: [[value, words], …]. Arrow keys move; `choose(value)` is told.
function segmented(parent, name, options, chosen, choose) {
  const node = keepKeys(make("div", "segmented", parent));
  node.setAttribute("role", "radiogroup");
  node.setAttribute("aria-label", name);
  const buttons = options.map(([value, words]) => {
    const one = keepKeys(make("button", "segment", node));
    one.type = "button";
    one.setAttribute("role", "radio");
    one.textContent = words;
    one.addEventListener("click", () => pick(value));
    return one;
  });
  function mark(value) {
    options.forEach(([own], at) => {
      buttons[at].setAttribute("aria-checked", String(own === value));
      buttons[at].tabIndex = own === value ? 0 : -1;
    });
  }
  function pick(value) {
    chosen = value;
    mark(value);
    choose(value);
  }
  node.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = options.findIndex(([own]) => own === chosen);
    const next = (at + step + options.length) % options.length;
    pick(options[next][0]);
    buttons[next].focus();
  });
  mark(chosen);
  return { node, set: (value) => mark((chosen = value)) };
}

// A menu below a button: `items()` gives [{ words, icon?, kind?, press }, …] or null for a line, each time it opens; one
// with `items` opens a menu of its own beside it, one with `off` cannot be had now, and says why; `note` says more.
function menu(opener, items) {
  opener.setAttribute("aria-haspopup", "menu");
  opener.setAttribute("aria-expanded", "false");
  let lists = []; // the open menu, and the one beside it
  let stood = null; // where the opener was when it opened

  function close(focus = true) {
    if (!lists.length) return;
    drop(0);
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    window.removeEventListener("scroll", away, true);
    if (focus) opener.focus();
  }
  function drop(depth) {
    for (const list of lists.splice(depth)) {
      list.from?.setAttribute("aria-expanded", "false");
      list.remove();
    }
  }
  const inside = (node) => lists.some((list) => list.contains(node));
  const outside = (event) => {
    if (!inside(event.target) && !opener.contains(event.target)) close(false);
  };
  // Much scrolls on a page that is none of the menu's: a log that is followed, an output that grows.
  const away = () => {
    const now = opener.getBoundingClientRect();
    if (now.x !== stood.x || now.y !== stood.y) close(false);
  };

  function entry(item, list, depth) {
    const node = keepKeys(make("button", `menu-item${item.kind ? ` labplatform-${item.kind}` : ""}`, list));
    node.type = "button";
    node.setAttribute("role", "menuitem");
    node.tabIndex = -1;
    node.innerHTML = item.icon ?? "";
    node.append(item.words);
    if (item.off) node.setAttribute("aria-disabled", "true");
    if (item.off || item.note) make("span", "menu-why", node).textContent = item.off || item.note;
    if (item.items) {
      node.setAttribute("aria-haspopup", "menu");
      node.setAttribute("aria-expanded", "false");
      make("span", "menu-more", node).innerHTML = ICONS.open;
      node.beside = (focus) => {
        drop(depth + 1);
        show(item.items, depth + 1, node);
        node.setAttribute("aria-expanded", "true");
        if (focus) lists[depth + 1].querySelector('[role="menuitem"]')?.focus();
      };
      node.addEventListener("click", () => node.beside(true));
      node.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && node.beside(false));
      return;
    }
    node.addEventListener("pointerenter", () => drop(depth + 1));
    node.addEventListener("click", () => {
      if (item.off) return;
      close();
      item.press();
    });
  }

  function keys(event, list, depth) {
    const all = [...list.querySelectorAll('[role="menuitem"]')];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) {
      all[(to + all.length) % all.length].focus();
    } else if (event.key === "ArrowRight" && all[at]?.beside) {
      all[at].beside(true);
    } else if (depth > 0 && (event.key === "ArrowLeft" || event.key === "Escape")) {
      list.from.focus();
      drop(depth);
    } else if (event.key === "Escape" || event.key === "Tab") {
      close();
    } else {
      return;
    }
    if (event.key !== "Tab") event.preventDefault();
    event.stopPropagation();
  }

  function show(entries, depth, from) {
    // On the page itself, for boxes cut off what stands out of them; within a dialog, for that hides all else.
    const list = keepKeys(make("div", "box labplatform-menu", opener.closest("dialog") ?? document.body));
    list.setAttribute("role", "menu");
    list.setAttribute("aria-label", (depth ? from.textContent : opener.getAttribute("aria-label")) ?? "");
    list.from = depth ? from : null;
    lists[depth] = list;
    for (const item of entries) {
      if (item) entry(item, list, depth);
      else make("div", "menu-line", list).setAttribute("role", "separator");
    }
    // Below the button, or beside the entry; on the other side where there is no room.
    const place = from.getBoundingClientRect();
    const [width, height] = [list.offsetWidth, list.offsetHeight];
    const right = place.right + 2 + width < window.innerWidth - 8 ? place.right + 2 : place.left - width - 2;
    const left = depth ? right : Math.min(place.right - width, window.innerWidth - width - 8);
    const below = depth ? place.top - 5 : place.bottom + 4;
    const above = depth ? window.innerHeight - 8 - height : place.top - 4 - height;
    list.style.left = `${Math.max(8, left)}px`;
    list.style.top = `${Math.max(8, below + height < window.innerHeight - 8 ? below : above)}px`;
    list.addEventListener("keydown", (event) => keys(event, list, depth));
  }

  function open() {
    stood = opener.getBoundingClientRect();
    show(items(), 0, opener);
    opener.setAttribute("aria-expanded", "true");
    document.addEventListener("pointerdown", outside, true);
    window.addEventListener("scroll", away, true);
    lists[0].querySelector('[role="menuitem"]')?.focus();
  }

  opener.addEventListener("click", () => (lists.length ? close() : open()));
  opener.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && !lists.length) {
      event.preventDefault();
      open();
    }
  });
  return { close, isOpen: () => lists.length > 0 };
}

// A button that asks before it acts: pressed, it makes way for a question, the deed, and a way out. `ask()` gives
// { question, deed } or null for "nothing to do".
function asking(parent, { words, icon = "", kind = "danger", ask, press }) {
  const node = make("div", "asking", parent);
  function rest(focus) {
    node.replaceChildren();
    node.removeAttribute("role");
    const first = button(node, { words, icon, kind, press: begin });
    if (focus) first.focus();
  }
  function begin() {
    const asked = ask();
    if (!asked) return;
    node.replaceChildren();
    node.setAttribute("role", "group");
    const question = make("span", "asking-words", node);
    question.textContent = asked.question;
    node.setAttribute("aria-label", asked.question);
    const deed = button(node, {
      words: asked.deed,
      icon,
      kind: `${kind} labplatform-sure`,
      press: () => {
        rest(true);
        press();
      },
    });
    button(node, { words: "Cancel", press: () => rest(true) });
    deed.focus();
  }
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || node.childElementCount === 1) return;
    event.stopPropagation();
    rest(true);
  });
  rest(false);
  return node;
}

// A window of its own above the page: `title`, what `fill(body)` puts below it, and a way to close it.
function dialog(title, fill) {
  const node = keepKeys(document.createElement("dialog"));
  node.className = "labplatform-box labplatform-dialog";
  node.setAttribute("aria-label", title);
  const head = make("div", "dialog-head", node);
  make("h3", "dialog-title", head).textContent = title;
  button(head, { icon: ICONS.close, name: "Close", kind: "quiet", press: () => node.close() });
  const body = make("div", "dialog-body", node);
  fill(body);
  document.body.append(node);
  const back = document.activeElement;
  node.addEventListener("click", (event) => event.target === node && node.close());
  node.addEventListener("keydown", (event) => event.stopPropagation());
  node.addEventListener("close", () => {
    node.remove();
    if (back?.isConnected) back.focus();
  });
  node.showModal();
  return { node, body, close: () => node.close() };
}

// What a person does, done by the kernel: `act(word, with)` is a promise, rejected with the kernel's words.
function actor(model, page, say) {
  const waiting = new Map();
  let count = 0;
  function take(word) {
    if (word?.page !== page || !waiting.has(word.done)) return;
    const [resolve, reject] = waiting.get(word.done);
    waiting.delete(word.done);
    if (word.problem) reject(new Error(word.problem));
    else resolve(word.value);
  }
  model.on("msg:custom", take);
  return {
    act(word, given = {}) {
      const number = ++count;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          if (waiting.delete(number)) reject(new Error("no answer from the kernel"));
        }, UNANSWERED);
        const settled = (one) => (value) => (clearTimeout(timer), one(value));
        waiting.set(number, [settled(resolve), settled(reject)]);
        say({ do: { number, word, with: given } });
      });
    },
    end: () => model.off("msg:custom", take),
  };
}

// Figures in words, in one way everywhere.
function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  if (bytes < 9.95e9) return `${Math.round(bytes / 1e6)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
function milliseconds(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const value = seconds * 1000;
  return value < 10 ? `${value.toFixed(1)} ms` : value < 10_000 ? `${Math.round(value)} ms` : `${Math.round(seconds)} s`;
}
function percent(value) {
  return value === null || value === undefined ? "–" : `${value.toFixed(1)} %`;
}
function clockTime(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

// Gives a node an app's colours: --labplatform-app, and --app-line and --app-word, which follow the theme.
function paint(node, look) {
  node.classList.add("labplatform-painted");
  node.style.setProperty("--labplatform-app", look.color || "#8a939c");
  for (const [use, colours] of Object.entries(look.shades ?? {})) {
    for (const [theme, colour] of Object.entries(colours)) node.style.setProperty(`--app-${use}-${theme}`, colour);
  }
  return node;
}

// A state as its icon and its word.
function stateOf(parent, state) {
  const node = make("span", "state-of", parent);
  const set = (now) => {
    const [word, icon] = STATES[now] ?? [now, ""];
    node.innerHTML = icon;
    node.append(word.toLowerCase());
    node.classList.toggle("labplatform-harmed", HARM.has(now));
  };
  set(state);
  return { node, set };
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
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt((look.color || "#8a939c").slice(at, at + 2), 16));
    node.classList.toggle("labplatform-pale", 0.3 * red + 0.59 * green + 0.11 * blue > PALE);
  }
}

function announcer(parent) {
  const node = make("div", "live", parent);
  node.setAttribute("role", "status");
  node.setAttribute("aria-live", "polite");
  return node;
}

// Tells the kernel every `beat` seconds that this page shows a widget, and `lost` when the kernel no longer answers.
// `more()` goes along with each word. With `always`, there are words while the widget is out of sight, too.
function presence({ model, box, beat, silence, always = false, more = () => ({}), lost }) {
  const page = crypto.getRandomValues(new Uint32Array(3)).join("-");
  let inView = false;
  let timer = 0;
  let closed = false; // Jupyter says that this model has no kernel any more
  let heard = 0; // when the kernel gave its last sign of life, in milliseconds
  let left = false; // the last word has been said; leaving hides the page, which is no news then

  function shown() {
    return inView && !document.hidden;
  }

  function say(word) {
    if (!closed && !left) model.send({ page, shown: shown(), ...more(), ...word });
  }

  function spoke() {
    heard = performance.now();
    lost(closed);
  }

  function beats() {
    if (performance.now() - heard > silence * 1000) lost(true);
    say();
  }

  function lookAgain() {
    const wanted = always || shown();
    if (wanted && !timer) {
      heard = performance.now();
      timer = setInterval(beats, beat * 1000);
      say();
    } else if (always) {
      say();
    } else if (!wanted && timer) {
      clearInterval(timer);
      timer = 0;
      say();
    }
  }

  function connectionChanged() {
    closed = true;
    lost(true);
  }

  function leave() {
    say({ shown: false, gone: true });
    left = true;
  }

  function comeBack() {
    left = false;
    lookAgain();
  }

  const observer = new IntersectionObserver((entries) => {
    inView = entries[entries.length - 1].isIntersecting;
    lookAgain();
  });
  observer.observe(box);
  document.addEventListener("visibilitychange", lookAgain);
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", comeBack);
  model.on("msg:custom", spoke);
  model.on("comm_live_update", connectionChanged);
  if (always) lookAgain(); // before the observer's first word: it is displayed, whether it is seen or not

  return {
    page,
    say,
    spoke,
    end() {
      model.off("msg:custom", spoke);
      model.off("comm_live_update", connectionChanged);
      window.removeEventListener("pagehide", leave);
      window.removeEventListener("pageshow", comeBack);
      document.removeEventListener("visibilitychange", lookAgain);
      observer.disconnect();
      clearInterval(timer);
      leave();
    },
  };
}

// What every part of the panel does on a page: its frame, `draw(facts)` at first and after each change, the word that
// somebody sees it, and that no kernel answers. `kind` is its class and `name` what it is called; `more()` goes along
// with each word to the kernel. Returns the frame's node, `act(word, with)`, `say()` for a word before the next beat,
// `live` for words to screen readers, and `end()`.
function part({ model, el, kind, name, draw, more }) {
  const look = model.get("look");
  const box = make("section", `box labplatform-panel labplatform-${kind}`, el);
  box.setAttribute("aria-label", name);
  const gone = make("div", "lost-words", box);
  gone.textContent = "The kernel does not answer: what you see is what was last known.";
  gone.hidden = true;
  const live = announcer(box);
  const seen = presence({
    model,
    box,
    beat: look.beat,
    silence: look.silence,
    more,
    lost(now) {
      gone.hidden = !now;
      box.classList.toggle("labplatform-lost", now);
    },
  });
  const { act, end: endActing } = actor(model, seen.page, seen.say);
  const changed = () => {
    seen.spoke();
    draw(model.get("facts"));
  };
  model.on("change:facts", changed);
  return {
    box,
    act,
    live,
    look,
    say: seen.say,
    spoke: seen.spoke,
    begin: () => draw(model.get("facts")),
    end() {
      model.off("change:facts", changed);
      endActing();
      seen.end();
    },
  };
}
