"""Waiting for what a page knows, an app is, or the platform has overheard. Kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import LabTimeout
from ..kernel.app import App
from ..kernel.platform import Platform

if TYPE_CHECKING:
    from ..messages import RoutedMessage

WAIT = 10.0
"""Seconds that a page, or a message, may take."""
START = 30.0
"""Seconds that an app may take to start."""
LOOK_EVERY = 0.02
"""Seconds between two looks."""

T = TypeVar("T")


def until(app: App, code: str, value: Any, timeout: float = WAIT) -> Any:
    """Wait until an expression in an app's page, or what it promises, has this JSON value; returns it.

    Raises `LabTimeout` after `timeout` seconds, with the value it has instead, and `AppGone` if the app ends.
    """
    seen = app.evaluate_js(
        f"""(async () => {{
            const end = performance.now() + {1000 * timeout};
            let seen;
            while ((seen = await {code}) !== {json.dumps(value)} && performance.now() < end)
                await new Promise((again) => setTimeout(again, {1000 * LOOK_EVERY}));
            return seen;
        }})()""",
        timeout=timeout + 5,
    )
    if seen != value:
        raise LabTimeout(f"{app.name}: waited {timeout:g} s until {code} was {value!r}; it is {seen!r}", app=app.name)
    return seen


def until_up(platform: Platform, app_id: str, timeout: float = START) -> App:
    """Wait until an app of this id runs, whoever started it; returns the first one. Raises `LabTimeout`."""

    def up() -> App | None:
        return next((app for app in platform.apps if app.app_id == app_id and app.state == "running"), None)

    def states() -> str:
        return ", ".join(f"{app.name} is {app.state}" for app in platform.apps) or "there is no app"

    return look_until(up, timeout, f"{app_id} to run", states)


def until_back(app: App, incarnation: int, timeout: float = START) -> App:
    """Wait until an app runs again after the end of this incarnation; returns it. Raises `LabTimeout`."""
    return look_until(
        lambda: app if app.incarnation > incarnation and app.state == "running" else None,
        timeout,
        f"{app.name} to run again after incarnation {incarnation}",
        lambda: f"it is {app.state}, in incarnation {app.incarnation}",
    )


def overheard(platform: Platform, count: int, timeout: float = WAIT, **facts: Any) -> list[RoutedMessage]:
    """The last `count` messages between apps with these facts (fields of `RoutedMessage`), once there are so many.

    They come a moment after they were sent. Raises `LabTimeout` after `timeout` seconds.
    """

    def such() -> list[RoutedMessage]:
        return [one for one in platform.messages if all(getattr(one, name) == fact for name, fact in facts.items())]

    def enough() -> list[RoutedMessage] | None:
        found = such()
        return found[-count:] if len(found) >= count else None

    words = ", ".join(f"{name} {fact}" for name, fact in facts.items()) or "any kind"
    return look_until(enough, timeout, f"{count} messages of {words}", lambda: f"{len(such())} of them were heard")


def look_until(ready: Callable[[], T | None], timeout: float, wish: str, seen: Callable[[], str]) -> T:
    """Look again and again until there is something, and return it; `wish` says what, `seen` what there is instead.

    Raises `LabTimeout` after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while (found := ready()) is None:
        if time.monotonic() > end:
            raise LabTimeout(f"waited {timeout:g} s for {wish}; {seen()}")
        time.sleep(LOOK_EVERY)
    return found
