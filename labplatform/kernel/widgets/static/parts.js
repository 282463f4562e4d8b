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
const PALE = 200; // grey value, of 255, from which on a letter is dark on an app's colour
const LOST = ["No answer from kernel", STATES.stopped[1]];

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
