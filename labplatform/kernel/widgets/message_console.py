"""`MessageConsole`: who says what to whom, as it happens, and a way to say something oneself. Kernel; its page side is
`static/message_console.js`.

Messages come from `Platform.messages`, which begins to be filled when somebody looks. A page gets the newest of them a
few times a second, and a payload only when it is asked for: a flood costs the notebook no more than a stream.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import traitlets

from ... import messages as m
from ...fdc3 import contexts
from .page_side import page_side
from .part import Part

if TYPE_CHECKING:
    from ..platform import Platform

MOST_AT_ONCE = 100
"""Rows that go to the page in one update, the newest; what is left out is counted."""
RECENT = 200
"""Rows that a page gets when it comes."""
TOLD_RECEIVERS = 12
"""Receivers of one message that are named."""
SEND_SECONDS = 30.0
"""Seconds that an intent raised here may take, an app's start included."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


class MessageConsole(Part):
    """The messages between apps, and an editor to send one. Made by `Platform.message_console`."""

    _esm = page_side("message_console.js")
    _css = page_side("message_console.css")

    OF_PLATFORM = ("state", "apps", "messages", "messages_dropped")
    GAP = 0.25

    count = traitlets.Int(0, help="How many messages there have been; on the page too.").tag(sync=True)

    def __init__(self, platform: Platform) -> None:
        self._sent_seq = 0
        super().__init__(platform, most=RECENT * 5)

    def _facts(self) -> dict[str, Any]:
        return {"state": self._platform.state}

    def _refresh(self) -> None:
        super()._refresh()
        new = self._newer(self._sent_seq)
        if not new:
            return
        if new[-1].seq < self._sent_seq:
            new = list(self._platform.messages)  # a supervisor that took a lost one's place counts anew
        missing = max(0, new[0].seq - self._sent_seq - 1) if self._sent_seq else 0
        missing += max(0, len(new) - MOST_AT_ONCE)
        self._sent_seq = self.count = new[-1].seq
        self.send({"rows": [row(message) for message in new[-MOST_AT_ONCE:]], "missing": missing})

    def _newer(self, seq: int) -> list[m.RoutedMessage]:
        kept = self._platform.messages
        if kept and kept[-1].seq < seq:
            return list(kept)
        newer: list[m.RoutedMessage] = []
        for message in reversed(kept):
            if message.seq <= seq:
                break
            newer.append(message)
        return newer[::-1]

    # --- what a person asks for

    def do_recent(self) -> list[list[Any]]:
        """The last rows, for a page that has just come."""
        return [row(message) for message in self._platform.messages[-RECENT:]]

    def do_payload(self, seq: int) -> dict[str, Any]:
        """One message whole, as far as it was told."""
        message = next((one for one in reversed(self._platform.messages) if one.seq == seq), None)
        if message is None:
            raise ValueError(f"message {seq} is not kept any more: the last {self._platform.messages_kept} are")
        shown = message.text if message.cut else json.dumps(_payload(message), indent=2, ensure_ascii=False)
        return {
            "text": shown,
            "cut": message.cut,
            "size": message.size,
            "type": message.type,
            "latency": message.latency,
            "receivers": [str(one) for one in message.receivers],
        }

    def do_choices(self) -> dict[str, Any]:
        """Where a context can go: user channels, and the intents that some app of the manifests handles."""
        intents = sorted({intent for one in self._platform.manifests.values() for intent in _handled(one.interop)})
        channels = self._platform.desktop_agent.get_user_channels()
        return {"intents": intents, "channels": [[one.id, one.display_metadata.name or one.id] for one in channels]}

    def do_check(self, context: Any) -> list[str]:
        """What is wrong with a context."""
        return contexts.problems(context)

    def do_broadcast(self, channel: str, context: Any) -> str:
        """Broadcast on a user channel, as this notebook."""
        _refuse(context)
        agent = self._platform.desktop_agent
        target = next((one for one in agent.get_user_channels() if one.id == channel), None)
        if target is None:
            raise ValueError(f"there is no user channel {channel!r}")
        target.broadcast(context)
        return f"broadcast on {target.display_metadata.name or channel}"

    def do_raise(self, intent: str, context: Any) -> str:
        """Raise an intent, as this notebook."""
        _refuse(context)
        resolution = self._platform.desktop_agent.raise_intent(intent, context, timeout=SEND_SECONDS)
        return f"{intent} went to {resolution.source.app_id}"


def _handled(interop: dict[str, Any]) -> list[str]:
    """The intents that an app's manifest says it handles."""
    listens_for = (interop.get("intents") or {}).get("listensFor") or {}
    return list(listens_for) if isinstance(listens_for, dict) else []


def _refuse(context: Any) -> None:
    if found := contexts.problems(context):
        raise ValueError("; ".join(found))


def row(message: m.RoutedMessage) -> list[Any]:
    """A message as a row: seq, time (seconds since the epoch), from, to (names, at most 12), how many receivers, kind
    ("broadcast", "intent", "private", "platform"), channel, what it is, latency (seconds).
    """
    private = message.type.startswith("privateChannel") or bool(message.channel and _UUID.match(message.channel))
    if private:
        kind = "private"
    elif message.intent:
        kind = "intent"
    else:
        kind = "broadcast" if message.type == "broadcastEvent" else "platform"
    return [
        message.seq,
        message.time,
        str(message.sender) if message.sender else "",
        [str(one) for one in message.receivers[:TOLD_RECEIVERS]],
        len(message.receivers),
        kind,
        message.channel or "",
        _what(message),
        message.latency,
    ]


def _what(message: m.RoutedMessage) -> str:
    if message.type == "broadcastEvent" and message.context_type:
        return message.context_type
    if message.intent:
        result = "result of " if message.type == "raiseIntentResultResponse" else ""
        return f"{result}{message.intent}" + (f" {message.context_type}" if message.context_type else "")
    return message.type


def _payload(message: m.RoutedMessage) -> Any:
    """What is worth reading in it: its context, or else its whole payload."""
    return message.context or (message.message or {}).get("payload", {})
