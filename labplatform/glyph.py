"""An app's glyph as an address that an `<img>` takes, where an SVG can run no script. Kernel and supervisor."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

from .manifest import Manifest

LARGEST_GLYPH = 64 << 10
"""Bytes; a larger file is not shown."""


def glyph_of(manifest: Manifest, largest: int = LARGEST_GLYPH) -> str:
    """The `data:` address of a manifest's glyph; empty if it has none of at most `largest` bytes. Reads a file."""
    if not (manifest.look.glyph and manifest.folder):
        return ""
    file = Path(manifest.folder) / manifest.look.glyph
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return ""
        with file.open("rb") as stream:
            svg = stream.read(largest + 1)
    except (OSError, ValueError):
        return ""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode() if len(svg) <= largest else ""
