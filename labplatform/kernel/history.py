"""Figures of an app over time, as a notebook wants them: arrays, and tables for pandas. Kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import messages as m


class ProcessHistory(Mapping[str, np.ndarray]):
    """One process's figures by name, all arrays of one length: at, memory, rss, pss, uss (bytes), cpu (percent of one
    core), threads. `pid`, `created` (seconds since the epoch), `role`: which process.
    """

    def __init__(self, parts: list[m.RecalledProcess]) -> None:
        self.pid, self.created, self.role = parts[-1].pid, parts[-1].created, parts[-1].role
        self._columns = _joined([part.columns for part in parts])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<ProcessHistory {self.role} {self.pid}: {len(self['at'])} samples>"


class History(Mapping[str, np.ndarray]):
    """An app's figures by name, all arrays of one length, oldest first.

    `at`: seconds since the epoch; `memory`, `rss`, `pss`, `uss`, `js_heap`, `js_heap_limit`: bytes; `cpu`: percent of
    one core; `page_lag`, `gui_lag`: seconds; `threads`, `processes`, `incarnation`: counts. What was not known is NaN,
    so a line drawn from them has a gap there.
    """

    def __init__(self, parts: list[m.Recalled]) -> None:
        self._columns = _joined([part.columns for part in parts])
        processes: dict[tuple[int, float], list[m.RecalledProcess]] = {}
        for part in parts:
            for process in part.processes:
                processes.setdefault((process.pid, process.created), []).append(process)
        self.by_process: tuple[ProcessHistory, ...] = tuple(map(ProcessHistory, processes.values()))
        """The same for each OS process the app had in that time, over all of its incarnations."""

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def table(self) -> dict[str, Any]:
        """A column for each figure, `at` as a time of day in UTC: `pandas.DataFrame(history.table())`."""
        return {**self._columns, "at": _times(self._columns["at"])}

    def process_table(self) -> dict[str, Any]:
        """One row for each process and sample, with `pid`, `created` and `role`; for `pandas.DataFrame` as well."""
        parts = self.by_process
        lengths = [len(part["at"]) for part in parts]
        names = list(parts[0]) if parts else []
        columns: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in names}
        if parts:
            columns["at"] = _times(columns["at"])
        return {
            "pid": np.repeat([part.pid for part in parts], lengths) if parts else np.array([], dtype=int),
            "created": _times(np.repeat([part.created for part in parts], lengths)) if parts else _times(np.array([])),
            "role": np.repeat([part.role for part in parts], lengths) if parts else np.array([], dtype=str),
            **columns,
        }

    def __repr__(self) -> str:
        return f"<History: {len(self['at'])} samples, {len(self.by_process)} processes>"


def _joined(parts: list[dict[str, m.Column]]) -> dict[str, np.ndarray]:
    """Columns in one piece; the parts follow one another in time."""
    return {name: np.concatenate([np.array(part[name], dtype=float) for part in parts]) for name in parts[0]}


def _times(seconds: np.ndarray) -> np.ndarray:
    return (np.asarray(seconds, dtype=float) * 1e3).astype("datetime64[ms]")
