"""The page side of a widget: files of `static/`, behind the parts that all of them share. Kernel."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def page_side(*names: str) -> str:
    """The text of a widget's scripts, or of its style sheets. One module in the page, for a widget's script can import
    no other.
    """
    kind = Path(names[0]).suffix
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in (f"parts{kind}", *names))
