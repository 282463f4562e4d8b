/*
 * The relay between a page and its app host: messages of the page agent go on through Qt's web channel, and come back.
 * In the page's renderer, in a world of its own: the page's scripts see none of its objects and cannot replace what it
 * calls. The app host puts Qt's `QWebChannel` and `const __RELAY__ = {…};` in front. Plain JavaScript, for it is no part
 * of the page agent's bundle; the agent's end is src/bridge.ts, the host's apphost/qt/bridge.py.
 *
 * Frames travel in loads, and only so many loads are on their way at once, in either direction: what comes faster waits
 * where it was made, and makes larger loads.
 */

/** Loads on their way to the supervisor, and those from it after which it is told how many were taken. */
const { most: MOST_LOADS, tell: TELL_AFTER } = __RELAY__.loads;
/** Characters after which a load is full. */
const LOAD = 1 << 18;
/** Characters that may wait before the page is told that there is no room, and those at which there is room again. */
const ROOM = 64 << 20;

function relay(up, down, transport) {
  let host = null;
  let hello = "";
  let connection = "";
  let queue = [];
  let waiting = 0;
  let underWay = 0;
  let taken = 0;
  let full = false;

  const tell = (kind, detail) => down.dispatchEvent(new CustomEvent(kind, { detail }));

  function flush() {
    let next = 0;
    while (host && next < queue.length && underWay < MOST_LOADS) {
      const first = next;
      for (let size = 0; next < queue.length && size < LOAD; next++) size += queue[next].length;
      const load = queue.slice(first, next);
      for (const frame of load) waiting -= frame.length;
      underWay++;
      host.say(connection, load);
    }
    queue.splice(0, next);
    if (full && waiting < ROOM / 2) {
      full = false;
      tell("room");
    }
  }

  function begin(name) {
    connection = globalThis.labplatformConnection = name;
    queue = [];
    waiting = underWay = taken = 0;
    full = false;
  }

  up.addEventListener("open", ({ detail }) => {
    hello = detail;
    begin(JSON.parse(hello).connection);
    if (host) host.open(hello);
  });
  up.addEventListener("message", (event) => {
    if (!connection) return;
    queue.push(event.detail);
    waiting += event.detail.length;
    if (waiting > ROOM) {
      full = true;
      event.preventDefault();
    }
    flush();
  });
  up.addEventListener("close", () => {
    if (host && connection) host.close(connection);
    begin("");
  });

  const start = () =>
    new QWebChannel(transport, ({ objects }) => {
      objects.host.heard.connect((name, frame) => {
        if (name !== connection) return;
        tell("message", frame);
        // Only now: a page that is held up takes no more.
        if (name !== connection || ++taken < TELL_AFTER) return;
        objects.host.take(name, taken);
        taken = 0;
      });
      objects.host.taken.connect((name, loads) => {
        if (name !== connection) return;
        underWay -= loads;
        flush();
      });
      objects.host.closed.connect((name, code) => {
        if (name !== connection) return;
        begin("");
        tell("close", code);
      });
      host = objects.host;
      if (!connection) return;
      host.open(hello);
      flush();
    });
  // Not before the page goes this way: most never do.
  up.addEventListener("open", start, { once: true });
}

// `qt` is there in the main frame alone.
if (window.top === window && location.origin === __RELAY__.origin && typeof qt !== "undefined") {
  const { webChannelTransport } = qt;
  const ends = [];
  const meet = (event) => {
    event.preventDefault();
    ends.push(event.relatedTarget);
    if (ends.length < 2) return;
    window.removeEventListener(__RELAY__.name, meet, true);
    relay(ends[0], ends[1], webChannelTransport);
  };
  window.addEventListener(__RELAY__.name, meet, true);
}
