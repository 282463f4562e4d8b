"""One page's connection: pings answered, DACP messages routed. Supervisor."""

from __future__ import annotations

from typing import Any

import msgspec

from .. import messages as m
from .server import CLOSE_REPLACED, Peer
from .slot import Slot


class _Kind(msgspec.Struct):
    type: str


_kind_of = msgspec.json.Decoder(_Kind).decode
_read_control = m.Reader(m.FromPage)


class PageSpeaker:
    """Speaks for one incarnation of one app, over one connection: a newer one replaces it."""

    def __init__(self, supervisor: Any, slot: Slot) -> None:
        self._supervisor = supervisor
        self._slot = slot
        self._instance = slot.instance

    def joined(self, peer: Peer) -> None:
        """The page is connected; it may be ready now."""
        slot = self._slot
        former, slot.page = slot.page, peer
        if former:
            former.cut("replaced by a newer connection with the same token", CLOSE_REPLACED)
        self._supervisor.router.connect(slot.manifest.app_id, slot.instance, peer.send_bytes)
        peer.send(m.Welcome(place=slot.name, instance=slot.instance, app_id=slot.manifest.app_id, cut_off=slot.cut_off))
        slot.cut_off = ""
        self._supervisor.ready_if_so(slot)

    def said(self, peer: Peer, data: str) -> None:
        """Take one message. Raises `msgspec.DecodeError`, which ends the connection."""
        if self._slot.page is not peer:
            return
        try:
            kind = _kind_of(data).type
        except RecursionError:
            raise msgspec.DecodeError("it is nested too deeply") from None
        if kind == "pong":
            self._supervisor.watch.page_answered(self._slot, _read_control(data).seq)
        else:
            self._supervisor.router.receive(self._slot.instance, data)

    def left(self, peer: Peer) -> None:
        """The connection is gone; the page may come back with the same token."""
        slot = self._slot
        if slot.page is peer:
            slot.page = None
            slot.cut_off = peer.cut_off
            slot.page_pulse.excuse()
