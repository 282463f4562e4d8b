"""What a page needs to draw an app's name in its one look: glyph, title, colour and the colour's shades. Kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...colours import NOBODY, shades
from ...glyph import glyph_of
from ...manifest import Manifest

if TYPE_CHECKING:
    from ..app import App


def look_of(app: App) -> dict[str, Any]:
    """An app's: `name` on the platform, `title`, `color` and `glyph` (an address; both may be empty), and `shades`."""
    manifest = app._platform.manifests.get(app.app_id)
    return _look(app.name, app.title, app.color, glyph_of(manifest) if manifest else "")


def look_of_manifest(manifest: Manifest) -> dict[str, Any]:
    """The same of an app that may be launched."""
    return _look(manifest.app_id, manifest.title, manifest.look.color, glyph_of(manifest))


def _look(name: str, title: str, color: str | None, glyph: str) -> dict[str, Any]:
    return {"name": name, "title": title, "color": color or "", "glyph": glyph, "shades": shades(color or NOBODY)}
