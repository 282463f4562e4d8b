// Labels above the plots: what happened, in words where there is room, with what came last and was a fault first.

const LANES = 2; // lines of labels above the rows
const MARK_ICONS = {
  end: STATES.crashed[1],
  loss: STATES.crashed[1],
  stall: STATES.unresponsive[1],
  recycle: ICONS.recycle,
  restart: STATES["backing-off"][1],
  stop: STATES.stopped[1],
};
const HARMFUL = new Set(["end", "loss", "stall"]);

// Returns a function that shows these marks in `lane`. `toPixels`: from a moment to its place, of `width` pixels.
function markLane(lane) {
  const labels = new Map();
  return (marks, { toPixels, width, narrow }) => {
    const used = new Set();
    const lanes = Array.from({ length: LANES }, () => []);
    const free = (at, from, to) => lanes[at].every(([left, right]) => to < left || from > right);
    // What came last has the first choice of a place, faults before the rest.
    const order = [...marks].reverse().sort((a, b) => HARMFUL.has(b.kind) - HARMFUL.has(a.kind));
    for (const mark of order) {
      const key = `${mark.at} ${mark.kind} ${mark.apps[0]}`;
      used.add(key);
      let own = labels.get(key);
      if (!own) {
        const node = make("div", `plots-mark${HARMFUL.has(mark.kind) ? " labplatform-plots-harm" : ""}`, lane);
        node.innerHTML = MARK_ICONS[mark.kind];
        own = { node, words: make("span", "plots-mark-words", node), said: null, wide: 0 };
        labels.set(key, own);
      }
      if (own.said !== mark.words || !own.wide) {
        own.said = own.words.textContent = mark.words;
        own.node.hidden = false;
        own.node.className = own.node.className.replace(/ labplatform-plots-(bare|left)/g, "");
        own.wide = own.node.offsetWidth;
      }
      const x = toPixels(mark.at);
      const places = [];
      for (let at = LANES - 1; at >= 0; at--) {
        if (x + own.wide <= width + (narrow ? 90 : 120)) places.push([at, x - 8, x + own.wide, ""]);
        if (x - own.wide >= -150) places.push([at, x - own.wide, x + 8, "left"]);
      }
      for (let at = LANES - 1; at >= 0; at--) places.push([at, x - 8, x + 8, "bare"]);
      const place = places.find(([at, from, to]) => free(at, from, to));
      own.node.hidden = !place;
      if (!place) continue;
      const [at, from, to, kind] = place;
      lanes[at].push([from, to + 10]);
      own.node.classList.toggle("labplatform-plots-bare", kind === "bare");
      own.node.classList.toggle("labplatform-plots-left", kind === "left");
      own.node.style.top = `${at * 20}px`;
      own.node.style.setProperty("--down", `${(LANES - 1 - at) * 20}px`);
      own.node.style.transform = `translateX(${kind === "left" ? x - own.wide + 7 : x - 7}px)`;
    }
    for (const [key, own] of labels) {
      if (used.has(key)) continue;
      own.node.remove();
      labels.delete(key);
    }
  };
}
