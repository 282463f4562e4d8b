"""`LimitTuner`: what each app may use of memory and CPU, beside what it uses. Kernel; its page side is
`static/limit_tuner.js`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...errors import LabError, LimitError
from ...manifest import size_in_words
from .page_side import page_side
from .part import Part
from .table_still import table_still

if TYPE_CHECKING:
    from ..app import App

SCALES = tuple(int(scale * 1e6) for scale in (600, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12_000, 16_000, 32_000))
"""Where the sliders for memory may end, in bytes: at the first with room above all that is used and allowed."""
ROOM = 1.1
APPS_IN_STILL = 24
TIERS = {
    "cgroup-v2": "control groups (version 2)",
    "systemd": "systemd, in a scope for each app",
    "cgroup-v1": "control groups (version 1)",
    "watchdog": "the platform's watchdog",
}
"""What holds limits, in words."""
LIMITS = ("max_memory", "max_cpu")


class LimitTuner(Part):
    """A slider and a field for the memory and for the CPU of each app. Made by `Platform.limit_tuner`."""

    _esm = page_side("limit_tuner.js")
    _css = page_side("limit_tuner.css")

    OF_PLATFORM = ("state", "problem", "apps", "metrics")
    OF_APPS = ("state", "metrics", "limits", "shared_with")

    def do_set(self, app: str, limit: str, value: float | None) -> None:
        """Set a limit, `max_memory` in bytes or `max_cpu` in percent of one core; `None` lifts it."""
        if limit not in LIMITS:
            raise ValueError(f"limit is one of {', '.join(LIMITS)}; not {limit!r}")
        if value is not None and limit == "max_memory":
            value = int(value)
        try:
            self._platform[app].set_resource_limits(**{limit: value})
        except LimitError as error:
            # It stands beside the field of that very limit.
            words = error.message.removeprefix(f"{app}: ").removeprefix(f"{limit} ")
            raise LabError(words.removesuffix("; nothing was changed")) from None

    def _facts(self) -> dict[str, Any]:
        platform = self._platform
        capacity = platform.metrics.capacity if platform.metrics else None
        rows = [row(app) for app in platform.apps]
        most = max((max(one["memory"]["limit"] or 0, one["memory"]["used"] or 0) for one in rows), default=0)
        memory = capacity.memory if capacity else SCALES[-1]
        scale = min(next((scale for scale in SCALES if scale >= ROOM * most), memory), memory)
        return {
            "state": platform.state,
            "problem": platform.problem,
            "rows": rows,
            "scale": max(scale, most),
            "memory": memory,
            "cores": capacity.cores if capacity else None,
            "where": "container" if capacity and "memory" in capacity.container else "machine",
            "held": self._held(),
        }

    def _held(self) -> dict[str, Any] | None:
        if self._platform.state != "running":
            return None
        enforcement = self._platform.enforcement
        return {
            "tier": enforcement.tier,
            "by": TIERS.get(enforcement.tier, ""),
            "counts": enforcement.counts,
            "cannot": list(enforcement.cannot),
            "why": list(enforcement.why),
        }

    def _still(self) -> str:
        rows, colors = [], []
        for app in self._platform.apps[:APPS_IN_STILL]:
            limits, metrics = app.limits, app.metrics
            rows.append(
                [
                    app.name,
                    size_in_words(limits.max_memory) if limits.max_memory else "no limit",
                    size_in_words(metrics.memory) if metrics else "",
                    f"{limits.max_cpu:g} %" if limits.max_cpu else "no limit",
                    f"{metrics.cpu:.1f} %" if metrics else "",
                ]
            )
            colors.append(app.color)
        columns = [("App", 220), ("Memory limit", -120), ("used", -100), ("CPU limit", -120), ("used", -100)]
        return table_still("What each app may use, and uses", columns, rows, colors, f"At {time.strftime('%H:%M:%S')}")


def row(app: App) -> dict[str, Any]:
    """An app as the page draws it. Growth is told where it is clear; `full_in`: in whole seconds."""
    metrics, limits = app.metrics, app.limits
    growth, full_in = app.growth, app.full_in
    return {
        "name": app.name,
        "state": app.state,
        "why": _why_not(app),
        "memory": {
            "limit": limits.max_memory,
            "used": metrics and metrics.memory,
            "growth": round(growth) if growth and growth > 0 else 0,
            "full_in": None if full_in is None else round(full_in),
        },
        "cpu": {"limit": limits.max_cpu, "used": metrics and round(metrics.cpu, 1)},
    }


def _why_not(app: App) -> str:
    """Why no limit of this app can be held, in one sentence; empty if it can."""
    enforcement = app.enforcement
    if enforcement.tier != "off":
        return ""
    if app._platform.enforcement.tier == "off":
        return "No limit is held on this platform: " + ("; ".join(enforcement.why) or "limits are off") + "."
    others = app.shared_with
    with_whom = f"with {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}" if others else "with others"
    return f"No limit can be held: it shares its process {with_whom}, and a limit holds for a whole process."
