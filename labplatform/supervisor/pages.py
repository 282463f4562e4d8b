"""One page's connection, whatever carries it: pings answered, DACP messages routed. Supervisor."""

from __future__ import annotations

from typing import Any

import msgspec

from .. import messages as m
from .peer import CLOSE_REPLACED, SLOW, Peer
from .session import Session
from .slot import Slot


class _Kind(msgspec.Struct):
    type: str


_kind_of = msgspec.json.Decoder(_Kind).decode
_read_control = m.Reader(m.FromPage)
CONTROL = frozenset(("pong", "ack"))
STATE = frozenset(("save-state", "load-state", "keep"))
REPLACED = "replaced by a newer connection with the same token"
GOODBYE = "WCP6Goodbye"
"""FDC3's word for a page that wants no more of its desktop agent."""


class PageSpeaker:
    """Speaks for one incarnation of one app, over one connection: a newer one replaces it."""

    def __init__(self, supervisor: Any, slot: Slot, hello: m.Hello | m.PageHello) -> None:
        self._supervisor = supervisor
        self._slot = slot
        self._hello = hello
        self._session: Session

    def joined(self, peer: Peer) -> None:
        """The page is connected; it may be ready now."""
        slot, hello = self._slot, self._hello
        former, slot.page = slot.page, peer
        resumed = self._resumed()
        if former:
            former.cut(REPLACED, CLOSE_REPLACED)
            if not resumed:
                # A page that comes back does so in its own session; this is another document, or somebody else.
                text = f"{former.name} was cut off: {REPLACED}"
                self._supervisor.log.remark(text, kind="connection", place=slot.name, level="warning")
        self._session = resumed or self._begun()
        welcome = m.Welcome(place=slot.name, instance=slot.instance, app_id=slot.manifest.app_id)
        self._session.connect(peer, welcome, hello.received, hello.kept_from)
        self._supervisor.ready_if_so(slot)

    def _resumed(self) -> Session | None:
        session = self._slot.session
        return session if session and session.name and session.name == self._hello.session else None

    def _begun(self) -> Session:
        """Another document than the one before, if there was one: it knows nothing of what that one listened to."""
        slot, router = self._slot, self._supervisor.router
        former, slot.session = slot.session, Session(self._hello.session, self._missed)
        if former:
            slot.session.cut_off = former.cut_off
            if former.name:
                router.forget_listeners(slot.instance)
        router.connect(slot.manifest.app_id, slot.instance, slot.session.send)
        if former is None:
            self._supervisor.join_channel(slot)
        return slot.session

    def _missed(self) -> None:
        text = f"its page is away and what waits for it is too much: cut off as a {SLOW}"
        self._supervisor.log.remark(text, kind="connection", place=self._slot.name, level="warning")

    def said(self, peer: Peer, data: str) -> None:
        """Take the messages of one frame. Raises `msgspec.DecodeError`, which ends the connection."""
        for text in data.split("\n"):
            # What one message led to may be that this connection counts no more.
            if self._slot.page is peer:
                self._take(text)

    def _take(self, data: str) -> None:
        session = self._session
        try:
            kind = _kind_of(data).type
        except msgspec.DecodeError:
            session.took(len(data))
            raise
        except RecursionError:
            session.took(len(data))
            raise msgspec.DecodeError("it is nested too deeply") from None
        if kind in CONTROL:
            word = _read_control(data)
            if word.received is not None:
                session.acknowledged(word.received)
            if kind == "pong":
                self._slot.page_figures.take(word.lag, word.js_heap, word.js_heap_limit)
                self._supervisor.watch.page_answered(self._slot, word.seq)
            return
        # Counted first: one that ends the connection must not be sent again and again.
        session.took(len(data))
        if kind in STATE:
            self._supervisor.keeping.take(self._slot, session, _read_control(data))
        elif kind == GOODBYE:
            self._supervisor.router.forget_listeners(self._slot.instance)
        else:
            self._supervisor.router.receive(self._slot.instance, data)

    def left(self, peer: Peer) -> None:
        """The connection is gone; the page may come back with the same token."""
        slot = self._slot
        self._session.disconnect(peer)
        if slot.page is peer:
            slot.page = None
            slot.page_pulse.excuse()
