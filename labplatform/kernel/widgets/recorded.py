"""What apps used, tick by tick: kept for a plot, and packed for a page. Pure; kernel.

A tick is one sample of the platform: all of its apps are read at the same moment. What was not known is NaN; so is what
was before an app was there.

Packed it is one buffer: the ticks as float64, in seconds since the epoch, then for each line, in the order that is told
beside it, each of its figures over all ticks as float32.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from ... import messages as m
from ..history import History

KEPT = 600.0
"""Seconds that are kept: as many as the supervisor keeps."""
MOST_TICKS = 12_000
"""Ticks that are kept at most."""


class App(NamedTuple):
    """The line of an app, by its name on the platform."""

    app: str


class Process(NamedTuple):
    """The line of one of its OS processes; `created` tells one pid from the next of its number."""

    app: str
    pid: int
    created: float


Line = App | Process
APP_FIGURES = ("memory", "js_heap", "cpu", "lag", "incarnation")
"""Bytes, bytes, percent of one core, seconds, and which of its processes it is."""
PROCESS_FIGURES = ("memory", "cpu")
Values = tuple[float, ...]


def figures(line: Line) -> tuple[str, ...]:
    """What is known of such a line, in order."""
    return PROCESS_FIGURES if isinstance(line, Process) else APP_FIGURES


def app_values(metrics: m.AppMetrics, incarnation: int) -> Values:
    """An app's figures of one sample, in that order."""
    heap, lag = metrics.js_heap, metrics.lag
    return (
        float(metrics.memory),
        nan if heap is None else float(heap),
        metrics.cpu,
        nan if lag is None else lag,
        float(incarnation),
    )


class Record:
    """Samples by tick, oldest first. `ticks`: seconds since the epoch."""

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self._samples: list[dict[Line, Values]] = []

    def __len__(self) -> int:
        return len(self.ticks)

    def put(self, at: float, line: Line | None = None, values: Values = ()) -> None:
        """One line's figures at a tick; without a line, that there was this tick."""
        if not self.ticks or at > self.ticks[-1]:
            self.ticks.append(at)
            self._samples.append({})
            place = -1
        else:
            place = bisect_left(self.ticks, at)
            if self.ticks[place] != at:
                self.ticks.insert(place, at)
                self._samples.insert(place, {})
        if line is not None:
            self._samples[place][line] = values

    def fill(self, app: str, history: History, processes: bool = False) -> None:
        """What the supervisor remembers of an app, and of its processes as well."""
        lag = np.fmax(history["page_lag"], history["gui_lag"])
        columns = [history["memory"], history["js_heap"], history["cpu"], lag, history["incarnation"]]
        for at, *values in zip(history["at"].tolist(), *(column.tolist() for column in columns), strict=True):
            self.put(at, App(app), tuple(values))
        for one in history.by_process if processes else ():
            line = Process(app, one.pid, one.created)
            for at, *values in zip(one["at"].tolist(), one["memory"].tolist(), one["cpu"].tolist(), strict=True):
                self.put(at, line, tuple(values))

    def forget(self, before: float) -> None:
        """Drop the ticks before this moment, and those that are too many."""
        count = max(bisect_left(self.ticks, before), len(self.ticks) - MOST_TICKS)
        if count > 0:
            del self.ticks[:count], self._samples[:count]

    def drop(self, app: str) -> None:
        """Forget the processes of an app: nobody looks at them any more."""
        for sample in self._samples:
            for line in [line for line in sample if isinstance(line, Process) and line.app == app]:
                del sample[line]

    def first_after(self, at: float) -> int:
        """The index of the first tick later than this."""
        return bisect_right(self.ticks, at)

    def lines(self, first: int = 0) -> set[Line]:
        """Which lines have a figure from this tick on."""
        return {line for sample in self._samples[first:] for line in sample}

    def life(self, line: Line, first: int = 0) -> tuple[int, int]:
        """The first and the last tick, by index, at which a line has figures, from this tick on; (-1, -1) for none."""
        there = [tick for tick in range(first, len(self.ticks)) if line in self._samples[tick]]
        return (there[0], there[-1]) if there else (-1, -1)

    def at(self, tick: int, line: Line) -> Values | None:
        """A line's figures at a tick, by its index."""
        return self._samples[tick].get(line)

    def column(self, line: Line, figure: str, first: int = 0) -> np.ndarray:
        """One figure of a line from this tick on."""
        index = figures(line).index(figure)
        return np.array(
            [values[index] if (values := sample.get(line)) else nan for sample in self._samples[first:]], dtype=float
        )

    def packed(self, lines: Sequence[Line], first: int = 0) -> bytes:
        """These lines from this tick on, as a page takes them."""
        parts = [np.array(self.ticks[first:], dtype="<f8").tobytes()]
        samples = self._samples[first:]
        for line in lines:
            nothing = (nan,) * len(figures(line))
            table = np.array([sample.get(line, nothing) for sample in samples], dtype="<f4")
            parts.append(np.ascontiguousarray(table.reshape(len(samples), len(nothing)).T).tobytes())
        return b"".join(parts)
