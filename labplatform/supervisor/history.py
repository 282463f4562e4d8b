"""What the figures of an app and of its processes were: columns of numbers, bounded by age and by rows. Supervisor.

This is in memory; what is longer ago is in the store, see `remembering`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import inf, nan
from operator import attrgetter
from typing import NamedTuple

from ..messages import AppMetrics, Column, ProcessInfo, Recalled, RecalledProcess

KEPT_SECONDS = 600.0
"""How far back figures are kept."""
MOST_ROWS = 6000
"""Rows of one series: ten minutes at the fastest sampling."""
MOST_PROCESSES = 500
"""Processes of one app whose series are kept; one that forks without end forgets the oldest."""

APP_COLUMNS = (
    "at",
    "memory",
    "rss",
    "pss",
    "uss",
    "cpu",
    "threads",
    "processes",
    "js_heap",
    "js_heap_limit",
    "page_lag",
    "gui_lag",
)
_of_app = attrgetter(*APP_COLUMNS)
PROCESS_COLUMNS = ("at", "memory", "rss", "pss", "uss", "cpu", "threads")

Columns = dict[str, "array[float]"]
"""Numbers by name, all of one length; NaN where one is not known."""


class Past(NamedTuple):
    """Samples of an app in the order of time, and of its processes, by pid, creation and role."""

    app: Columns
    processes: list[tuple[tuple[int, float, str], Columns]]

    def between(self, after: float, before: float) -> Past:
        """The samples between these times, themselves excluded."""
        return Past(
            _between(self.app, after, before),
            [(key, _between(columns, after, before)) for key, columns in self.processes],
        )


class Series:
    """Rows with one number for each column, oldest first; the first column is the time, in seconds since the epoch.

    One array holds all rows, one behind the other: an app that is started again and again has had hundreds of
    processes within ten minutes, each with a series of a few rows.
    """

    __slots__ = ("_names", "_rows", "_start")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._rows = array("d")
        self._start = 0

    def __len__(self) -> int:
        """Rows held; those that are too old are let go of by the thousand."""
        return len(self._rows) // len(self._names)

    def add(self, *values: float | None) -> None:
        """One more row; `None` is not known, and becomes NaN. What is too old goes."""
        width = len(self._names)
        if len(values) != width:
            raise ValueError(f"a row has {width} columns, not {len(values)}")
        rows = self._rows
        rows.extend([nan if value is None else value for value in values] if None in values else values)
        count, oldest = len(rows) // width, rows[-width] - KEPT_SECONDS
        while rows[self._start * width] < oldest or count - self._start > MOST_ROWS:
            self._start += 1
        if self._start > 1000:
            del rows[: self._start * width]
            self._start = 0

    def _time(self, row: int) -> float:
        return self._rows[row * len(self._names)]

    @property
    def latest(self) -> float:
        """The time of its last row; 0 when there is none."""
        return self._rows[-len(self._names)] if self._rows else 0.0

    @property
    def oldest(self) -> float:
        """The time of its first row; infinity when there is none."""
        return self._time(self._start) if len(self) > self._start else inf

    def values(self, names: tuple[str, ...], since: float, until: float) -> list[float]:
        """What is known of these columns between two moments, both included; in no order."""
        rows = range(len(self))
        first = bisect_left(rows, since, self._start, key=self._time)
        end = bisect_right(rows, until, self._start, key=self._time)
        columns = (self._column(self._names.index(name), first, end) for name in names)
        return [value for column in columns for value in column if value == value]

    def between(self, after: float, until: float = inf, most: int | None = None) -> Columns:
        """The rows after a time, up to and with another; no more than the first `most`."""
        rows = range(len(self))
        first = bisect_right(rows, after, self._start, key=self._time)
        end = bisect_right(rows, until, first, key=self._time)
        if most is not None:
            end = min(end, first + most)
        return {name: self._column(index, first, end) for index, name in enumerate(self._names)}

    def _column(self, index: int, first: int, end: int) -> array[float]:
        width = len(self._names)
        return self._rows[first * width + index : end * width : width]


class History:
    """The figures of one place: of the app, over all of its incarnations, and of each process it had."""

    def __init__(self) -> None:
        self.app = Series((*APP_COLUMNS, "incarnation"))
        self.processes: dict[tuple[int, float], tuple[str, Series]] = {}
        """By pid and creation: its role, and its figures."""

    def add(self, metrics: AppMetrics, incarnation: int, rows: tuple[ProcessInfo, ...]) -> None:
        """One sample."""
        self.app.add(*_of_app(metrics), incarnation)
        for row in rows:
            key = (row.pid, row.created)
            role, series = self.processes.get(key) or ("", Series(PROCESS_COLUMNS))
            if role != row.role:
                self.processes[key] = (row.role, series)
            series.add(metrics.at, row.memory, row.rss, row.pss, row.uss, row.cpu, row.threads)
        if len(self.processes) > len(rows):
            oldest = metrics.at - KEPT_SECONDS
            for key, (_, series) in list(self.processes.items()):
                if series.latest < oldest:
                    del self.processes[key]
        while len(self.processes) > MOST_PROCESSES:
            del self.processes[min(self.processes, key=lambda key: self.processes[key][1].latest)]

    @property
    def oldest(self) -> float:
        """When its first sample was; infinity when there is none."""
        return self.app.oldest

    def past(self, after: float, most: int | None = None) -> Past:
        """The samples after a time, in seconds since the epoch, no more than the first `most`; processes without one
        are left out."""
        app = self.app.between(after, most=most)
        until = app["at"][-1] if app["at"] else after
        return Past(
            app,
            [
                ((pid, created, role), series.between(after, until))
                for (pid, created), (role, series) in self.processes.items()
                if series.latest > after and series.oldest <= until
            ],
        )

    def recall(self, after: float) -> Recalled:
        """All samples after a time, in seconds since the epoch, as they are told."""
        passage = Passage(MOST_ROWS)
        passage.add(self.past(after))
        return passage.recalled()


class Passage:
    """Samples put together from one piece after the other, up to `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._app: Columns = {}
        self._processes: dict[tuple[int, float], tuple[str, Columns]] = {}
        self.full = False
        """Whether there may be more than it took."""

    @property
    def last(self) -> float:
        """The time of its last sample; minus infinity when there is none."""
        times = self._app.get("at")
        return times[-1] if times else -inf

    @property
    def room(self) -> int:
        """How many samples it still takes."""
        return max(0, self._most - len(self._app.get("at", ())))

    def add(self, past: Past) -> None:
        """Take what comes next in time, as far as there is room."""
        times = past.app["at"]
        until = inf
        if len(times) > self.room:
            self.full = True
            until = times[self.room - 1] if self.room else -inf
        _append(self._app, past.app, until)
        for (pid, created, role), columns in past.processes:
            _, known = self._processes.get((pid, created), ("", {}))
            _append(known, columns, until)
            if known["at"]:
                # A renderer may have been taken for a helper before it was told of.
                self._processes[pid, created] = (role, known)

    def recalled(self) -> Recalled:
        """All of it, as controllers get it."""
        return Recalled(
            columns=_told(self._app),
            processes=tuple(
                RecalledProcess(pid=pid, created=created, role=role, columns=_told(columns))
                for (pid, created), (role, columns) in self._processes.items()
            ),
            more=self.full,
        )


def _between(columns: Columns, after: float, before: float) -> Columns:
    first, end = bisect_right(columns["at"], after), bisect_left(columns["at"], before)
    return {name: column[first:end] for name, column in columns.items()}


def _append(columns: Columns, more: Columns, until: float) -> None:
    """Rows of `more` up to a time. A column that only one of them has is not known in the other."""
    before, end = len(columns.get("at", ())), bisect_right(more["at"], until)
    for name in {**columns, **more}:
        column = columns.setdefault(name, array("d", [nan]) * before)
        column += more[name][:end] if name in more else array("d", [nan]) * end


def _told(columns: Columns) -> dict[str, Column]:
    return {name: tuple(None if value != value else value for value in column) for name, column in columns.items()}
