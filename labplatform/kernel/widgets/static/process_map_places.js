// Where everything on a process map stands: pure geometry, from the facts and a width to boxes and lanes, in pixels.
//
// Tiles stand in a grid whose columns are the same in every placement, so that only the boxes around them differ. Lanes
// to the supervisor go straight down where nothing is in the way, else through the gutter to the right of their column.

const STACK = 720; // pixels of width below which boxes stand below one another
const SIZES = {
  head: 27, // of a host: pid, memory
  rhead: 20, // of a renderer
  tile: 68,
  rpad: 6,
  pad: 8,
  line: 24, // a service within a host
  gap: 12,
  row: 12, // between rows
  beside: 10, // from a column to the first lane in its gutter, and from one lane to the next
  drop: 36, // from the lowest boxes to the supervisor
  bar: 34, // the supervisor
  least: 206, // width of a column
  most: 344,
  corner: 7,
  inset: 14, // of a lane from the right end of its tile
};

// `facts` as of the kernel; `width` in pixels; `unit`: by how much all is larger than usual. Returns `hosts`, by their
// order: { key, x, y, width, height, renderers: [{ …, tiles: [{ name, … }] }], services: [{ name, … }] }; `kernel` and
// `supervisor`; `lanes`, by name and "" for the kernel: { path, start, end, length }; and the whole's width and height.
function places(facts, width, unit = 1) {
  const s = Object.fromEntries(Object.entries(SIZES).map(([name, value]) => [name, value * unit]));
  const cellHeight = s.head + s.rhead + s.tile + s.rpad + s.pad;
  const smallHeight = (lines) => s.head + s.line * Math.max(1, lines) + s.pad * 0.6;

  const withPages = facts.hosts.filter((host) => host.renderers.length);
  const small = facts.hosts.filter((host) => !host.renderers.length).map((host) => ({ host, lines: host.services.length }));
  small.push({ host: null, lines: 1 }); // the kernel
  const tilesOf = (host) => host.renderers.flatMap((renderer, at) => renderer.apps.map((name) => ({ name, at })));
  const count = withPages.reduce((sum, host) => sum + tilesOf(host).length, 0);

  // --- columns and rows

  const cells = Math.max(1, count + Math.ceil(small.length / 2));
  const fits = width < STACK ? 1 : Math.max(1, Math.floor((width + s.gap) / (s.least + s.gap)));
  const columns = Math.min(fits, Math.ceil(cells / Math.ceil(cells / fits)));
  const rows = []; // { kind: "pages" | "small", lines, height }
  const blocks = []; // a host with pages: { host, row, column, across, down }
  const littles = []; // a small box: { host, row, column, half: null | 0 | 1 }
  let row = 0;
  let column = 0;
  const open = (at, kind) => (rows[at] ??= { kind, lines: 0, small: 0 });
  for (const host of withPages) {
    const tiles = tilesOf(host).length;
    const across = Math.min(tiles, columns);
    if (column && column + across > columns) [row, column] = [row + 1, 0];
    const down = Math.ceil(tiles / columns);
    blocks.push({ host, row, column, across, down });
    const one = host.renderers.length === 1;
    for (let at = row; at < row + down; at++) {
      open(at, "pages");
      // Rows within one box stand closer than boxes do.
      if (down > 1) {
        const first = at === row ? s.head + s.rhead : one ? 0 : s.rhead;
        const last = at === row + down - 1 ? s.rpad + s.pad : one ? 0 : s.rpad;
        rows[at].cell = first + s.tile + last;
      }
    }
    rows[row + down - 1].lines = Math.max(rows[row + down - 1].lines, Math.ceil(host.services.length / across));
    [row, column] = down > 1 || column + across === columns ? [row + down, 0] : [row, column + across];
  }
  for (let at = 0; at < small.length; ) {
    if (column === columns) [row, column] = [row + 1, 0];
    const { kind } = open(row, "small");
    const free = columns - column;
    const left = small.length - at;
    const lines = kind === "pages" && left > free && left > 1 ? [small[at], small[at + 1]] : [small[at]];
    lines.forEach((one, half) => littles.push({ ...one, row, column, half: lines.length > 1 ? half : null }));
    const need = lines.reduce((sum, one) => sum + smallHeight(one.lines), (lines.length - 1) * s.row);
    rows[row].small = Math.max(rows[row].small, need);
    at += lines.length;
    column += 1;
  }
  let y = 1;
  for (const one of rows) {
    one.y = y;
    one.height = Math.max(one.small, one.kind === "pages" ? (one.cell ?? cellHeight) + one.lines * s.line : 0);
    y += one.height + s.row;
  }
  const bottom = y - s.row;

  // --- which lanes go through a gutter

  const taken = new Map(); // the lowest row in which something stands, by column
  const occupy = (at, low) => taken.set(at, Math.max(taken.get(at) ?? 0, low));
  for (const { row: top, column: left, across, down } of blocks) {
    for (let at = left; at < left + across; at++) occupy(at, top + down - 1);
  }
  for (const one of littles) occupy(one.column, one.row);
  const ends = []; // { name, row, column, y: how far down, straight, tile? }
  const gutters = Array.from({ length: columns }, () => []);
  const end = (name, at, place, straight) => {
    const one = { name, row: at, column: place, straight };
    ends.push(one);
    if (!straight) gutters[place].push(one);
    return one;
  };
  for (const block of blocks) {
    block.ends = tilesOf(block.host).map(({ name, at }, index) => {
      const place = block.column + (index % block.across);
      const low = block.row + Math.floor(index / block.across);
      return { ...end(name, low, place, columns > 1 && low === taken.get(place)), renderer: at };
    });
    block.served = block.host.services.map((name, index) => {
      const place = block.column + (index % block.across);
      const low = block.row + block.down - 1;
      const last = index + block.across >= block.host.services.length;
      return end(name, low, place, columns > 1 && last && low === taken.get(place));
    });
  }
  for (const one of littles) {
    const low = columns > 1 && one.row === taken.get(one.column) && one.half !== 0;
    const names = one.host ? one.host.services : [""];
    one.ends = names.map((name, index) => end(name, one.row, one.column, low && index === names.length - 1));
  }

  // --- columns' edges

  const room = gutters.map((lanes, at) => {
    const needed = lanes.length ? s.beside * (lanes.length + (at < columns - 1 ? 1 : 0.3)) : 0;
    return at < columns - 1 ? Math.max(s.gap, needed) : needed;
  });
  const free = width - 2 - room.reduce((sum, one) => sum + one, 0);
  const cellWidth = Math.max(120 * unit, Math.min(s.most, columns > 1 ? free / columns : free));
  const left = [];
  let x = 1;
  for (const one of room) {
    left.push(x);
    x += cellWidth + one;
  }
  const whole = x - 1;

  // --- boxes

  // Of the box of a page's renderer, or of what would be that where one holds all.
  const highOf = ({ host, row: top }, down) =>
    rows[top + down].y + (down === 0 ? s.head : host.renderers.length === 1 ? -s.rhead : 0);
  const hosts = [];
  const at = new Map(); // where a lane begins, by name: { right, bottom, middle }
  for (const block of blocks) {
    const last = block.row + block.down - 1;
    const box = {
      key: block.host.key,
      x: left[block.column],
      y: rows[block.row].y,
      width: left[block.column + block.across - 1] + cellWidth - left[block.column],
      height: rows[last].y + rows[last].height - rows[block.row].y,
      renderers: [],
      services: [],
    };
    const inner = (index) => ({
      x: left[block.column + (index % block.across)] + s.pad,
      y: highOf(block, Math.floor(index / block.across)),
      width: cellWidth - 2 * s.pad,
      height: s.rhead + s.tile + s.rpad,
    });
    let index = 0;
    for (const renderer of block.host.renderers) {
      const all = renderer.apps.map((_, offset) => inner(index + offset));
      const low = { x: Math.min(...all.map((one) => one.x)), y: all[0].y };
      low.width = Math.max(...all.map((one) => one.x + one.width)) - low.x;
      low.height = Math.max(...all.map((one) => one.y + one.height)) - low.y;
      low.tiles = renderer.apps.map((name, offset) => {
        const own = all[offset];
        const tile = { name, x: own.x + s.rpad, y: own.y + s.rhead, width: own.width - 2 * s.rpad, height: s.tile };
        at.set(name, { right: own.x + own.width, bottom: own.y + own.height, middle: tile.y + s.tile / 2 });
        return tile;
      });
      box.renderers.push(low);
      index += all.length;
    }
    box.services = block.host.services.map((name, offset) => {
      const place = block.column + (offset % block.across);
      const line = Math.floor(offset / block.across);
      const lines = Math.ceil(block.host.services.length / block.across);
      const high = box.y + box.height - s.pad * 0.7 - (lines - line) * s.line;
      const own = { name, x: left[place] + s.pad, y: high, width: cellWidth - 2 * s.pad - 2.2 * s.inset, height: s.line };
      at.set(name, { right: own.x + own.width + s.inset, bottom: high + s.line, middle: high + s.line / 2, shift: 1 });
      return own;
    });
    hosts.push(box);
  }
  let kernel = null;
  for (const one of littles) {
    const line = rows[one.row];
    const half = (line.height - s.row) / 2;
    const box = {
      key: one.host?.key,
      x: left[one.column],
      y: one.half === 1 ? line.y + half + s.row : line.y,
      width: cellWidth,
      height: one.half === null ? line.height : half,
      renderers: [],
      services: [],
    };
    const right = box.x + box.width;
    if (one.host) {
      box.services = one.host.services.map((name, offset) => {
        const high = box.y + s.head + offset * s.line;
        at.set(name, { right: right - s.pad, bottom: box.y + box.height, middle: high + s.line / 2, edge: true });
        return { name, x: box.x + s.pad, y: high, width: box.width - 2 * s.pad - s.inset, height: s.line };
      });
      hosts.push(box);
    } else {
      at.set("", { right: right - s.pad, bottom: box.y + box.height, middle: box.y + box.height / 2, edge: true });
      kernel = { ...box, small: one.half !== null || line.kind === "small" };
    }
  }
  const order = new Map(facts.hosts.map((host, index) => [host.key, index]));
  hosts.sort((one, other) => order.get(one.key) - order.get(other.key));
  const supervisor = { x: 1, y: bottom + s.drop, width: whole, height: s.bar };

  // --- lanes

  const lanes = {};
  const foot = supervisor.y;
  for (const lane of ends) {
    const from = at.get(lane.name);
    if (lane.straight) {
      const down = from.right - s.inset + (from.edge ? s.pad : 0) + (from.shift ? s.inset * 0.2 : 0);
      const start = from.edge ? from.bottom : from.bottom - 6 * unit;
      lanes[lane.name] = {
        path: `M${round(down)} ${round(start)}V${round(foot)}`,
        start: [down, start],
        end: [down, foot],
        length: foot - start,
      };
      continue;
    }
    const lane_at = gutters[lane.column];
    // The first from the top is the farthest out: so none crosses another.
    const place = lane_at.length - 1 - lane_at.indexOf(lane);
    const down = left[lane.column] + cellWidth + s.beside * (place + 1);
    const start = from.right - (from.edge ? 0 : 5 * unit);
    const corner = Math.min(s.corner, down - start);
    lanes[lane.name] = {
      path:
        `M${round(start)} ${round(from.middle)}H${round(down - corner)}` +
        `Q${round(down)} ${round(from.middle)} ${round(down)} ${round(from.middle + corner)}V${round(foot)}`,
      start: [start, from.middle],
      end: [down, foot],
      length: down - start + foot - from.middle,
    };
  }
  return { columns, width: whole + 1, height: foot + s.bar + 1, hosts, kernel, supervisor, lanes };
}

const round = (value) => Math.round(value * 10) / 10;
