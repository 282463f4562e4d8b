"""`Launcher`: a card for each app that can be launched. Kernel; its page side is `static/launcher.js`.

Launches are begun on threads of its own, a few at a time; which are under way, and what came of those that failed, is
the same for every page that shows it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import LabError, UnknownApp
from ...manifest import Manifest, ResourceLimits
from .look import look_of_manifest
from .page_side import page_side
from .part import ACTION_THREAD, Part
from .table_still import table_still

if TYPE_CHECKING:
    from ... import messages as m
    from ..app import App
    from ..platform import Platform

AT_ONCE = 4
"""Launches that are under way at once; more of them would only wait for one another's CPU."""
MOST_WAITING = 400
MOST_MORE = 4000
"""Characters of what a failed app wrote that are shown."""
CARDS_IN_STILL = 24


class Order(NamedTuple):
    """A launch that somebody has asked for here. `at`: when, in seconds since the epoch."""

    app: str
    at: float
    placement: m.Isolation | None
    limits: ResourceLimits | None


class Launcher(Part):
    """Cards with what there is to launch, how often it runs, and how a launch goes. Made by `Platform.launcher`."""

    _esm = page_side("launcher.js")
    _css = page_side("launcher.css")

    OF_PLATFORM = ("state", "problem", "apps", "metrics")
    OF_APPS = ("state", "pid", "renderer")

    def __init__(self, platform: Platform) -> None:
        self._waiting: deque[Order] = deque()
        self._begun: list[Order] = []
        self._workers = 0
        self._problems: dict[str, dict[str, str]] = {}
        manifests = platform.manifests
        ordered = sorted(manifests, key=lambda app: not manifests[app].has_page)
        affine = any(manifest.startup_app.process_affinity for manifest in manifests.values())
        super().__init__(
            platform,
            cards=[card(app, manifests[app]) for app in ordered],
            isolation=platform.isolation,
            # Where some share a process by their manifests, "as they are" is a choice of its own.
            as_given=affine and platform.isolation == "process",
        )

    def close(self) -> None:
        """Begin no more launches; those under way go on."""
        with self._guard:
            self._waiting.clear()
        super().close()

    # --- what a person does

    def do_launch(
        self,
        app: str,
        placement: m.Isolation | None = None,
        max_memory: int | None = None,
        max_cpu: float | None = None,
    ) -> None:
        """Begin to launch an app; how it goes, its card tells. Limits in bytes and percent of one core."""
        if app not in self._platform.manifests:
            raise UnknownApp(f"there is no app {app!r} to launch", app=app)
        self._order([app], placement, max_memory, max_cpu)

    def do_launch_all(
        self, placement: m.Isolation | None = None, max_memory: int | None = None, max_cpu: float | None = None
    ) -> None:
        """Begin to launch every app that has a page."""
        pages = [app for app, manifest in self._platform.manifests.items() if manifest.page_url]
        self._order(pages, placement, max_memory, max_cpu)

    def do_forget_waiting(self) -> None:
        """Launch none of those that have not been begun."""
        with self._guard:
            self._waiting.clear()

    def do_dismiss(self, app: str) -> None:
        """What went wrong with this one's last launch has been read."""
        self._problems.pop(app, None)

    # --- launching

    def _order(
        self, apps: list[str], placement: m.Isolation | None, max_memory: int | None, max_cpu: float | None
    ) -> None:
        given = max_memory is not None or max_cpu is not None
        limits = ResourceLimits(max_memory=max_memory, max_cpu=max_cpu) if given else None
        now = time.time()
        with self._guard:
            if len(self._waiting) + len(apps) > MOST_WAITING:
                raise LabError(f"{len(self._waiting)} launches wait already; let them come to an end first")
            for app in apps:
                self._problems.pop(app, None)
                self._waiting.append(Order(app, now, placement, limits))
            for _ in range(min(AT_ONCE - self._workers, len(apps))):
                self._workers += 1
                threading.Thread(target=self._work, name=ACTION_THREAD, daemon=True).start()

    def _work(self) -> None:
        """Launch what waits, one after the other, until nothing does."""
        while True:
            with self._guard:
                if not self._waiting:
                    self._workers -= 1
                    return
                order = self._waiting.popleft()
                self._begun.append(order)
            self.touch()
            problem: dict[str, str] | None = None
            try:
                self._platform.launch(order.app, resource_limits=order.limits, placement=order.placement)
            except Exception as error:
                problem = told(error)
            with self._guard:
                self._begun.remove(order)
                if problem:
                    self._problems[order.app] = problem
            self.touch()

    # --- what it shows

    def _facts(self) -> dict[str, Any]:
        platform = self._platform
        with self._guard:
            begun, waiting, problems = list(self._begun), list(self._waiting), dict(self._problems)
        capacity = platform.metrics.capacity if platform.metrics else None
        return {
            "state": platform.state,
            "problem": platform.problem,
            "waiting": len(waiting),
            "memory": capacity and capacity.memory,
            "cores": capacity and capacity.cores,
            "cards": {
                app: {
                    "running": sum(one.state in ("running", "unresponsive") for one in platform.apps if _is(one, app)),
                    "waiting": sum(order.app == app for order in waiting),
                    "problem": problems.get(app),
                    **progress(
                        manifest,
                        [one for one in platform.apps if _is(one, app) and one.state == "starting"],
                        [order for order in begun if order.app == app],
                    ),
                }
                for app, manifest in platform.manifests.items()
            },
        }

    def _still(self) -> str:
        facts, rows, colors = self.facts["cards"], [], []
        cards = self.look["cards"]
        for one in cards[:CARDS_IN_STILL]:
            running = facts[one["id"]]["running"]
            rows.append([one["title"], one["description"], f"{running} running" if running else ""])
            colors.append(one["color"] or None)
        more = len(cards) - CARDS_IN_STILL
        columns = [("App", 180), ("", 420), ("", -100)]
        return table_still(
            "Apps that can be launched", columns, rows, colors, f"and {more} apps more" if more > 0 else ""
        )


def card(app: str, manifest: Manifest) -> dict[str, Any]:
    """What a card says that does not change."""
    limits = manifest.startup_app.resource_limits
    return {
        **look_of_manifest(manifest),
        "id": app,
        "description": manifest.startup_app.description[:1000],
        "page": manifest.has_page,
        "affinity": manifest.startup_app.process_affinity or "",
        "memory": limits.max_memory,
        "cpu": limits.max_cpu,
    }


def progress(manifest: Manifest, starting: list[App], orders: list[Order]) -> dict[str, Any]:
    """How many of an app start, since how many seconds the first of them, and what that one is at."""
    count = max(len(starting), len(orders))
    if not count:
        return {"starting": 0, "seconds": 0.0, "phase": ""}
    since = min([order.at for order in orders] or [app.since for app in starting])
    first = min(starting, key=lambda app: app.since, default=None)
    if first is None:
        phase = "asked for"
    elif first.pid is None:
        phase = "its process starts"
    elif not manifest.has_page:
        phase = "its Python side starts"
    elif first.renderer is None:
        phase = "its window opens"
    else:
        phase = "loading its page"
    return {"starting": count, "seconds": round(max(0.0, time.time() - since), 2), "phase": phase}


def told(error: Exception) -> dict[str, str]:
    """An error for a person: `words`, and `more` of what the app itself said."""
    if not isinstance(error, LabError):
        return {"words": str(error) or type(error).__name__, "more": ""}
    console, stderr = error.detail.get("console"), error.detail.get("stderr")
    parts = []
    if isinstance(console, list) and console:
        parts.append("Its page's console:\n" + "\n".join(map(str, console)))
    if isinstance(stderr, str) and stderr.strip():
        parts.append("Its process wrote:\n" + stderr.strip())
    return {"words": error.message, "more": "\n\n".join(parts)[-MOST_MORE:]}


def _is(app: App, app_id: str) -> bool:
    return app.app_id == app_id
