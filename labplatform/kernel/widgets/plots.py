"""`Plots`: memory, CPU and lag of apps over time, live. Kernel; its page side is `static/plots.js`.

The figure is made once; Bokeh draws it in the page. From then on each sample of the platform is one binary message, of
what is new: see `recorded` for its form. A page says with each of its words what it has, and gets the whole window when
it lacks something: at first, after a reload, after messages got lost. While nobody looks nothing is sent or kept; what
was missed is asked of the supervisor, on a thread of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import traitlets
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, HSpan, MultiLine, Patches, Plot, Quad, Range1d, VSpan

from ... import messages as m
from ...errors import LabError
from . import library
from .happened import Happened
from .page_side import page_side
from .part import ACTION_THREAD, Part
from .plots_still import still
from .recorded import KEPT, Line, Process, Record, app_values
from .recorded import App as AppLine
from .telling import Told, plain, tell

if TYPE_CHECKING:
    from ..app import App
    from ..platform import Platform

LEAST, MOST = 10.0, KEPT
"""Seconds that the window may be."""
HISTORY_SECONDS = 5.0
"""Seconds that the supervisor may take to tell what was."""
STILL_SECONDS = 1.0
"""The same for the picture that stays in the notebook, for which the cell waits."""
AGAIN = 5.0
"""Seconds until it is asked again."""
SETTLED = 15.0
"""Seconds of a process's life in which it grows because it starts."""
MOST_SLOTS = 8
"""Rows of processes of one app; of more, those with most memory."""
ROLES = ("host", "renderer", "zygote", "helper", "sandbox")


class Plots(Part):
    """One row an app on one time axis. Made by `Platform.plots`.

    `seconds`: how much time it shows; `paused`: when it was halted, in seconds since the epoch, 0 while it runs;
    `table`: whether figures stand instead of lines; `opened`: the apps whose processes have rows of their own; `zoom`:
    from when to when, empty for the last `seconds`. All of them may be set here as well, and every view follows.
    """

    _esm = page_side(
        "bokeh.js", "plots_samples.js", "plots_tables.js", "plots_marks.js", "plots_steering.js", "plots.js"
    )
    _css = page_side("plots.css")

    OF_PLATFORM = ("state", "problem", "apps", "events", "metrics")
    OF_APPS = ("state", "pid", "shared_with", "incarnation", "processes", "metrics")
    GAP = 0.4

    item = traitlets.Dict(help="The figure, as Bokeh embeds it.").tag(sync=True)
    seconds = traitlets.Float(60.0, min=LEAST, max=MOST, help="How much time it shows.").tag(sync=True)
    paused = traitlets.Float(0.0, min=0.0, help="When it was halted; 0 while it runs.").tag(sync=True)
    table = traitlets.Bool(False, help="Figures instead of lines.").tag(sync=True)
    opened = traitlets.List(traitlets.Unicode(), help="Apps whose processes have rows of their own.").tag(sync=True)
    zoom = traitlets.List(traitlets.Float(), maxlen=2, help="From when to when; empty for the last seconds.").tag(
        sync=True
    )

    def __init__(self, platform: Platform, chosen: frozenset[str] | None, seconds: float) -> None:
        """`chosen`: names of apps; `None` for all there are."""
        self._chosen = chosen
        self._record, self._happened = Record(), Happened()
        self._now: dict[str, dict[str, Any]] = {}
        self._waiting: list[tuple[float, Line, tuple[float, ...]]] = []
        self._roles: dict[Process, str] = {}
        self._numbers: dict[str, int] = {}
        self._number = 0
        self._whole = True
        self._sent_up_to = -math.inf
        self._sent: dict[str, Any] = {}
        self._filled = 0.0
        self._filling = False
        self._fill_again = math.inf
        super().__init__(platform)
        self.seconds = seconds
        library.offer(self)
        self.observe(self._wished, names=["seconds", "paused", "opened"])

    @traitlets.default("item")
    def _figure(self) -> dict[str, Any]:
        return _item()

    # --- what it shows

    def _apps(self) -> list[App]:
        return [app for app in self._platform.apps if self._chosen is None or app.name in self._chosen]

    def _facts(self) -> dict[str, Any]:
        return {"platform": self._platform.state, "apps": [_facts_of(app) for app in self._apps()]}

    def _refresh(self) -> None:
        super()._refresh()
        if self.paused and not self._whole:
            return
        latest = self._record.ticks[-1] if self._record.ticks else 0.0
        end = self.paused or latest
        self._record.forget(end - KEPT)
        self._happened.newest(self._platform.events)
        self._happened.forget(end - KEPT)
        whole = self._whole
        content: dict[str, Any] = {}
        lines, told_lines = self._lines(end - self.seconds)
        if whole or told_lines != self._sent.get("lines"):
            whole = True
            content["lines"] = told_lines
        first = self._record.first_after(end - self.seconds if whole else self._sent_up_to)
        if whole:
            # The line goes on to the left edge.
            first = max(0, first - 1)
        for name, value in self._told(end).items():
            if whole or value != self._sent.get(name):
                content[name] = value
        if not whole and not content and first == len(self._record):
            return
        since, self._number = 0 if whole else self._number, self._number + 1
        self._whole, self._sent_up_to = False, latest
        self._sent |= content
        content |= {"plots": self._number, "since": since, "count": len(self._record) - first}
        self.send(content, [self._record.packed(lines, first)])

    def _told(self, end: float) -> dict[str, Any]:
        """What goes along with the samples, where it is new."""
        apps = self._apps()
        names = {app.name for app in apps}
        marks = self._happened.since(end - KEPT, names)
        told = [Told(app.name, _growth(app), app.full_in, app.pid) for app in apps]
        return {
            "marks": [mark.as_data() for mark in marks],
            "spans": {name: tuple(spans) for name, spans in self._happened.spans.items() if name in names},
            "words": tell(self._record, marks, told, end - self.seconds),
        }

    def _lines(self, since: float) -> tuple[list[Line], list[list[Any]]]:
        """The lines that a page draws, in order, and what it is told of each: the app, and of a process pid, role and
        which row of its role it is in.
        """
        first = self._record.first_after(since)
        lines: list[Line] = []
        told: list[list[Any]] = []
        there = self._record.lines(first) if self.opened else ()
        for app in self._apps():
            lines.append(AppLine(app.name))
            told.append([app.name])
            if app.name not in self.opened:
                continue
            own = [line for line in there if isinstance(line, Process) and line.app == app.name]
            for line, role, slot in _rows(own, self._roles, self._record, first):
                lines.append(line)
                told.append([app.name, line.pid, role, slot])
        return lines, told

    def _still(self) -> str:
        """What was until now: the notebook keeps this picture."""
        with self._guard:
            shown, apps = self.shown, self._apps()
        if not shown and self._platform.state == "running":
            self._fill(apps, self.seconds, STILL_SECONDS, ())
        with self._guard:
            self._happened.newest(self._platform.events)
            record = self._record
            if not record.ticks:
                return ""
            told = self._told(record.ticks[-1])
            limits = {app.name: _limits(app) for app in apps}
            return still(record, apps, limits, told["marks"], plain(told["words"]), self.seconds)

    # --- what it hears

    def _observe_apps(self) -> None:
        before = set(self._observed)
        super()._observe_apps()
        for app in self._observed:
            if app not in before:
                self._now[app.name] = {"incarnation": app.incarnation, "processes": app.processes}

    def _changed(self, change: Any) -> None:
        with self._guard:
            if not self._observing:
                return
            if change.owner is self._platform:
                self._platform_changed(change)
            elif change.name == "metrics":
                self._sampled(change.owner.name, change.new)
            elif change.name in ("incarnation", "processes"):
                # Told just before the figures that belong to it.
                self._now.setdefault(change.owner.name, {})[change.name] = change.new
            else:
                self.touch()

    def _platform_changed(self, change: Any) -> None:
        if change.name == "metrics":
            if change.new is not None:
                self._take_tick(change.new.at)
            if time.monotonic() >= self._fill_again:
                self._begin_to_fill()
        elif change.name == "events":
            known = self._happened.version
            self._happened.newest(change.new)
            if self._happened.version == known:
                return
        elif change.name == "apps":
            self._observe_apps()
        self.touch()

    def _take_tick(self, at: float) -> None:
        """The platform's own sample comes behind those of all apps: together they are a tick."""
        waiting, self._waiting = self._waiting, []
        for when, line, values in waiting:
            self._record.put(when, line, values)
        self._record.put(at)
        if min([at, *(when for when, _, _ in waiting)]) <= self._sent_up_to:
            # It was known from the supervisor's memory, and maybe not whole.
            self._whole = True

    def _sampled(self, name: str, metrics: m.AppMetrics | None) -> None:
        if metrics is None or (self._chosen is not None and name not in self._chosen):
            return
        now = self._now.get(name, {})
        self._waiting.append((metrics.at, AppLine(name), app_values(metrics, now.get("incarnation", 0))))
        if name in self.opened:
            for one in now.get("processes", ()):
                line = Process(name, one.pid, one.created)
                self._roles[line] = one.role
                self._waiting.append((metrics.at, line, (float(one.memory), one.cpu)))

    def _shown(self) -> None:
        with self._guard:
            self._filled = 0.0
            self._begin_to_fill()

    def _hidden(self) -> None:
        with self._guard:
            self._numbers.clear()
            self._fill_again = math.inf

    def _page_said(self, sender: Any, content: Any, buffers: Any) -> None:
        super()._page_said(sender, content, buffers)
        if not isinstance(content, dict) or not isinstance(content.get("have"), int):
            return
        page, have = content.get("page"), content["have"]
        with self._guard:
            if page not in self._pages:
                self._numbers.pop(page, None)
                return
            # What was sent before its last word has had a beat's time to come. -1: it knows that it lost something.
            if have < self._numbers.get(page, math.inf) or have > self._number:
                self._whole = True
                self.touch()
            self._numbers[page] = self._number

    def _wished(self, change: Any) -> None:
        """A page, or a cell, wants to see it otherwise."""
        with self._guard:
            if change.name == "opened":
                for name in set(change.old or ()) - set(change.new):
                    self._record.drop(name)
                if not self._pages:
                    return
                if set(change.new) - set(change.old or ()):
                    self._filled = 0.0
            self._whole = True
            if self._pages and self._filled < self.seconds:
                self._begin_to_fill()
            self.touch()

    # --- what was before somebody looked

    def _begin_to_fill(self) -> None:
        self._fill_again = math.inf
        if self._filling or self._platform.state != "running":
            return
        self._filling = True
        threading.Thread(target=self._fill_up, name=ACTION_THREAD, daemon=True).start()

    def _fill_up(self) -> None:
        while True:
            with self._guard:
                if self.comm is None or not self._pages or self._filled >= self.seconds:
                    self._filling = False
                    return
                seconds, apps, opened = self.seconds, self._apps(), tuple(self.opened)
                self._filled = seconds
            complete = self._fill(apps, seconds, HISTORY_SECONDS, opened)
            with self._guard:
                self._whole = True
                self.touch()
                if not complete:
                    self._filled, self._filling = 0.0, False
                    self._fill_again = time.monotonic() + AGAIN
                    return

    def _fill(self, apps: Sequence[App], seconds: float, timeout: float, opened: Sequence[str]) -> bool:
        """Ask for what was; whether all of it came."""
        deadline = time.monotonic() + timeout
        complete = True
        for app in apps:
            try:
                history = app.history(seconds, timeout=max(0.05, deadline - time.monotonic()))
            except LabError:
                # Gone meanwhile, or the supervisor is: what is known stays.
                complete = complete and app not in self._platform.apps
                continue
            with self._guard:
                self._record.fill(app.name, history, app.name in opened)
                for one in history.by_process:
                    self._roles[Process(app.name, one.pid, one.created)] = one.role
        return complete


def plots_of(platform: Platform, apps: Iterable[App | str] | None, seconds: float) -> Plots:
    """Plots of these apps, see `Platform.plots`. Raises `UnknownApp`, `ValueError`."""
    if not isinstance(seconds, int | float) or not LEAST <= seconds <= MOST:
        raise ValueError(f"seconds is {LEAST:g} to {MOST:g}, not {seconds!r}")
    names = (
        None if apps is None else frozenset(platform[app if isinstance(app, str) else app.name].name for app in apps)
    )
    return Plots(platform, names, float(seconds))


def _limits(app: App) -> tuple[int | None, float | None]:
    """Bytes and percent of one core that it is held to; `None` where nothing holds it."""
    if app.enforcement.tier == "off":
        return None, None
    return app.limits.max_memory, app.limits.max_cpu


def _growth(app: App) -> float:
    """Bytes a second; nothing while it grows because it starts."""
    return (app.growth or 0.0) if (app.uptime or 0.0) > SETTLED else 0.0


def _facts_of(app: App) -> dict[str, Any]:
    memory, cpu = _limits(app)
    return {
        "name": app.name,
        "state": app.state,
        "pid": app.pid,
        "shared": list(app.shared_with),
        "processes": len(app.processes),
        "memory": memory,
        "cpu": cpu,
    }


def _rows(
    lines: Iterable[Process], roles: dict[Process, str], record: Record, first: int
) -> list[tuple[Process, str, int]]:
    """Each process with its role and the row it is in: a row holds, one after the other, those of a role that were not
    there at the same time. Of too many rows those with most memory at last.
    """
    rows: dict[tuple[str, int], list[tuple[int, Process]]] = {}
    lives = {line: record.life(line, first) for line in lines}
    for line in sorted(lives, key=lambda line: (line.created, line.pid)):
        begin, end = lives[line]
        role = roles.get(line, "helper")
        slot = 0
        while rows.get((role, slot)) and rows[role, slot][-1][0] >= begin:
            slot += 1
        rows.setdefault((role, slot), []).append((end, line))

    def memory(row: tuple[str, int]) -> float:
        end, line = rows[row][-1]
        values = record.at(end, line)
        return values[0] if values else 0.0

    kept = sorted(rows, key=memory, reverse=True)[:MOST_SLOTS]
    order = sorted(kept, key=lambda row: (ROLES.index(row[0]) if row[0] in ROLES else len(ROLES), row))
    return [(line, *row) for row in order for _, line in rows[row]]


@cache
def _item() -> Any:
    """The figure without data: what is drawn, in which order. One unit of its vertical axis is a pixel, counted from
    the top, so that a row is where the page puts it.
    """
    plot = Plot(
        x_range=Range1d(0, 60),
        y_range=Range1d(100, 0),
        height=101,
        sizing_mode="stretch_width",
        min_border=0,
        # Bokeh does not wipe the outermost half of a pixel at the left and at the top; the page shifts it out of sight.
        min_border_left=1,
        min_border_top=1,
        toolbar_location=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )
    box = {"left": "left", "right": "right", "top": "top", "bottom": "bottom"}
    glyphs = {
        "grid": HSpan(y="y", line_color="color", line_width=1),
        "areas": Patches(xs="xs", ys="ys", fill_color="color", fill_alpha=0.22, line_color=None),
        "cpu": MultiLine(xs="xs", ys="ys", line_color="color", line_width=1.2, line_join="round"),
        "heap": MultiLine(xs="xs", ys="ys", line_color="color", line_width=1.2, line_dash=[2, 2]),
        "memory": MultiLine(xs="xs", ys="ys", line_color="color", line_width=2, line_join="round"),
        "limits": HSpan(y="y", line_color="color", line_width=1, line_dash=[5, 4]),
        "cells": Quad(**box, fill_color="color", line_color=None),
        "hollow": Quad(**box, fill_color="fill", line_color="color", line_width=1),
        "marks": VSpan(x="x", line_color="color", line_width="width"),
    }
    for name, glyph in glyphs.items():
        fields = [value for value in ("xs", "ys", "x", "y", *box, "color", "fill", "width") if _uses(glyph, value)]
        plot.add_glyph(ColumnDataSource(name=name, data={field: [] for field in fields}), glyph)
    return json_item(plot)


def _uses(glyph: Any, column: str) -> bool:
    values = glyph.properties_with_values(include_defaults=False).values()
    return any(getattr(value, "field", value) == column for value in values)
