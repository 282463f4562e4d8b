"""How much is read of one connection in one turn of the loop. Supervisor."""

from __future__ import annotations

from typing import Any

TURN_BYTES = 1 << 15
"""Bytes of one connection that are looked at in one turn: some hundred messages, a millisecond or two, so that who
sends without a pause does not hold up what others say."""


def read_in_turns(transport: Any) -> None:
    """Let asyncio read no more than that at once.

    Else it makes room for 256 KiB each time, which the system maps, and unmaps when the few bytes of a ping are in: a
    tenth of all that an idle supervisor does.
    """
    transport.max_size = TURN_BYTES
