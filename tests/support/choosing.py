"""Apps for a choice: a page that raises an intent, and two apps, one without a page, that could handle it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from labplatform.resources import manifests_folder
from support.apps import NO_RESTART, make_app
from support.processes import until

INSTRUMENT = {"type": "fdc3.instrument", "name": "Apple Inc.", "id": {"ticker": "AAPL"}}
RAISER = """<!doctype html><meta charset=utf-8><meta name="color-scheme" content="light dark"><title>watchlist</title>
<h1>Watchlist</h1><button onclick="this.textContent = ++clicks" style="position:fixed;inset:60px 0 0 0">0</button>
<script>
    window.clicks = 0;
    window.keys = [];
    addEventListener("keydown", (event) => { keys.push(event.key); });
    window.outcomes = [];
    window.raise = (intent, context) => {
        const at = outcomes.push(null) - 1;
        const raised = intent ? fdc3.raiseIntent(intent, context) : fdc3.raiseIntentForContext(context);
        return raised.then((done) => [done.intent, done.source.appId, done.source.instanceId], (error) => error.message)
            .then((outcome) => (outcomes[at] = outcome));
    };
</script>"""
HANDLER = """<!doctype html><meta charset=utf-8><title>handler</title><h1>handler</h1><script>
    window.heard = [];
    const note = (context) => { heard.push(context); };
    for (const intent of ["ViewNews", "ViewChart"]) fdc3.addIntentListener(intent, note);
</script>"""
SERVICE = """
def main(lab):
    lab.desktop_agent.add_intent_listener("ViewNews", lambda context, metadata: None)
    lab.stopping.wait()
"""


def listens(**intents: str) -> dict[str, Any]:
    """What a manifest says about intents; each with what people call it."""
    handling = {name: {"contexts": ["fdc3.instrument"], "displayName": shown} for name, shown in intents.items()}
    return {"intents": {"listensFor": handling}}


def make_choosing_apps(folder: Path, **watchlist: Any) -> Path:
    """`watchlist` raises; `news`, with a page, handles ViewNews and ViewChart, `wire`, without one, ViewNews."""
    news = listens(ViewNews="View News", ViewChart="View Chart")
    look = {name: {"color": color, "glyph": "glyph.svg"} for name, color in (("list", "#0072B2"), ("news", "#009E73"))}
    homes = {
        "ticker-list": make_app(folder, "watchlist", page=RAISER, look=look["list"], **watchlist),
        "news-feed": make_app(folder, "news", page=HANDLER, interop=news, restart=NO_RESTART, look=look["news"]),
    }
    for sample, home in homes.items():
        shutil.copy(manifests_folder() / sample / "glyph.svg", home)
    wire = listens(ViewNews="View News")
    make_app(folder, "wire", page=None, python=SERVICE, interop=wire, restart=NO_RESTART, look={"color": "#E69F00"})
    return folder


def raise_intent(app: Any, intent: str | None = "ViewNews", context: dict[str, Any] = INSTRUMENT) -> int:
    """Raise an intent and do not wait; the number that `outcome` wants."""
    code = f"raise({json.dumps(intent)}, {json.dumps(context)}); outcomes.length - 1"
    return app.evaluate_js(code, timeout=20)


def outcome(app: Any, number: int, timeout: float = 30) -> Any:
    """What came of it: FDC3's error name, or intent, app and instance."""
    return until(lambda: app.evaluate_js(f"outcomes[{number}]", timeout=20), timeout, "the intent to come to something")
