"""A notebook, or any kernel, as one of the platform's FDC3 apps: app `jupyter`, one instance a connection. Supervisor.

Beside its controller's connection a kernel opens one for FDC3's messages alone, so that a flood of them costs a busy
kernel its place among the apps and not the platform. The instance begins and ends with that connection.
"""

from __future__ import annotations

import uuid
from typing import Any

from .. import messages as m
from ..app_ids import NOTEBOOK
from .fdc3.directory import AppRecord
from .peer import Peer

DEFAULT_TITLE = "Notebook"
MOST_CUT_OFF = 100
"""Kernels of which it is remembered why they were cut off."""


class NotebookSpeaker:
    """Speaks for one notebook, over one connection."""

    def __init__(self, supervisor: Any, hello: m.Hello) -> None:
        self._supervisor = supervisor
        self.title = hello.title or DEFAULT_TITLE
        self.instance = str(uuid.uuid4())
        self._kernel = hello.session

    def joined(self, peer: Peer) -> None:
        """It is connected, and open to others once it asks for the desktop agent's info."""
        self._supervisor.notebooks[self.instance] = self
        # Who was cut off because it did not read could not be told then.
        cut_off = self._supervisor.notebooks_cut_off.pop(self._kernel, "")
        record = AppRecord(app_id=NOTEBOOK, name=self.title, title=self.title)
        self._supervisor.router.connect(NOTEBOOK, self.instance, peer.send_bytes, record)
        peer.send(m.Welcome(instance=self.instance, app_id=NOTEBOOK, cut_off=cut_off))

    def said(self, peer: Peer, data: str) -> None:
        """Take one message. Raises `msgspec.DecodeError`, which ends the connection."""
        self._supervisor.router.receive(self.instance, data)

    def left(self, peer: Peer) -> None:
        """It is gone, and what it took part in hears so."""
        self._supervisor.notebooks.pop(self.instance, None)
        self._supervisor.disconnect(self.instance)
        cut_off = self._supervisor.notebooks_cut_off
        if peer.cut_off and self._kernel:
            cut_off[self._kernel] = peer.cut_off
            if len(cut_off) > MOST_CUT_OFF:
                del cut_off[next(iter(cut_off))]
