"""cpu-hog's Python side: sorts without end, once its page says so. Runs beside the page in the app's host.

A sort holds Python's interpreter lock from its start to its end, so every other thread that runs Python waits for it,
the one that serves the window included. A plain loop would let go of it every few milliseconds.
"""

from __future__ import annotations

import random
import threading

NUMBERS = 500_000
"""A sort of so many takes a tenth of a second and more; whoever needs the lock several times waits for as many."""


def main(lab) -> None:
    """Sort while the page wants it, until the app ends."""
    on = threading.Event()

    def told(context, metadata) -> None:
        on.set() if context["on"] else on.clear()

    channel = lab.channel(f"{lab.app_id}.{lab.page_instance_id}.{lab.incarnation}")
    channel.add_context_listener("labplatform.spin", told)
    channel.broadcast({"type": "labplatform.side"})
    numbers = random.Random(1).choices(range(10**9), k=NUMBERS)
    while not lab.stopping.is_set():
        if on.wait(0.1):
            sorted(numbers)
