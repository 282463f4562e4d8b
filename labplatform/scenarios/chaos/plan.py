"""Which fault strikes which app, and when: from a seed, and nothing else. Pure; kernel.

The same seed with the same apps and faults gives the same plan, on any machine and with any Python: of its random
numbers only the stream of `random()` is the same for good (https://docs.python.org/3/library/random.html), so all that
is chosen here is made of that.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar, get_args

from ... import messages as m

T = TypeVar("T")

SUPERVISOR = "supervisor"
"""The one fault that strikes no app but what watches them: SIGKILL, and the platform is brought back."""
CRASHES: tuple[str, ...] = get_args(m.CrashKind)
OF_A_PAGE = ("renderer", "renderer-kill", "oom", "hang", "memory-limit", "window-close", "slow")
"""Faults for which an app needs a page; without one some of them would strike its Python side, which others do."""
OF_AN_OWN_PROCESS = ("memory-limit", "recycle")
"""Faults that there are only for an app that shares its process with nobody."""
DEFAULT = (*CRASHES, "memory-limit", "window-close", "recycle", "slow")
"""The faults that are chosen from, where nothing else is asked for."""
FAULTS = (*DEFAULT, SUPERVISOR)
"""Every fault. Beside those of `App.crash`: "memory-limit", its page leaks over a limit that it is given;
"window-close", its page closes its own window; "recycle", it is given a fresh process; "slow", its page computes for so
long that it is taken for hung, and answers again in time; "supervisor"."""


class Planned(NamedTuple):
    """One fault to come. `at`: seconds after the beginning; `app`: its name, empty for the supervisor's."""

    at: float
    fault: str
    app: str

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.fault} of {self.app}" if self.app else f"{self.at:6.1f} s  {self.fault}"


def possible(faults: Sequence[str], has_page: bool, own_process: bool, limits: bool) -> tuple[str, ...]:
    """Those of these faults that an app can suffer. `limits`: whether any can hold for it."""
    return tuple(
        fault
        for fault in faults
        if (has_page or fault not in OF_A_PAGE)
        and (own_process or fault not in OF_AN_OWN_PROCESS)
        and (limits or fault != "memory-limit")
        and fault != SUPERVISOR
    )


def plan(
    seed: int, duration: float, count: int, choices: Mapping[str, Sequence[str]], supervisor: bool = False
) -> tuple[Planned, ...]:
    """`count` faults over `duration` seconds, in the order of their times.

    `choices`: the faults that each app can suffer, by its name. No fault comes a second time before every other one has
    come. `supervisor`: it may be struck, too. Raises `ValueError` where there is nothing to choose from.
    """
    faults = list(dict.fromkeys(fault for found in choices.values() for fault in found))
    faults += [SUPERVISOR] if supervisor else []
    if not faults:
        raise ValueError("none of these apps can suffer any of these faults")
    chance = random.Random(seed)
    times = sorted(duration * chance.random() for _ in range(count))
    bag: list[str] = []
    planned = []
    for at in times:
        bag = bag or list(faults)
        fault = bag.pop(int(chance.random() * len(bag)))
        able = [app for app, found in choices.items() if fault in found]
        planned.append(Planned(at, fault, _one_of(able, chance) if able else ""))
    return tuple(planned)


def _one_of(things: Sequence[T], chance: random.Random) -> T:
    return things[int(chance.random() * len(things))]
