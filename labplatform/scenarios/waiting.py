"""Waiting for what a page shows or knows, in the page itself. Kernel."""

from __future__ import annotations

import json
from typing import Any

from ..errors import LabTimeout
from ..kernel.app import App

WAIT = 10.0
"""Seconds that a page may take."""
LOOK_EVERY = 20
"""Milliseconds between two looks."""


def until(app: App, code: str, value: Any, timeout: float = WAIT) -> Any:
    """Wait until an expression in an app's page, or what it promises, has this JSON value; returns it.

    Raises `LabTimeout` after `timeout` seconds, with the value it has instead, and `AppGone` if the app ends.
    """
    seen = app.evaluate_js(
        f"""(async () => {{
            const end = performance.now() + {1000 * timeout};
            let seen;
            while ((seen = await {code}) !== {json.dumps(value)} && performance.now() < end)
                await new Promise((again) => setTimeout(again, {LOOK_EVERY}));
            return seen;
        }})()""",
        timeout=timeout + 5,
    )
    if seen != value:
        raise LabTimeout(f"{app.name}: waited {timeout:g} s until {code} was {value!r}; it is {seen!r}", app=app.name)
    return seen
