"""How long an intent takes: raised in one page, handled in another's process, its result back."""

from __future__ import annotations

import json

from .figures import Row
from .stage import Measured, Stage
from .talk import PROXY, RELAY, Talk

TITLE = "an intent from page to page, raised until its result is there"
TARGET = 0.002
"""Seconds."""
PAUSE = 5
"""Milliseconds between two."""


def measure(stage: Stage) -> Measured:
    """Interleaved. An intent is two messages each way, and a round trip of the bare relay is one."""
    count = stage.times(200, 30)
    found: dict[str, list[float]] = {"intent": [], PROXY: [], RELAY: []}
    with Talk(stage) as talk:
        one, two = talk.pages
        talk.do(two, "talk.handle()")
        target = json.dumps({"appId": two.app_id, "instanceId": two.instance_id})
        talk.do(one, f"talk.raise({target}, {count}, 1)")
        for _ in stage.rounds(stage.times(5, 1)):
            found["intent"] += talk.do(one, f"talk.raise({target}, {count}, {PAUSE})")
            for way in (PROXY, RELAY):
                talk.do(two, f"talk.echo('{way}')")
                found[way] += talk.do(one, f"talk.roundTrips('{way}', {count}, {PAUSE})")
    seconds = {name: tuple(value / 1000 for value in values) for name, values in found.items()}
    return (
        Row(what="raiseIntent() and getResult()", unit="s", values=seconds["intent"], target=TARGET),
        Row(what="two broadcasts, there and back", unit="s", values=seconds[PROXY], beside=True),
        Row(what="a round trip over a bare relay", unit="s", values=seconds[RELAY], beside=True),
    ), ("at an instance that is named; its handler returns what it was given",)
