"""axe-core (https://github.com/dequelabs/axe-core) on what a browser shows: faults that keep people from using it.

Fetched from npm into pytest's cache in one exact version; the project keeps nothing of it.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from .npm import Unreachable, made_once, npm

PACKAGE = "axe-core@4.14.1"
SERIOUS = ("serious", "critical")


def axe_source(config: pytest.Config) -> str:
    """axe's script. Skips the test where npm is out of reach."""

    def fetch(workshop: Path) -> Path:
        npm(workshop, "pack", PACKAGE)
        (packed,) = workshop.glob("*.tgz")
        script = workshop / "axe.min.js"
        with tarfile.open(packed) as archive:
            script.write_bytes(archive.extractfile("package/axe.min.js").read())
        return script

    target = Path(config.cache.mkdir("axe")) / f"{PACKAGE}.js"
    try:
        return made_once(target, fetch).read_text(encoding="utf-8")
    except Unreachable as error:
        pytest.skip(str(error))


def serious_faults(page: Page, source: str, selector: str) -> list[str]:
    """What is seriously wrong with what `selector` finds, one line a fault."""
    page.evaluate(source)
    found: dict[str, Any] = page.evaluate("selector => axe.run(selector, { resultTypes: ['violations'] })", selector)
    return [
        f"{one['id']}: {one['help']} at {node['target']}: {node.get('failureSummary', '')}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
