"""`platform.messages`: what the apps say to each other, the last of it, observable. Kernel.

Nobody pays for it who does not look: the supervisor tells nothing until `messages` is read or observed for the first
time, or the platform was made with `watch_messages`.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import traitlets

from .. import messages as m
from ..connection import Connection
from .observers import Observable


class _OnceLookedAt(traitlets.Tuple):
    """A tuple that begins to be filled when somebody reads it."""

    def get(self, owner: Overhearing, kind: type | None = None) -> Any:
        owner.watch_messages()
        return super().get(owner, kind)


class Overhearing(Observable):
    """The part of a `Platform` that keeps messages."""

    messages = _OnceLookedAt(
        read_only=True,
        help="What the apps said to each other, oldest first: the last `messages_kept`, from the first look at it on.",
    )
    messages_dropped = traitlets.Int(
        0, read_only=True, help="How many messages were left out because there were too many to tell."
    )
    messages_kept = traitlets.Int(
        1000, min=0, max=m.MOST_OVERHEARD, help="How many messages are kept, 10 000 at most; with 0 none are watched."
    )

    _connection: Connection | None

    def __init__(self, messages_kept: int, watch_messages: bool) -> None:
        super().__init__()
        self._watching = False
        self._last_seen = 0
        self._messages: deque[m.RoutedMessage] = deque()
        self._messages_lock = threading.Lock()
        self._connection = None
        self.messages_kept = messages_kept
        if watch_messages:
            self.watch_messages()

    def watch_messages(self) -> None:
        """Keep the messages from now on, as the first look at `messages` does. Does not wait."""
        if not self._watching:
            self._watching = True
            self._ask_for_messages()

    def observe(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:
        """As of any `HasTraits`; to observe `messages` by name is to look at them."""
        super().observe(handler, names, type)
        if "messages" in ([names] if isinstance(names, str) else names if isinstance(names, list | tuple) else ()):
            self.watch_messages()

    def _ask_for_messages(self) -> None:
        """Tell the supervisor how many are wanted; it keeps nothing for a controller that wants none."""
        if self._watching and self._connection:
            self._connection.tell(m.Overhear, most=self.messages_kept)

    def _begin_to_overhear(self) -> None:
        """There is a new connection, whose other end counts from 1."""
        self._last_seen = 0
        self._ask_for_messages()

    @traitlets.validate("messages_kept")
    def _another_bound(self, proposal: Any) -> int:
        kept = proposal["value"]
        with self._messages_lock:
            self._messages = deque(self._messages, kept)
            self.set_trait("messages", tuple(self._messages))
        if kept != self.messages_kept and self._watching and self._connection:
            self._connection.tell(m.Overhear, most=kept)
        return kept

    def _take_messages(self, overheard: m.Overheard) -> None:
        """On the connection's thread."""
        first, last = overheard.messages[0].seq, overheard.messages[-1].seq
        missing = first - self._last_seen - 1 if self._last_seen else 0
        self._last_seen = last
        if missing:
            self.set_trait("messages_dropped", self.messages_dropped + missing)
        with self._messages_lock:
            self._messages.extend(overheard.messages)
            self.set_trait("messages", tuple(self._messages))
