"""Which file a path of an app's origin names. Runs in the app host; knows nothing of Qt.

An app's origin is its own folder, and below `_lab/` the page kit: the look and the parts that labplatform has for any
page.
"""

from __future__ import annotations

from pathlib import Path

from ..resources import KIT, page_kit


def find(folder: Path, path: str) -> Path | None:
    """The file for a decoded path, there or not; `None` for one outside the app's folder, or for no path at all."""
    path = path.lstrip("/")
    if path.startswith(f"{KIT}/"):
        folder, path = page_kit(), path.removeprefix(f"{KIT}/")
    root = folder.resolve()
    try:
        file = (root / path).resolve()
    except (OSError, ValueError):
        # Such as a path with a NUL in it; unanswered, the page would wait for ever.
        return None
    if file.is_dir():
        file /= "index.html"
    return file if file.is_relative_to(root) else None
