"""The sample apps as a person uses them: click a row, press a button, pick a channel, look what each window shows.

Kernel. The clicks happen in the pages; that their messages arrive, or do not, is then the pages' own doing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..kernel.app import App
from .waiting import START, WAIT, until


def until_listening(apps: Iterable[App], timeout: float = START) -> None:
    """Wait until each app's page listens on its user channel, a moment after its launch. Raises `LabTimeout`."""
    ready = "'listening' in document.body.dataset && document.querySelector('lab-channels input:checked') !== null"
    for app in apps:
        until(app, ready, True, timeout)


def choose(app: App, ticker: str) -> None:
    """Click a row of ticker-list. Raises `JavaScriptError` if it has no such row."""
    app.evaluate_js(f"document.getElementById({json.dumps(f'row-{ticker}')}).click()")


def press(app: App, words: str) -> None:
    """Press the button with these words in an app's window. Raises `JavaScriptError` if there is none."""
    find = f"[...document.querySelectorAll('button')].find((one) => one.textContent === {json.dumps(words)})"
    app.evaluate_js(f"{find}.click()")


def pick_channel(app: App, number: int | None, timeout: float = WAIT) -> None:
    """Pick a user channel, 1 to 8, or none, in an app's window; returns once it is on it. Raises `LabTimeout`."""
    channel = "" if number is None else f"fdc3.channel.{number}"
    app.evaluate_js(f"document.querySelector('lab-channels input[value={json.dumps(channel)}]').click()")
    until(app, "fdc3.getCurrentChannel().then((channel) => channel?.id ?? '')", channel, timeout)


def shown(apps: Iterable[App]) -> dict[str, str]:
    """Which ticker each app shows now, by its name; "" for all of them."""
    return {app.name: app.evaluate_js("document.body.dataset.ticker ?? ''") for app in apps}


def until_shown(apps: Iterable[App], ticker: str, timeout: float = WAIT) -> dict[str, str]:
    """Wait until each app shows this ticker; returns what `shown` does. Raises `LabTimeout`, `AppGone`."""
    return {app.name: until(app, "document.body.dataset.ticker ?? ''", ticker, timeout) for app in apps}
