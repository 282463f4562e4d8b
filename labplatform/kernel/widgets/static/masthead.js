// The page side of Masthead: the platform in one line, a menu to break an app, a button that kills all.

const PLATFORM = {
  new: "not started yet: it starts with its first app",
  starting: "starting",
  stopped: "stopped",
  lost: "lost",
};

function render({ model, el }) {
  const { box, act, live, begin, end } = part({ model, el, kind: "masthead", name: "Platform", draw });
  const line = make("div", "masthead-line", box);
  make("strong", "masthead-brand", line).textContent = "labplatform";
  const words = make("span", "masthead-words", line);
  const buttons = make("div", "masthead-buttons", line);
  const problem = make("p", "masthead-problem labplatform-harmed", box);
  const said = make("p", "masthead-said", box);
  let facts = model.get("facts");
  let doing = null;

  function begun(word, promise) {
    const mine = (doing = {});
    said.classList.remove("labplatform-harmed");
    said.textContent = `${word} …`;
    said.hidden = false;
    promise.then(
      () => {
        if (mine === doing) said.hidden = true;
      },
      (error) => {
        if (mine !== doing) return;
        said.classList.add("labplatform-harmed");
        said.textContent = error.message;
        live.textContent = error.message;
      },
    );
  }

  const breaker = button(buttons, { words: "Break something", icon: ICONS.bolt });
  const opened = menu(breaker, () =>
    facts.apps
      .filter((app) => app.state === "running" || app.state === "unresponsive")
      .map((app) => ({
        words: app.name,
        items: breakActions(app, (word, was, more) => () => begun(`${was} ${app.name}`, act(word, { app: app.name, ...more }))),
      })),
  );
  asking(buttons, {
    words: "Kill all",
    icon: ICONS.kill,
    ask() {
      const count = facts.apps.filter((app) => app.state !== "stopped" && app.state !== "failed").length;
      return count ? { question: `End ${count === 1 ? "the app" : `all ${count} apps`} at once?`, deed: "Kill" } : null;
    },
    press: () => begun("killing all", act("kill_all")),
  });

  function draw(now) {
    facts = now;
    const up = now.apps.filter((app) => app.state === "running" || app.state === "unresponsive").length;
    breaker.disabled = now.state !== "running" || !up;
    if (breaker.disabled) opened.close(false);
    if (now.state === "running") {
      const apps = `${now.apps.length} ${now.apps.length === 1 ? "app" : "apps"}, ${up} of ${now.apps.length} running`;
      words.textContent = [now.apps.length ? apps : "no app yet", now.placed, now.limits].filter(Boolean).join(" · ");
    } else {
      words.textContent = PLATFORM[now.state] ?? now.state;
    }
    if (problem.textContent !== now.problem) {
      problem.textContent = now.problem;
      live.textContent = now.problem;
    }
    problem.hidden = !now.problem;
  }
  said.hidden = true;
  begin();
  return end;
}

export default { render };
