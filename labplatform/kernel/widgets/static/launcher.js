// The page side of Launcher: cards, how each launch goes, and how the next one is to be placed and limited.

const MANY = 8; // cards from which on there is a search field
const TO_ASK = 12; // apps from which on to launch all of them is asked for first
const PLACES = [
  ["process", "own process"],
  ["shared-process", "shared process"],
  ["shared-renderer", "shared renderer"],
];

function render({ model, el }) {
  const frame = part({ model, el, kind: "launcher", name: "Launcher", draw });
  const { box, act, live, look } = frame;
  const cards = new Map(); // by app id
  let place = look.as_given ? "" : look.isolation;

  // --- what there is

  const search = make("div", "search", box);
  search.hidden = look.cards.length < MANY;
  const field = keepKeys(make("input", "field labplatform-search-field", search));
  field.type = "search";
  field.placeholder = `Search ${look.cards.length} apps`;
  field.setAttribute("aria-label", "Search the apps");
  field.addEventListener("input", arrange);
  const found = make("span", "found", search);
  const problem = make("div", "launch-problem", box);
  problem.setAttribute("role", "alert");
  problem.hidden = true;
  const list = make("ul", "cards", box);
  const empty = make("div", "cards-empty", box);
  for (const one of look.cards) cards.set(one.id, cardOf(one));
  arrange();

  function arrange() {
    const words = field.value.trim().toLowerCase();
    let shown = 0;
    for (const card of cards.values()) {
      card.node.hidden = words !== "" && !card.words.includes(words);
      shown += !card.node.hidden;
    }
    setText(found, words ? `${shown} of ${cards.size}` : "");
    empty.hidden = shown > 0;
    setText(
      empty,
      cards.size ? `No app matches “${field.value.trim()}”.` : "This platform knows no apps: give a folder of them to Platform(…).",
    );
  }

  function complain(words) {
    problem.replaceChildren();
    problem.hidden = !words;
    if (!words) return;
    make("span", "problem-words", problem).textContent = words;
    button(problem, { icon: ICONS.close, name: "Dismiss", kind: "quiet", press: () => complain("") });
  }

  // --- one card

  function cardOf(one) {
    const node = make("li", "card", list);
    paint(node, one);
    const top = make("div", "card-head", node);
    chip(top, one);
    const title = make("h3", "card-title", top);
    title.textContent = one.title;
    title.title = `${one.title} (${one.id})`;
    if (!one.page) make("span", "label", top).textContent = "no window";
    const about = make("p", "card-about", node);
    about.textContent = one.description;
    about.title = one.description;
    if (one.affinity) {
      make("p", "card-place label", node).textContent = `shares a process with the apps of “${one.affinity}”`;
    }
    const foot = make("div", "card-foot", node);
    const status = make("span", "card-status", foot);
    button(foot, { words: "Launch", name: `Launch ${one.title}`, press: () => launch(one) });
    const track = make("div", "card-bar", node);
    track.setAttribute("role", "progressbar");
    track.setAttribute("aria-label", `${one.title} starts`);
    const trouble = make("div", "card-trouble", node);
    trouble.setAttribute("role", "group");
    trouble.setAttribute("aria-label", `What went wrong with ${one.title}`);
    trouble.hidden = true;
    let began = 0; // when what starts now was asked for, on this page's clock
    let facts = null;
    let told = "";

    function drawStatus() {
      status.replaceChildren();
      const under = facts.starting > 0 || facts.waiting > 0;
      track.style.visibility = facts.starting > 0 ? "" : "hidden";
      if (!under) {
        status.textContent = facts.running ? `${facts.running} running` : "";
        return;
      }
      status.innerHTML = STATES.starting[1];
      const words = make("span", "card-words", status);
      if (facts.starting) {
        const seconds = Math.max(0, (performance.now() - began) / 1000);
        const count = facts.starting > 1 ? ` ${facts.starting}` : "";
        words.textContent = `starting${count}, ${seconds.toFixed(1)} s`;
        make("span", "label", status).textContent = facts.phase;
      } else {
        words.textContent = "waiting for its turn";
      }
    }

    function drawTrouble() {
      const words = facts.problem ? JSON.stringify(facts.problem) : "";
      if (words === told) return;
      told = words;
      trouble.replaceChildren();
      trouble.hidden = !words;
      if (!words) return;
      make("p", "trouble-words", trouble).textContent = facts.problem.words;
      if (facts.problem.more) {
        const more = make("details", "trouble-more", trouble);
        keepKeys(make("summary", "trouble-summary", more)).textContent = "What it said";
        const said = keepKeys(make("pre", "trouble-said", more));
        said.textContent = facts.problem.more;
        said.tabIndex = 0;
      }
      button(trouble, { words: "Dismiss", press: () => act("dismiss", { app: one.id }).catch(() => {}) });
      live.textContent = facts.problem.words;
    }

    return {
      node,
      words: `${one.title} ${one.id} ${one.description}`.toLowerCase(),
      moving: () => facts?.starting > 0,
      tick: drawStatus,
      update(now) {
        const before = facts;
        facts = now;
        if (now.starting) began = performance.now() - now.seconds * 1000;
        if (before && now.running > before.running) live.textContent = `${one.title} is running.`;
        drawStatus();
        drawTrouble();
      },
    };
  }

  // --- how the next one is launched

  const wishes = make("div", "wishes", box);
  const placing = make("div", "wish", wishes);
  make("span", "wish-name", placing).textContent = "Place in";
  const places = look.as_given ? [["", "as given"], ...PLACES] : PLACES;
  segmented(placing, "Where the next app runs", places, place, (value) => {
    place = value;
    drawWishes();
  });
  const limiting = make("div", "wish", wishes);
  make("span", "wish-name", limiting).textContent = "Limit";
  const limits = [
    ["max_memory", "Memory limit of the next app, MB", "MB", 1e6],
    ["max_cpu", "CPU limit of the next app, percent of one core", "%", 1],
  ].map(([id, name, unit, per]) => {
    const label = make("label", "wish-field", limiting);
    const input = keepKeys(make("input", "field", label));
    input.type = "number";
    input.min = 1;
    input.placeholder = "as given";
    input.setAttribute("aria-label", name);
    make("span", "unit", label).textContent = unit;
    return { id, input, per };
  });
  const note = make("span", "wish-note", limiting);
  const all = make("div", "all", wishes);
  const pages = look.cards.filter((one) => one.page).length;
  const everything = () => ask("launch_all", {});
  if (pages > TO_ASK) {
    asking(all, {
      words: "Launch all",
      kind: "primary",
      ask: () => ({ question: `Launch all ${pages} apps?`, deed: "Launch" }),
      press: everything,
    });
  } else if (pages) {
    button(all, { words: "Launch all", kind: "primary", press: everything });
  }
  const rest = button(all, { press: () => act("forget_waiting").catch((error) => complain(error.message)) });

  const apart = () => place === "process" || place === "";
  function drawWishes() {
    for (const { input } of limits) input.disabled = !apart();
    setText(note, apart() ? "" : "none holds in a shared process");
  }
  drawWishes();

  function ask(word, given) {
    const wish = { ...given };
    // The platform's own way is left to it, so that a manifest may differ.
    if (place && !(place === look.isolation && !look.as_given)) wish.placement = place;
    for (const { id, input, per } of apart() ? limits : []) {
      if (input.value.trim() === "" && !input.validity.badInput) continue;
      const value = Number(input.value);
      if (!(value > 0)) {
        complain(`${input.getAttribute("aria-label")}: a number above 0.`);
        input.focus();
        return;
      }
      wish[id] = per === 1 ? value : Math.round(value * per);
    }
    complain("");
    act(word, wish).catch((error) => complain(error.message));
  }
  const launch = (one) => ask("launch", { app: one.id });

  // --- how it goes

  function draw(facts) {
    for (const [id, card] of cards) if (facts.cards[id]) card.update(facts.cards[id]);
    rest.hidden = facts.waiting === 0;
    setText(rest, `Leave out the ${facts.waiting} that wait`);
    box.classList.toggle("labplatform-over", facts.state === "stopped" || facts.state === "lost");
  }

  const counting = setInterval(() => {
    for (const card of cards.values()) if (card.moving()) card.tick();
  }, 100);
  frame.begin();
  return () => {
    clearInterval(counting);
    frame.end();
  };
}

export default { render };
