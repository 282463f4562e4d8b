// The page side of IntentResolver: a card for each open question, and the word that somebody sees them.

const NEW = shape(stroke("M8 3.2v9.6M3.2 8h9.6", 1.7));
const KINDS = { running: STATES.running[1], new: NEW, ended: STATES.stopped[1] };
const IDLE = shape(stroke("M2.8 8h4.4M7.2 8l4-4M7.2 8l4 4M9.4 3.9h2v2M11.4 10.1v2h-2", 1.5));
const TO_NOTHING = 8000; // milliseconds after which a click that came to nothing may be made again

function render({ model, el }) {
  const box = make("section", "box", el);
  box.setAttribute("aria-label", "Choice between apps");
  box.tabIndex = -1;
  keepKeys(box);
  const idle = make("p", "idle", box);
  const list = make("div", "asks", box);
  const live = announcer(box);
  const cards = new Map(); // by the question's number
  let lost = false;
  let ahead = null; // seconds that the kernel's clock is ahead of this page's

  // --- one question

  function choice(card, option) {
    const button = make("button", "option", null);
    button.type = "button";
    keepKeys(button);
    button.disabled = option.kind === "ended";
    button.title = option.description;
    button.style.setProperty("--labplatform-app", option.color || "");
    chip(button, option);
    const words = make("span", "option-words", button);
    make("span", "option-title", words).textContent = option.title;
    const where = make("span", "option-where", words);
    where.innerHTML = KINDS[option.kind];
    where.append(option.where);
    button.addEventListener("click", () => answer(card, button, option.index));
    return button;
  }

  function fill(card, question) {
    const focused = card.buttons?.indexOf(document.activeElement) ?? -1;
    card.question = question;
    card.json = JSON.stringify(question);
    card.node.textContent = "";
    const head = make("div", "ask-head", card.node);
    const title = make("h3", "ask-title", head);
    title.textContent = question.title;
    title.id = `labplatform-ask-${page}-${question.number}`;
    card.node.setAttribute("aria-labelledby", title.id);
    card.left = make("span", "ask-left", head);
    card.left.setAttribute("aria-hidden", "true");
    const from = make("div", "row", card.node);
    chip(from, question.raiser);
    const about = make("span", "ask-about", from);
    const who = make("b", "ask-raiser", about);
    who.textContent = question.raiser.title;
    about.append(" sends ");
    make("span", "ask-context", about).textContent = question.about;
    card.buttons = [];
    for (const group of question.groups) {
      if (question.groups.length > 1) make("div", "ask-intent", card.node).textContent = group.title;
      const options = make("div", "options", card.node);
      for (const option of group.options) {
        const button = choice(card, option);
        options.append(button);
        card.buttons.push(button);
      }
    }
    const foot = make("div", "ask-foot", card.node);
    card.cancel = make("button", "cancel", foot);
    card.cancel.type = "button";
    keepKeys(card.cancel);
    card.cancel.textContent = "Cancel";
    card.cancel.addEventListener("click", () => answer(card, card.cancel, null));
    card.buttons.push(card.cancel);
    if (focused >= 0) card.buttons[focused]?.focus();
  }

  function answer(card, button, option) {
    if (lost || card.sent) return;
    card.sent = setTimeout(() => {
      card.sent = 0;
      enable(card);
    }, TO_NOTHING);
    button.classList.add("labplatform-taken");
    enable(card);
    say({ answer: { number: card.question.number, option } });
  }

  function enable(card) {
    // Not `disabled`, which would throw the keyboard out of the card.
    card.node.classList.toggle("labplatform-dim", lost || Boolean(card.sent));
    for (const button of card.buttons) {
      button.setAttribute("aria-disabled", String(lost || Boolean(card.sent)));
      if (!card.sent) button.classList.remove("labplatform-taken");
    }
  }

  function keys(card, event) {
    const open = card.buttons.filter((button) => !button.disabled);
    const at = open.indexOf(document.activeElement);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: open.length - 1,
    }[event.key];
    if (event.key === "Escape") answer(card, card.cancel, null);
    else if (to === undefined || at < 0) return;
    else open[(to + open.length) % open.length].focus();
    event.preventDefault();
    event.stopPropagation();
  }

  // --- all of them

  function draw() {
    const questions = model.get("questions");
    const open = new Set(questions.map((question) => question.number));
    let focusLeft = false;
    for (const [number, card] of cards) {
      if (open.has(number)) continue;
      focusLeft ||= card.node.contains(document.activeElement);
      clearTimeout(card.sent);
      card.node.remove();
      cards.delete(number);
    }
    for (const question of questions) {
      let card = cards.get(question.number);
      if (!card) {
        card = { node: make("div", "ask", list), sent: 0 };
        card.node.setAttribute("role", "group");
        card.node.addEventListener("keydown", (event) => keys(card, event));
        cards.set(question.number, card);
        const count = question.groups.reduce((sum, group) => sum + group.options.length, 0);
        live.textContent = `${question.raiser.title} asks: ${question.title}. ${count} options.`;
      }
      if (card.json !== JSON.stringify(question)) fill(card, question);
      enable(card);
    }
    if (focusLeft) (cards.values().next().value?.buttons.find((button) => !button.disabled) ?? box).focus();
    idle.hidden = cards.size > 0;
    const last = model.get("last");
    idle.innerHTML = IDLE;
    const words = make("span", "idle-words", idle);
    if (lost) words.textContent = LOST[0];
    else {
      make("span", "idle-now", words).textContent = "No app is waiting for a choice.";
      if (last) make("span", "idle-last", words).textContent = last;
    }
    box.classList.toggle("labplatform-gone", lost);
    countDown();
  }

  function countDown() {
    for (const card of cards.values()) {
      const left = card.question.until - Date.now() / 1000 - ahead;
      card.left.textContent = lost ? LOST[0] : ahead === null ? "" : `${Math.max(0, Math.ceil(left))} s left`;
    }
  }

  function ended() {
    const last = model.get("last");
    if (last) live.textContent = last;
    draw();
  }

  function heard(message) {
    if (typeof message?.now === "number") ahead = message.now - Date.now() / 1000;
    countDown();
  }

  const { page, say, spoke, end } = presence({
    model,
    box,
    ...model.get("pace"),
    always: true,
    lost(now) {
      if (now === lost) return;
      lost = now;
      draw();
    },
  });
  const ticking = setInterval(countDown, 1000);
  const events = {
    "change:questions": () => (spoke(), draw()),
    "change:last": () => (spoke(), ended()),
    "msg:custom": heard,
  };
  for (const [name, react] of Object.entries(events)) model.on(name, react);
  draw();

  return () => {
    for (const [name, react] of Object.entries(events)) model.off(name, react);
    clearInterval(ticking);
    for (const card of cards.values()) clearTimeout(card.sent);
    end();
  };
}

export default { render };
