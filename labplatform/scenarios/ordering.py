"""The app order-ticket as a person uses it: write an order into its form, and read what stands there. Kernel."""

from __future__ import annotations

import json

from ..kernel.app import App
from .waiting import START, WAIT, until

_WRITE = """(() => {
    const form = document.getElementById("order");
    for (const [name, value] of Object.entries(%s)) form.elements[name].value = value;
    form.dispatchEvent(new Event("input", { bubbles: true }));
})()"""
_READ = 'Object.fromEntries(new FormData(document.getElementById("order")))'


def write(app: App, timeout: float = WAIT, **fields: str) -> None:
    """Write into fields of its form: ticker, side ("buy", "sell"), quantity, limit, note. Returns once it is kept.

    Raises `LabTimeout`, and `JavaScriptError` for a field that is none.
    """
    _until_ready(app)
    app.evaluate_js(_WRITE % json.dumps(fields))
    until(app, 'document.getElementById("kept").textContent', "kept on disk", timeout)


def read(app: App) -> dict[str, str]:
    """What stands in its form, once its page has looked for what it had kept. Raises `LabTimeout`."""
    _until_ready(app)
    return app.evaluate_js(_READ)


def _until_ready(app: App) -> None:
    until(app, '"ready" in document.body.dataset', True, START)
