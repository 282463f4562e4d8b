// Reading, moving and stretching the plots: by mouse, by finger and by keys. The wheel alone scrolls the notebook.

const HINT = 2500; // milliseconds

// `cover` lies over the plots; `axis` shows a hint. Of `plots`: `range()`, `go(start, end)`, `zoom(factor, where)`,
// `reset()`, `point(tick, aloud)`, `jump(direction)`; `width()`: pixels; `pointed()`: a tick's index or null.
// Returns what ends it.
function steer(cover, axis, samples, { range, go, zoom, reset, point, jump, width, pointed }) {
  const partOf = (event) => {
    const place = cover.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - place.left) / place.width));
  };
  let drag = null;
  let hint = 0;
  cover.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200))), partOf(event));
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        const [start, end] = range();
        const by = ((end - start) * event.deltaX) / width();
        go(start + by, end + by);
      } else {
        // The wheel alone scrolls the notebook, as everywhere.
        axis.dataset.hint = "Ctrl and the wheel zoom, dragging moves";
        clearTimeout(hint);
        hint = setTimeout(() => delete axis.dataset.hint, HINT);
      }
    },
    { passive: false },
  );
  cover.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, range: range(), moved: false };
    cover.setPointerCapture(event.pointerId);
  });
  cover.addEventListener("pointermove", (event) => {
    if (drag && (drag.moved || Math.abs(event.clientX - drag.x) > 4)) {
      drag.moved = true;
      cover.classList.add("labplatform-plots-dragged");
      const [start, end] = drag.range;
      const by = ((drag.x - event.clientX) / width()) * (end - start);
      go(start + by, end + by);
      return;
    }
    const [start, end] = range();
    point(samples.nearest(start + (end - start) * partOf(event)), false);
  });
  const drop = () => {
    drag = null;
    cover.classList.remove("labplatform-plots-dragged");
  };
  cover.addEventListener("pointerup", drop);
  cover.addEventListener("pointercancel", drop);
  cover.addEventListener("pointerleave", () => !drag && document.activeElement !== cover && point(null));
  cover.addEventListener("blur", () => point(null));
  cover.addEventListener("dblclick", () => reset());
  cover.addEventListener("keydown", (event) => {
    const [start, end] = range();
    const last = Math.max(0, samples.after(end) - 1);
    const by = event.shiftKey ? 10 : 1;
    const keys = {
      ArrowLeft: () => point(Math.max(samples.after(start - 1e-3), (pointed() ?? last + 1) - by), true),
      ArrowRight: () => point(Math.min(last, (pointed() ?? last) + by), true),
      Home: () => point(samples.after(start - 1e-3), true),
      End: () => point(last, true),
      PageUp: () => jump(-1),
      PageDown: () => jump(1),
      "+": () => zoom(0.5, pointed() === null ? 1 : (samples.ticks[pointed()] - start) / (end - start)),
      "-": () => zoom(2, pointed() === null ? 1 : (samples.ticks[pointed()] - start) / (end - start)),
      0: () => reset(),
      Escape: () => point(null),
    };
    const key = keys[event.key === "=" ? "+" : event.key];
    if (!key || event.ctrlKey || event.metaKey || event.altKey || !samples.ticks.length) return;
    event.preventDefault();
    event.stopPropagation();
    key();
  });
  return () => clearTimeout(hint);
}
