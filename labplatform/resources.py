"""Where the files that ship with labplatform lie: sample manifests, lessons, the page agent and kit. Any process.

In a wheel they are under `labplatform/share`; in a checkout (an editable install) beside the package.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
KIT = "_lab"
"""The folder of an app's origin in which its pages find the page kit; an app's own files cannot lie there."""


def _shipped(name: str) -> Path:
    inside = PACKAGE / "share" / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def manifests_folder() -> Path:
    """The sample apps' manifests, one folder an app."""
    return _shipped("manifests")


def notebooks_folder() -> Path:
    """The lessons, as shipped: read-only; copy them before opening."""
    return _shipped("notebooks")


def page_agent() -> Path:
    """The JavaScript that every page gets before its own scripts."""
    return PACKAGE / "page" / "dist" / "agent.js"


def page_relay() -> Path:
    """The JavaScript that carries a page's messages to its app host, in a world of its own."""
    return PACKAGE / "page" / "relay.js"


def page_kit() -> Path:
    """What labplatform has for any page: a look, a channel picker, the replayed prices. Styles and ES modules."""
    return PACKAGE / "page" / "kit"
