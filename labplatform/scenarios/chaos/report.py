"""What came of a run of chaos: a row for each fault, a sentence over all, as text, as HTML and for pandas. Kernel."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from .plan import SUPERVISOR, Planned

NAMES_SHOWN = 3
"""Names that stand in a cell of the table; of more, how many."""
SHOWN_FROM = 0.5
"""Seconds of back-off that are worth a word."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. Times are seconds; those of `noticed` and `back` count from the fault.

    `at`: after the run's beginning. `app`: its name; empty where the supervisor was struck. `reason`, `detail`: why it
    ended, in the platform's words; empty if it did not. `noticed`: until the platform knew; `back`: until the app was
    ready again; `backoff`: how much of that its policy had it wait; `by_hand`: its policy would not start it, and the
    run did. `None`: not within the time it had.

    What was lost: `state`, `channel`: whether what it had saved, and its user channel, are there again; `None` if it
    had none, or nobody could be asked; `aside`: the platform has put its state aside, for it had ended right after each
    of three restores. `missed`: messages that went by meanwhile on channels on which it had been listening. `along`:
    other apps that fell silent or ended with it.

    `gap`: the longest time for which any other app, none of `along`, was silent or ran late meanwhile, its page or its
    window's thread; `neighbour`: which one. `problem`: why this row is not whole, in words; empty if it is.
    """

    number: int
    at: float
    fault: str
    app: str
    reason: str = ""
    detail: str = ""
    noticed: float | None = None
    back: float | None = None
    backoff: float = 0.0
    by_hand: bool = False
    state: bool | None = None
    channel: bool | None = None
    aside: bool = False
    missed: int = 0
    along: tuple[str, ...] = ()
    gap: float | None = None
    neighbour: str = ""
    problem: str = ""

    @property
    def mended(self) -> bool:
        """Whether it was noticed, and what it struck is back."""
        return self.noticed is not None and self.back is not None and not self.problem

    @property
    def target(self) -> str:
        """What it struck, in a word."""
        return self.app or SUPERVISOR

    @property
    def lost(self) -> str:
        """What was lost by it, in words."""
        parts = [name for name, kept in (("its state", self.state), ("its channel", self.channel)) if kept is False]
        parts += ["its state put aside"] if self.aside else []
        parts += [f"{self.missed} message{'s' * (self.missed > 1)}"] if self.missed else []
        return ", ".join(parts) or ("nothing" if self.back is not None else "not known")

    def __str__(self) -> str:
        struck = f"{self.fault} of {self.app}" if self.app else f"{self.fault} killed"
        words = [f"noticed in {_seconds(self.noticed)}" if self.noticed is not None else "not noticed"]
        if self.back is None:
            words.append("not back")
        else:
            words.append(f"back in {_back(self)}")
            words.append(f"lost: {self.lost}")
        if self.along:
            words.append(f"along with it: {_names(self.along)}")
        words += [self.problem] if self.problem else []
        return f"{struck}: {', '.join(words)}"


class ChaosReport:
    """The faults of one run, in the order in which they were mended or given up.

    `seed` and `planned` say what was to happen; `interrupted`, that somebody ended it before; `problem`, that the
    platform did. `calm`: the longest silence of any app, in seconds, before the first fault, for comparison. `colors`:
    of apps, by name. A sequence of its `rows`.
    """

    def __init__(
        self, seed: int, isolation: str, planned: tuple[Planned, ...], colors: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.seed = seed
        self.isolation = isolation
        self.planned = planned
        self.colors = colors
        self.rows: tuple[Row, ...] = ()
        self.seconds = 0.0
        self.calm: float | None = None
        self.interrupted = False
        self.problem = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    @property
    def mended(self) -> bool:
        """Whether all that was planned has happened, was noticed, and all of it is back."""
        return len(self.rows) == len(self.planned) and all(row.mended for row in self.rows)

    @property
    def summary(self) -> str:
        """What came of it, in a sentence or two."""
        rows = self.rows
        count = f"{len(rows)} of {len(self.planned)}" if len(rows) < len(self.planned) else f"{len(rows)}"
        words = [f"Seed {self.seed}: {count} fault{'s' * (len(self.planned) != 1)} in {self.seconds:.0f} s"]
        if rows:
            words.append(f"{_all_of(sum(row.noticed is not None for row in rows), len(rows))} noticed")
            words.append(f"{_all_of(sum(row.back is not None for row in rows), len(rows))} back{self._in_time()}")
            words.append(f"lost: {self._lost()}")
        gaps = [row for row in rows if row.gap is not None]
        beside = ""
        if gaps:
            worst = max(gaps, key=lambda row: row.gap or 0.0)
            calm = "" if self.calm is None else f" ({_seconds(self.calm)} before the first fault)"
            beside = f" Longest that a neighbour was silent or late: {_seconds(worst.gap)}, {worst.neighbour}{calm}."
        end = f" It was interrupted{': ' + self.problem if self.problem else ''}." if self.interrupted else ""
        end = f" It ended before its time: {self.problem}." if self.problem and not self.interrupted else end
        return f"{', '.join(words)}.{beside}{end}"

    def _in_time(self) -> str:
        times = sorted(row.back - row.backoff for row in self.rows if row.back is not None)
        if not times:
            return ""
        waited = ", back-off not counted" if any(row.backoff >= SHOWN_FROM for row in self.rows) else ""
        return f" (median {_seconds(times[len(times) // 2])}, slowest {_seconds(times[-1])}{waited})"

    def _lost(self) -> str:
        states = sum(row.state is False or row.aside for row in self.rows)
        channels = sum(row.channel is False for row in self.rows)
        missed = sum(row.missed for row in self.rows)
        along = sum(len(row.along) for row in self.rows)
        counts = ((states, "state"), (channels, "channel"), (missed, "message"), (along, "neighbour"))
        return ", ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts if count) or "nothing"

    def table(self) -> dict[str, list[Any]]:
        """A column for each field of the rows: `pandas.DataFrame(report.table())`."""
        return {name: [getattr(row, name) for row in self.rows] for name in Row.__struct_fields__}

    def __repr__(self) -> str:
        lines = [[heading for heading, _ in COLUMNS], *([cell(row) for _, cell in COLUMNS] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        notes = [f"{row.number}: {row.problem}" for row in self.rows if row.problem]
        return "\n".join([self.summary, *(text.rstrip() for text in texts), *notes])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope=col class="{_align(name)}">{html.escape(name)}</th>' for name, _ in COLUMNS)
        body = "".join(_html_row(row, self.colors.get(row.app, "")) for row in self.rows)
        return (
            f"<style>{STYLE}</style><div class=labplatform-chaos><p>{html.escape(self.summary)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _kept(kept: bool | None) -> str:
    return {True: "✓ kept", False: "× lost", None: "–"}[kept]


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _all_of(count: int, whole: int) -> str:
    return "all" if count == whole else f"{count}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= NAMES_SHOWN else f"{len(names)} apps"


def _noticed(row: Row) -> str:
    if row.noticed is None:
        return "× not noticed"
    return "asked for" if row.fault == "recycle" else _seconds(row.noticed)


def _back(row: Row) -> str:
    if row.back is None:
        return "× not back"
    waited = f", {_seconds(row.backoff)} back-off" if row.backoff >= SHOWN_FROM else ""
    return _seconds(row.back) + (" by hand" if row.by_hand else waited)


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("", lambda row: str(row.number)),
    ("fault", lambda row: row.fault),
    ("app", lambda row: row.app or "all of them"),
    ("noticed in", _noticed),
    ("as", lambda row: row.reason or "–"),
    ("back in", _back),
    ("state", lambda row: "put aside" if row.aside else _kept(row.state)),
    ("channel", lambda row: _kept(row.channel)),
    ("missed", lambda row: f"{row.missed}" if row.missed else "–"),
    ("took along", lambda row: _names(row.along) or "nobody"),
    ("neighbours' worst gap", lambda row: f"{_seconds(row.gap)}" + (f", {row.neighbour}" if row.neighbour else "")),
)
NUMBERS = ("", "noticed in", "back in", "missed")
"""Columns that stand at the right."""


def _align(heading: str) -> str:
    return "number" if heading in NUMBERS else ""


def _html_row(row: Row, color: str) -> str:
    cells = []
    for heading, cell in COLUMNS:
        text = cell(row)
        classes = [_align(heading)]
        harm = text.startswith("×") or (heading == "took along" and row.along)
        classes += ["harm"] if harm else ["faint"] if text in ("–", "nobody") else []
        title = f' title="{html.escape(row.detail)}"' if heading == "as" and row.detail else ""
        chip = f'<i style="background:{html.escape(color)}"></i>' if heading == "app" and color else ""
        cells.append(f'<td class="{" ".join(classes)}"{title}>{chip}{html.escape(text)}</td>')
    said = f"<tr class=said><td></td><td colspan={len(COLUMNS) - 1}>{html.escape(row.problem)}</td></tr>"
    return f"<tr>{''.join(cells)}</tr>" + (said if row.problem else "")


STYLE = """
div.labplatform-chaos { --line: var(--jp-border-color2, #dce0e4); --ink: var(--jp-ui-font-color0, #1a1d21);
  --faint: #626b74; --harm: #c0301c; color: var(--ink); font-variant-numeric: tabular-nums; overflow-x: auto;
  font: 13px/1.45 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif); }
[data-jp-theme-light="false"] .labplatform-chaos, .theme-dark .labplatform-chaos, .jp-mod-dark div.labplatform-chaos {
  --faint: #9aa4ad; --harm: #ff8069; }
div.labplatform-chaos p { margin: 4px 0 8px; max-width: 76ch; font-size: 14px; }
div.labplatform-chaos i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 3px; }
div.labplatform-chaos table { color: inherit; border-collapse: collapse; margin: 0; table-layout: auto;
  font-size: 13px; }
div.labplatform-chaos tbody tr, div.labplatform-chaos tbody tr:nth-child(even) { background: none; }
div.labplatform-chaos th, div.labplatform-chaos td { text-align: left; padding: 4px 10px 4px 0; white-space: nowrap;
  border: 0; border-bottom: 1px solid var(--line); vertical-align: top; }
div.labplatform-chaos th { color: var(--faint); font-size: 12px; font-weight: 400; white-space: normal;
  vertical-align: bottom; border-bottom-color: var(--faint); }
div.labplatform-chaos td.number, div.labplatform-chaos th.number { text-align: right; }
div.labplatform-chaos th:first-child, div.labplatform-chaos td.faint { color: var(--faint); }
div.labplatform-chaos td.harm { color: var(--harm); font-weight: 500; }
div.labplatform-chaos tr.said td { color: var(--harm); white-space: normal; }
"""
