"""`ProcessTable`: every app and its processes, with what they use, and what may be done to them. Kernel; its page side
is `static/process_table.js`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...errors import LabError
from ...manifest import size_in_words
from .actions import AppActions
from .page_side import page_side
from .part import Part
from .table_still import table_still
from .words import ending_in_words

if TYPE_CHECKING:
    from ... import messages as m
    from ..app import App
    from ..platform import Platform

MINUTE = 60.0
"""Seconds that a line of CPU shows."""
APPS_IN_STILL = 24
"""Rows of the still picture."""
ALONE = frozenset({"host", "renderer"})
"""Roles that have a line for each process; others of one role share a line."""


class ProcessTable(AppActions, Part):
    """A row an app, its processes below it, and the supervisor's own row. Made by `Platform.process_table`."""

    _esm = page_side("actions.js", "process_table.js")
    _css = page_side("process_table.css")

    OF_PLATFORM = ("state", "problem", "apps", "metrics")
    OF_APPS = (
        *("state", "pid", "renderer", "incarnation", "reason", "detail", "shared_with", "processes", "metrics"),
        *("url", "dialog"),
    )

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, minute=MINUTE)

    def do_recent(self) -> dict[str, list[list[float | None]]]:
        """The last minute's CPU of each app, for a page that begins to draw it: [[at, cpu or null], …] by name."""
        recent = {}
        for app in self._platform.apps:
            try:
                history = app.history(seconds=MINUTE)
            except LabError:
                continue  # it has left the platform
            lines, before = [], None
            for at, cpu, incarnation in zip(history["at"], history["cpu"], history["incarnation"], strict=True):
                if before not in (None, incarnation):
                    lines.append([round(at, 2), None])  # no line is drawn across a death
                lines.append([round(at, 2), None if cpu != cpu else round(cpu, 1)])
                before = incarnation
            recent[app.name] = lines
        return recent

    def _facts(self) -> dict[str, Any]:
        platform = self._platform
        apps = platform.apps
        renderers = {app.renderer: app.title for app in apps if app.renderer}
        supervisor = platform.metrics and platform.metrics.supervisor
        return {
            "state": platform.state,
            "problem": platform.problem,
            "rows": [row(app, renderers) for app in apps],
            "supervisor": platform.state == "running"
            and supervisor
            and {"pid": supervisor.pid, "memory": supervisor.memory, "cpu": round(supervisor.cpu, 1)},
        }

    def _still(self) -> str:
        rows, colors = [], []
        for app in self._platform.apps[:APPS_IN_STILL]:
            metrics, limit = app.metrics, _held_limit(app)
            of = f" of {size_in_words(limit)}" if limit else ""
            rows.append(
                [
                    app.state.replace("-", " "),
                    app.name,
                    str(app.pid or ""),
                    size_in_words(metrics.memory) + of if metrics else "",
                    f"{metrics.cpu:.1f} %" if metrics else "",
                    f"{metrics.lag * 1000:.1f} ms" if metrics and metrics.lag is not None else "",
                ]
            )
            colors.append(app.color)
        columns = [("State", 110), ("App", 190), ("PID", 80), ("Memory of limit", 180), ("CPU", -80), ("Lag", -90)]
        more = len(self._platform.apps) - APPS_IN_STILL
        taken = time.strftime("%H:%M:%S")
        return table_still(
            "Apps, their state, and what they use",
            columns,
            rows,
            colors,
            f"At {taken}" + (f", and {more} apps more" if more > 0 else ""),
        )


def row(app: App, renderers: dict[int | None, str]) -> dict[str, Any]:
    """An app as the page draws it. `renderers`: the apps whose pages run in them, by pid."""
    metrics = app.metrics
    return {
        "name": app.name,
        "state": app.state,
        "pid": app.pid,
        "incarnation": app.incarnation,
        "ended": ending_in_words(app.state, app.reason, app.detail),
        "change": change_in_words(app),
        "shared": list(app.shared_with),
        "page": app.has_page,
        "dialog": (app.dialog or "")[:200],
        "at": metrics and round(metrics.at, 2),
        "memory": metrics and metrics.memory,
        "limit": _held_limit(app),
        "cpu": metrics and round(metrics.cpu, 1),
        "lag": metrics and _short(metrics.lag),
        "processes": processes(app, renderers),
    }


def processes(app: App, renderers: dict[int | None, str]) -> list[dict[str, Any]]:
    """An app's processes in lines: each host and renderer, and those of any other role together."""
    lines: list[dict[str, Any]] = []
    others: dict[str, list[m.ProcessInfo]] = {}
    metrics = app.metrics
    for one in app.processes:
        if one.role not in ALONE:
            others.setdefault(one.role, []).append(one)
            continue
        own = one.pid == app.renderer
        line = {"role": one.role, "pids": [one.pid], "memory": one.memory, "cpu": round(one.cpu, 1)}
        if one.role == "host" and metrics:
            line["lag"] = _short(metrics.gui_lag)
        elif own and metrics:
            line |= {"lag": _short(metrics.page_lag), "heap": metrics.js_heap}
        elif one.pid in renderers:
            line["role"] = f"renderer of {renderers[one.pid]}"
        lines.append(line)
    for role, ones in others.items():
        lines.append(
            {
                "role": role if len(ones) == 1 else f"{len(ones)} {role}{'es' if role.endswith('x') else 's'}",
                "pids": [one.pid for one in ones],
                "memory": sum(one.memory for one in ones),
                "cpu": round(sum(one.cpu for one in ones), 1),
            }
        )
    return lines


def change_in_words(app: App) -> str:
    """Why its present process is another than the one before, in a few words."""
    if app.detail.startswith("recycled"):
        return "recycled"
    if app.reason is None or app.reason == "clean-exit":
        return "restarted"
    words = ending_in_words("crashed", app.reason, app.detail)
    return words[:1].lower() + words[1:]


def _held_limit(app: App) -> int | None:
    return app.limits.max_memory if app.enforcement.tier != "off" else None


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)
