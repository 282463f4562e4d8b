"""The page side of a widget: a file of `static/` of its own, behind the parts that all of them share. Kernel."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def page_side(name: str) -> str:
    """The text of a script or style sheet. One module in the page, for a widget's script can import no other."""
    shared = STATIC / f"parts{Path(name).suffix}"
    return shared.read_text(encoding="utf-8") + "\n" + (STATIC / name).read_text(encoding="utf-8")
