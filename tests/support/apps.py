"""Apps for tests: the folder of ready ones beside this, and a maker for those that one test alone needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labplatform import Heartbeat

APPS = Path(__file__).resolve().parents[1] / "apps"
"""Manifests that tests launch; each says in its page or function what it is for."""

QUICK = Heartbeat(interval=0.2, silent_after=7, ended_after=12)
"""Ends a hang after some two and a half seconds, and leaves a machine that is busy with other things time to answer."""

PAGE = "<!doctype html><meta charset=utf-8><title>page</title><h1>page</h1>"
PLACEMENTS = ("process", "shared-process", "shared-renderer")
NO_RESTART = {"maxRestarts": 0}
AT_ONCE = {
    "maxRestarts": 1000,
    "withinSeconds": 1,
    "slowMaxRestarts": 1_000_000,
    "backoff": 0.01,
    "maxBackoff": 0.05,
}
"""Starts an app again however often a test breaks it."""


def make_app(
    folder: Path, uuid: str, *, page: str | None = PAGE, url: str | None = None, python: str | None = None, **keys: Any
) -> Path:
    """Write `folder/uuid/app.json` with its page and Python side; returns the app's folder.

    `python`: source of a module with `main(lab)`. `url`: an address instead of the page beside it. Other `keys` go into
    the manifest as they are, and `startup_app` is merged.
    """
    home = folder / uuid
    home.mkdir(parents=True)
    startup = {"uuid": uuid, "name": uuid.replace("-", " ").title(), **keys.pop("startup_app", {})}
    if url or page is not None:
        startup["url"] = url or "index.html"
    if page is not None and not url:
        (home / "index.html").write_text(page, encoding="utf-8")
    if python is not None:
        (home / "side.py").write_text(python, encoding="utf-8")
        keys["python"] = "side:main"
    (home / "app.json").write_text(json.dumps({"startup_app": startup, **keys}), encoding="utf-8")
    return home
