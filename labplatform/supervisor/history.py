"""What the figures of an app and of its processes were: columns of numbers, bounded by age and by rows. Supervisor."""

from __future__ import annotations

from array import array
from math import nan

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
PROCESS_COLUMNS = ("at", "memory", "rss", "pss", "uss", "cpu", "threads")


class Series:
    """Rows with one number for each column, oldest first; the first column is the time, in seconds since the epoch."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.columns = {name: array("d") for name in names}
        self._start = 0

    def add(self, *values: float | None) -> None:
        """One more row; `None` is not known, and becomes NaN. What is too old goes."""
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(nan if value is None else value)
        times = next(iter(self.columns.values()))
        oldest = times[-1] - KEPT_SECONDS
        while times[self._start] < oldest or len(times) - self._start > MOST_ROWS:
            self._start += 1
        if self._start > 1000:
            for column in self.columns.values():
                del column[: self._start]
            self._start = 0

    @property
    def latest(self) -> float:
        """The time of its last row; 0 when there is none."""
        times = next(iter(self.columns.values()))
        return times[-1] if times else 0.0

    def since(self, at: float) -> dict[str, Column]:
        """The rows after `at`, column by column."""
        times = next(iter(self.columns.values()))
        first = len(times)
        while first > self._start and times[first - 1] > at:
            first -= 1
        return {
            name: tuple(None if value != value else value for value in column[first:])
            for name, column in self.columns.items()
        }


class History:
    """The figures of one place: of the app, over all of its incarnations, and of each process it had."""

    def __init__(self) -> None:
        self.app = Series((*APP_COLUMNS, "incarnation"))
        self.processes: dict[tuple[int, float], tuple[ProcessInfo, Series]] = {}

    def add(self, metrics: AppMetrics, incarnation: int, rows: tuple[ProcessInfo, ...]) -> None:
        """One sample."""
        self.app.add(*(getattr(metrics, name) for name in APP_COLUMNS), incarnation)
        for row in rows:
            key = (row.pid, row.created)
            known = self.processes.get(key)
            series = known[1] if known else Series(PROCESS_COLUMNS)
            self.processes[key] = (row, series)
            series.add(metrics.at, row.memory, row.rss, row.pss, row.uss, row.cpu, row.threads)
        if len(self.processes) > len(rows):
            oldest = metrics.at - KEPT_SECONDS
            for key, (_, series) in list(self.processes.items()):
                if series.latest < oldest:
                    del self.processes[key]
        while len(self.processes) > MOST_PROCESSES:
            del self.processes[min(self.processes, key=lambda key: self.processes[key][1].latest)]

    def recall(self, at: float) -> Recalled:
        """Everything after `at`, in seconds since the epoch; processes without a row since then are left out."""
        return Recalled(
            columns=self.app.since(at),
            processes=tuple(
                RecalledProcess(pid=row.pid, created=row.created, role=row.role, columns=series.since(at))
                for row, series in self.processes.values()
                if series.latest > at
            ),
        )
