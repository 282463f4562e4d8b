// What may be done to an app from the panel, as entries of a menu; the kernel's side of it is widgets/actions.py.

// The ways to break an app, in the words of what happens; a line parts its host, its renderer and its page.
const BREAKS = [
  ["abort", "Abort its process", "SIGABRT"],
  ["segfault", "Segmentation fault", "SIGSEGV"],
  ["exit", "Exit with an error", ""],
  ["kill", "Kill from outside", "SIGKILL"],
  ["freeze", "Freeze its process", "SIGSTOP"],
  ["hang-gui", "Block its window", ""],
  null,
  ["renderer", "Crash its renderer", ""],
  ["renderer-kill", "Kill its renderer", "SIGKILL"],
  ["oom", "Fill its JavaScript heap", ""],
  null,
  ["hang", "Loop for ever in its page", ""],
];
const NEEDS_PAGE = new Set(["renderer", "renderer-kill", "oom", "hang"]);

// The entries of all ways to break one app; `does` as below.
function breakActions(app, does) {
  return BREAKS.map(
    (one) =>
      one && {
        words: one[1],
        off: !app.page && NEEDS_PAGE.has(one[0]) ? "it has no page" : "",
        note: one[2],
        press: does("crash", "breaking", { how: one[0] }),
      },
  );
}

// The entries for one app. `app`: { name, state, page: whether it has one, shared: with how many it shares its process };
// `act(word, with)` as of `part`; `begun(doing, promise)` is told what is under way, in a word, and the promise rejects
// with the kernel's words when it fails; `pictured(picture)` gets a picture.
function appActions(app, act, begun, pictured) {
  const does = (word, doing, more = {}) => () => begun(doing, act(word, { app: app.name, ...more }));
  if (app.state === "stopped" || app.state === "failed") {
    return [{ words: "Start", icon: ICONS.play, press: does("restart", "starting") }];
  }
  const up = app.state === "running" || app.state === "unresponsive";
  const off = up ? "" : "not running";
  const picture = () => {
    const taken = act("picture", { app: app.name });
    begun("taking a picture", taken);
    taken.then(pictured, () => {});
  };
  return [
    { words: "Stop", icon: STATES.stopped[1], press: does("stop", "stopping") },
    { words: "Restart", icon: STATES["backing-off"][1], press: does("restart", "restarting") },
    {
      words: "Recycle",
      icon: ICONS.recycle,
      off: off || (app.shared ? "shared process" : ""),
      press: does("recycle", "recycling"),
    },
    null,
    { words: "Picture", icon: ICONS.picture, off: off || (app.page ? "" : "no page"), press: picture },
    {
      words: "Developer tools",
      icon: ICONS.tools,
      off: off || (app.page ? "" : "no page"),
      press: does("devtools", "opening its tools"),
    },
    null,
    up ? { words: "Break", icon: ICONS.bolt, items: breakActions(app, does) } : { words: "Break", icon: ICONS.bolt, off },
    { words: "Kill", icon: ICONS.kill, kind: "danger", press: does("kill", "killing") },
  ];
}

// A picture as `do_picture` answers it, in a window above the page.
function showPicture(picture) {
  dialog(picture.title, (body) => {
    const image = make("img", "shot", body);
    image.alt = picture.title;
    image.width = picture.width;
    image.height = picture.height;
    image.src = picture.address;
  });
}
