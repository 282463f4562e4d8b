// Samples on the page, pure: what comes from the kernel put together, and lines and figures made of it.

const KEPT = 600; // seconds of samples
const FIGURES = ["memory", "heap", "cpu", "lag", "incarnation"];
const PROCESS_FIGURES = ["memory", "cpu"];

function joined(one, other) {
  const both = new one.constructor(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

// The samples of all lines over one row of ticks, as they come from the kernel (`recorded.py` tells of the form).
class Samples {
  constructor() {
    this.number = 0; // of the last message that was whole, or followed on the one before; -1: the whole is wanted again
    this.ticks = new Float64Array(0);
    this.lines = [];
  }

  // Whether a message could be taken; if not, something before it was lost.
  take(word, view) {
    if (word.since !== 0 && word.since !== this.number) {
      this.number = -1;
      return false;
    }
    const data = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    const ticks = new Float64Array(data, 0, word.count);
    if (word.since === 0) {
      this.ticks = new Float64Array(0);
      this.lines = word.lines.map(([app, pid, role, slot]) => ({ app, pid, role, slot, figures: {} }));
    }
    let at = 8 * word.count;
    for (const line of this.lines) {
      for (const name of line.pid === undefined ? FIGURES : PROCESS_FIGURES) {
        const values = new Float32Array(data, at, word.count);
        line.figures[name] = this.ticks.length ? joined(line.figures[name], values) : values;
        at += 4 * word.count;
      }
    }
    this.ticks = joined(this.ticks, ticks);
    this.number = word.plots;
    this.trim();
    return true;
  }

  trim() {
    const oldest = this.last - KEPT;
    if (!(this.ticks[50] < oldest)) return;
    const first = this.after(oldest);
    this.ticks = this.ticks.slice(first);
    for (const { figures } of this.lines) {
      for (const [name, values] of Object.entries(figures)) figures[name] = values.slice(first);
    }
  }

  get last() {
    return this.ticks.length ? this.ticks[this.ticks.length - 1] : 0;
  }

  // Seconds from tick to tick.
  get period() {
    return this.periodUpTo(this.ticks.length - 1);
  }

  // The same as it was at this tick, by its index.
  periodUpTo(last) {
    const gaps = [];
    for (let tick = Math.max(1, last - 14); tick <= last; tick++) {
      gaps.push(this.ticks[tick] - this.ticks[tick - 1]);
    }
    return gaps.length ? gaps.sort((a, b) => a - b)[gaps.length >> 1] : 1;
  }

  // The index of the first tick after this moment.
  after(moment) {
    let [low, high] = [0, this.ticks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ticks[middle] > moment) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // The index of the tick closest to this moment; null where there is none at all.
  nearest(moment) {
    if (!this.ticks.length) return null;
    const next = Math.min(this.after(moment), this.ticks.length - 1);
    const before = Math.max(0, next - 1);
    return moment - this.ticks[before] < this.ticks[next] - moment ? before : next;
  }
}

// Where a line is one: pairs of its first and last index between two ticks. Nothing joins it over an end.
function runs({ figures }, first, last) {
  const found = [];
  const { memory, incarnation } = figures;
  let start = -1;
  for (let tick = first; tick <= last; tick++) {
    const there = !Number.isNaN(memory[tick]);
    const other = start >= 0 && incarnation && incarnation[tick] !== incarnation[tick - 1];
    if (start >= 0 && (!there || other)) {
      found.push([start, tick - 1]);
      start = -1;
    }
    if (there && start < 0) start = tick;
  }
  if (start >= 0) found.push([start, last]);
  return found;
}

// A run as coordinates: of more points than pixels, the largest and the smallest of each pixel.
function curve(ticks, values, [first, last], place, pixels, period) {
  const [xs, ys] = [[], []];
  const put = (tick) => {
    xs.push(ticks[tick]);
    ys.push(place(values[tick]));
  };
  if (first === last) {
    xs.push(ticks[first] - 0.6 * period);
    ys.push(place(values[first]));
  }
  const stride = Math.ceil((last - first + 1) / Math.max(1, pixels));
  if (stride < 3) {
    for (let tick = first; tick <= last; tick++) put(tick);
    return [xs, ys];
  }
  for (let start = first; start <= last; start += stride) {
    let [low, high] = [start, start];
    for (let tick = start; tick < start + stride && tick <= last; tick++) {
      if (values[tick] < values[low]) low = tick;
      if (values[tick] > values[high]) high = tick;
    }
    put(Math.min(low, high));
    if (low !== high) put(Math.max(low, high));
  }
  return [xs, ys];
}

function most(values, first, last) {
  let found = NaN;
  for (let tick = first; tick <= last; tick++) if (!(values[tick] <= found) && !Number.isNaN(values[tick])) found = values[tick];
  return found;
}

function mean(values, first, last) {
  let [sum, count] = [0, 0];
  for (let tick = first; tick <= last; tick++) {
    if (Number.isNaN(values[tick])) continue;
    sum += values[tick];
    count += 1;
  }
  return count ? sum / count : NaN;
}

// The next round figure that is not below this one, or of several steps the largest that is not above.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((one) => one >= value * 0.999);
}
function roundDown(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [5, 2, 1].map((step) => step * power).find((one) => one <= value) ?? power / 2;
}

// The cells that all lag strips share, `room` at most: ticks, several to a cell where they are close; and where there
// were no ticks at all, as many as there should have been.
function cellsOf(ticks, period, [start, end], [first, last], room) {
  const together = Math.max(1, Math.ceil((end - start) / period / room));
  const wide = together * period;
  const found = [];
  const put = (from, to, tick) => {
    const group = together === 1 ? null : Math.floor(to / wide + 1e-6);
    const before = found[found.length - 1];
    if (before && group !== null && before.group === group) {
      before.to = to;
      if (tick !== null) before.ticks.push(tick);
    } else {
      found.push({ from, to, group, ticks: tick === null ? [] : [tick] });
    }
  };
  for (let tick = first; tick <= last; tick++) {
    const before = tick ? ticks[tick - 1] : ticks[tick] - period;
    const gap = ticks[tick] - before;
    if (gap > 3 * period) {
      for (let at = before; at < ticks[tick] - 1.5 * period; at += period) put(at, at + period, null);
      put(ticks[tick] - period, ticks[tick], tick);
    } else {
      put(before, ticks[tick], tick);
    }
  }
  return found;
}
