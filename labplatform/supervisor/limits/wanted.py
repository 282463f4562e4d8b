"""Whether limits that somebody asks for can be had: not below what an empty app needs, not above the machine. Pure.

Runs in the supervisor. A limit that a person names is refused with the figure; one of a manifest, which may have been
written for a larger machine, is left out with a remark.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ...capacity import Capacity
from ...errors import LimitError
from ...manifest import ResourceLimits, size_in_words
from .tier import Needs

PROCESSES_OF_A_PAGE = 4
"""Host, two zygotes, renderer."""
SEEN_LESS = 0.95
"""Of what an app was seen to run with, that a limit may be: it may not need all of it."""


class Problem(NamedTuple):
    """What is wrong with one limit. `least`, `most`: what can be had, where there is such a figure."""

    limit: str
    words: str
    least: float | None = None
    most: float | None = None


class Lately:
    """The most that an app had over the last `seconds`: with less, for a moment, it dies, or one of its processes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._rows: deque[tuple[float, int, int]] = deque()

    def most(self, at: float, incarnation: int, memory: int) -> int | None:
        """With one more figure; `None` until they are of so long a time of the same incarnation."""
        rows = self._rows
        if rows and rows[-1][1] != incarnation:
            rows.clear()
        rows.append((at, incarnation, memory))
        while len(rows) > 1 and rows[1][0] <= at - self._seconds:
            rows.popleft()
        return max(had for _, _, had in rows) if rows[0][0] <= at - self._seconds else None


class Judge:
    """Knows what an empty app needs, as a tier counts memory, and learns when one needs less."""

    def __init__(self, needs: Needs) -> None:
        self._least = {True: needs.page, False: needs.service}

    def saw(self, page: bool, memory: int) -> None:
        """An app has been running with so many bytes: no empty one needs more than that."""
        if memory > 0:
            self._least[page] = min(self._least[page], int(memory * SEEN_LESS))

    def problems(self, limits: ResourceLimits, page: bool, capacity: Capacity) -> Iterator[Problem]:
        """What is wrong with these limits for an app with or without a page."""
        where = "container" if "memory" in capacity.container else "machine"
        memory, least = limits.max_memory, self._least[page]
        if memory is not None and memory < least:
            words = f"an empty {'app' if page else 'app without a page'} needs {size_in_words(least)} here"
            yield Problem("max_memory", f"{size_in_words(memory)} is too little: {words}", least=least)
        if memory is not None and memory > capacity.memory:
            words = f"{size_in_words(memory)} is more than this {where} has, which is {size_in_words(capacity.memory)}"
            yield Problem("max_memory", words, most=capacity.memory)
        percent, most = limits.max_cpu, 100 * capacity.cores
        if percent is not None and percent > most:
            words = (
                f"{percent:g} is more than this machine's {capacity.cores:g} cores, which are {most:g} percent of one"
            )
            yield Problem("max_cpu", words, most=most)
        if limits.max_processes is not None and page and limits.max_processes < PROCESSES_OF_A_PAGE:
            words = f"{limits.max_processes} is too few: an app with a page has {PROCESSES_OF_A_PAGE}"
            yield Problem("max_processes", words, least=PROCESSES_OF_A_PAGE)

    def check(self, app: str, limits: ResourceLimits, page: bool, capacity: Capacity) -> None:
        """Raises `LimitError` for the first problem."""
        for problem in self.problems(limits, page, capacity):
            raise refusal(app, problem)

    def possible(self, limits: ResourceLimits, page: bool, capacity: Capacity) -> tuple[ResourceLimits, list[Problem]]:
        """These limits without those that cannot be had, and what was wrong with them."""
        found = list(self.problems(limits, page, capacity))
        return msgspec.structs.replace(limits, **{problem.limit: None for problem in found}), found


def refusal(app: str, problem: Problem) -> LimitError:
    """The error for a problem."""
    figures = {key: value for key, value in (("least", problem.least), ("most", problem.most)) if value is not None}
    return LimitError(
        f"{app}: {problem.limit} {problem.words}; nothing was changed", app=app, limit=problem.limit, **figures
    )


def in_words(limits: ResourceLimits) -> str:
    """Limits for people: "memory 350 MB, CPU 25 % of a core"."""
    said = [
        limits.max_memory is not None and f"memory {size_in_words(limits.max_memory)}",
        limits.max_cpu is not None and f"CPU {limits.max_cpu:g} % of a core",
        limits.max_processes is not None and f"{limits.max_processes} processes",
        limits.js_heap is not None and f"JavaScript heap {size_in_words(limits.js_heap)} from the next process on",
    ]
    return ", ".join(filter(None, said)) or "nothing is limited"
