"""Pages that speak through their app hosts: the same conversation as over a WebSocket, on the host's socketpair.

Runs on the supervisor's loop. The host says which place's page speaks, and has looked that it is the app's own.
Frames travel in loads, of which only a few are on their way at once in either direction; what comes faster waits in
the peer's own queue here, or in the page there.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .. import messages as m
from .pages import PageSpeaker
from .peer import Peer, hear, leave
from .slot import Slot
from .spawn import HostProcess


class HostPeer(Peer):
    """A page at the other end of its host's bridge."""

    through_host = True

    def __init__(self, bridges: Bridges, slot: Slot, host: HostProcess, hello: m.PageHello) -> None:
        super().__init__(f"the page of {slot.name}", "page")
        self.connection = hello.connection
        self.place = slot.name
        self.speaker = PageSpeaker(bridges.platform, slot, hello)
        self._bridges = bridges
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._incarnation = slot.life.incarnation
        self._under_way = 0
        self._untold = 0
        self._woken = False

    def _wake(self) -> None:
        # On the loop's next turn: what else is said in this one goes along.
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._carry)

    def _carry(self) -> None:
        self._woken = False
        if self.cut_off:
            self._host.send(m.BridgeClose(place=self.place, connection=self.connection, code=self._code))
            self._bridges.ended(self)
        while self._queue and self._under_way < m.LOADS:
            self._under_way += 1
            frame = self._frame().decode()
            self._host.send(m.BridgeSend(place=self.place, connection=self.connection, frame=frame))

    def taken(self, loads: int) -> None:
        """The page has taken so many loads."""
        self._under_way = max(0, self._under_way - loads)
        self._carry()

    def heard(self, frames: tuple[str, ...]) -> None:
        """A load has come."""
        for frame in frames:
            hear(self.speaker, self, frame, self._bridges.note)
            if self.cut_off:
                return
        self._untold += 1
        if self._untold >= m.LOADS_TAKEN:
            self._host.send(
                m.BridgeTaken(
                    place=self.place,
                    incarnation=self._incarnation,
                    connection=self.connection,
                    loads=self._untold,
                )
            )
            self._untold = 0


class Bridges:
    """The pages of one platform that speak through their hosts: at most one for each place."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self._peers: dict[str, HostPeer] = {}

    def note(self, text: str) -> None:
        """Into the platform's log."""
        self.platform.log.remark(text, kind="connection", level="warning")

    def take(self, slot: Slot, host: HostProcess, word: Any) -> None:
        """A host's word about the page of one of its places."""
        if isinstance(word, m.BridgeOpened):
            self._open(slot, host, word.hello)
            return
        peer = self._peers.get(slot.name)
        if peer is None or peer.connection != word.connection or peer.cut_off:
            return
        match word:
            case m.BridgeSaid(frames=frames):
                peer.heard(frames)
            case m.BridgeTaken(loads=loads):
                peer.taken(loads)
            case m.BridgeClosed(problem=problem):
                if problem:
                    self.note(f"{peer.name} was cut off: {problem}")
                self.ended(peer)

    def _open(self, slot: Slot, host: HostProcess, hello: m.PageHello) -> None:
        peer = self._peers[slot.name] = HostPeer(self, slot, host, hello)
        if hello.why:
            text = f"its page is connected through its host: {hello.why}"
            self.platform.log.remark(text, kind="connection", place=slot.name)
        # This cuts off the one before, over whatever it came.
        peer.speaker.joined(peer)

    def ended(self, peer: HostPeer) -> None:
        """No more comes over this connection."""
        if self._peers.get(peer.place) is peer:
            del self._peers[peer.place]
        leave(peer.speaker, peer, self.note)
