"""`Masthead`: the top line of the dashboard: how many apps are up, how they are placed, what holds their limits; break
one, kill all. Kernel; its page side is `static/masthead.js`.
"""

from __future__ import annotations

from typing import Any

from .actions import AppActions
from .page_side import page_side
from .part import Part

PLACED = {
    "process": "one process per app",
    "shared-process": "one process for all, a renderer each",
    "shared-renderer": "one process and one renderer for all",
}
TIERS = {
    "cgroup-v2": "limits held by cgroup v2",
    "cgroup-v1": "limits held by cgroup v1",
    "systemd": "limits held by systemd",
    "watchdog": "limits held by a watchdog",
    "off": "no limits",
}


class Masthead(AppActions, Part):
    """One line about the platform, and two buttons. On `Platform.dashboard`."""

    _esm = page_side("actions.js", "masthead.js")
    _css = page_side("masthead.css")

    OF_APPS = ("state", "url")

    def _facts(self) -> dict[str, Any]:
        platform = self._platform
        apps = platform.apps
        tier = platform._enforcement.tier if platform._enforcement else ""
        return {
            "state": platform.state,
            "problem": platform.problem,
            "apps": [
                {"name": app.name, "state": app.state, "page": bool(app.url), "shared": len(app.shared_with)}
                for app in apps
            ],
            "placed": PLACED[platform.isolation],
            "limits": TIERS.get(tier, tier) if platform.isolation == "process" else "",
        }
