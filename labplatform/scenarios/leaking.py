"""The app leaky as a person uses it: have it leak here or there, and see which of its processes grows. Kernel.

It leaks some 40 MB a second. That it is ended, or recycled, or goes on, is the platform's doing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Literal

from ..errors import AppGone
from ..kernel.app import App
from ..manifest import parse_size
from .waiting import START, WAIT, look_until, until

Where = Literal["page", "python", "helper"]
SEEN = 0.9
"""Of what is leaked, that has to show in the figures of a process for it to be the one that grew."""


def by_role(app: App) -> dict[str, int]:
    """Bytes that the app's processes had to themselves at the last sample, added up by their role."""
    sizes: Counter[str] = Counter()
    for process in app.processes:
        sizes[process.role] += process.memory
    return dict(sizes)


def leak(app: App, where: Where, size: int | str, timeout: float = START) -> str:
    """Have leaky keep so much more, bytes or text such as "40MB"; returns the role of the process that grew by it.

    Raises `LabTimeout` if none has grown by as much after `timeout` seconds.
    """
    wanted = parse_size(size)
    _until_ready(app)
    before = by_role(app)
    app.evaluate_js(f"leak({json.dumps(where)}, {wanted})", timeout=timeout)

    def growth() -> Counter[str]:
        return Counter({role: now - before.get(role, 0) for role, now in by_role(app).items()})

    def grown() -> str | None:
        ((role, most),) = growth().most_common(1) or [("", 0)]
        return role if most >= SEEN * wanted else None

    return look_until(grown, timeout, f"a process of {app.name} to grow by {wanted} bytes", lambda: str(growth()))


def leak_until(app: App, where: Where, met: Callable[[], object], timeout: float = START) -> None:
    """Have leaky leak without end, and return when `met()` is true. Raises `LabTimeout` after `timeout` seconds."""
    _until_ready(app)
    try:
        app.evaluate_js(f"leak({json.dumps(where)})", timeout=timeout)
    except AppGone:
        pass  # it may end before it has answered
    look_until(lambda: met() or None, timeout, f"what {app.name} leaks for", lambda: f"{app.name} is {app.state}")


def _until_ready(app: App) -> None:
    """Its page's script has run, and there is a sample with its renderer in it."""
    until(app, "typeof leak", "function", WAIT)
    look_until(lambda: by_role(app).get("renderer"), WAIT, f"a sample of {app.name}", lambda: str(by_role(app)))
