"""Figures over time, as the supervisor recalls them and reports keep them. Supervisor and controllers."""

from __future__ import annotations

import msgspec

Column = tuple[float | None, ...]
"""One figure over time, oldest first; `None` where it was not known."""


class RecalledProcess(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one process: `columns` as in `ProcessInfo`, and `at`, in seconds since the epoch."""

    pid: int
    created: float
    role: str
    columns: dict[str, Column]


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one app over time: `columns` as in `AppMetrics`, and `incarnation`; and those of its processes.

    `more`: there may be later ones, to be asked for after the last of these.
    """

    columns: dict[str, Column] = {}
    processes: tuple[RecalledProcess, ...] = ()
    more: bool = False
