"""How the command line writes sizes, times, states and tables. CLI process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# The marks of the eight states, the same as in the notebook, and what stands for them where only ASCII can be written.
_MARKS = {
    "starting": ("◔", "~"),
    "running": ("●", "*"),
    "unresponsive": ("⧗", "?"),
    "stopping": ("◌", "-"),
    "stopped": ("■", "-"),
    "crashed": ("×", "x"),
    "backing-off": ("↻", "~"),
    "failed": ("⯃", "!"),
}


def can_write(text: str) -> bool:
    """Whether standard output's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def state(name: str, reason: str | None = None) -> str:
    """A state as mark and word, with the reason where it tells an end: "● running", "■ stopped (killed)"."""
    mark, plain = _MARKS.get(name, (" ", " "))
    ended = name in ("stopped", "crashed", "backing-off", "failed")
    return f"{mark if can_write(mark) else plain} {name}" + (f" ({reason})" if reason and ended else "")


def arrow() -> str:
    """An arrow from one state to the next."""
    return "→" if can_write("→") else "->"


def size(count: int) -> str:
    """Bytes for people: "86 MB", "1.25 GB"."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.0f} MB"


def share(percent: float) -> str:
    """Percent of one core: "12%", "0.4%"."""
    return f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}%"


def duration(value: float) -> str:
    """Seconds for people: "42 s", "3 min 05 s", "2 h 07 min", "3 d 04 h"."""
    whole = max(0, int(value))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = "  ") -> list[str]:
    """Lines with aligned columns; the columns `right` (counted from 0) are set flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def several(count: int, one: str, many: str = "") -> str:
    """A number and what it counts: "1 app", "3 apps"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """Text on one line that changes nothing about the terminal, whatever a page or process put into it."""
    return "".join(character if character.isprintable() else " " for character in text)
