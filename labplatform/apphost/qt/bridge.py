"""The bridge between a page and the supervisor, for a page that opens no WebSocket. Runs on the host's GUI thread.

Qt's web channel carries the messages between this object and the relay, a script in a world of its own beside the
page's (`page/relay.js`). The channel is there in the page's main frame alone: no frame inside it and no popup has one.
But it is there whatever that frame shows, so each word is taken, and given, only while the frame's address is of the
app's own origin. What that frame says is the app's word then, without a token.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import msgspec
from PySide6 import QtCore
from PySide6.QtWebChannel import QWebChannel
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineScript

from ... import messages as m
from ...manifest import origin_of
from ...resources import page_relay

RELAY_WORLD = QWebEngineScript.ScriptWorldId.ApplicationWorld
TOO_LARGE, TRY_AGAIN = 1009, 1013
"""Why a connection is closed, in WebSocket's numbers; the page comes back from both."""


@functools.cache
def _channel_library() -> str:
    """Qt's own JavaScript for its web channel."""
    file = QtCore.QFile(":/qtwebchannel/qwebchannel.js")
    if not file.open(QtCore.QIODevice.OpenModeFlag.ReadOnly):
        raise RuntimeError("Qt's web channel brings no JavaScript: QtWebChannel is not whole")
    return bytes(file.readAll()).decode()


def relay_script(origin: str, name: str) -> str:
    """The relay for documents of this origin; `name` is how the page agent finds it, and a secret from all others."""
    config = {"origin": origin, "name": name, "loads": {"most": m.LOADS, "tell": m.LOADS_TAKEN}}
    relay = page_relay().read_text(encoding="utf-8")
    body = f'"use strict"; const __RELAY__ = {json.dumps(config)};\n{relay}'
    return f"(() => {{ {_channel_library()}\n(() => {{ {body}\n}})(); }})();"


class Bridge(QtCore.QObject):
    """One page's way through its host; its signals and slots are what the relay hears and calls."""

    heard = QtCore.Signal(str, str)
    """A connection's name, and a frame."""
    taken = QtCore.Signal(str, int)
    """A connection's name, and how many of its loads were taken."""
    closed = QtCore.Signal(str, int)
    """A connection's name, and the code it was closed with."""

    def __init__(self, window: Any, page: QWebEnginePage) -> None:
        super().__init__(page)
        self._window = window
        self._page = page
        self._origin = window.manifest.origin
        self._connection = ""
        self._under_way = 0
        self._address = ""
        self._at_home = False
        self._remarked = False
        channel = QWebChannel(page)
        channel.registerObject("host", self)
        QWebEnginePage.setWebChannel(page, channel, RELAY_WORLD)
        page.urlChanged.connect(self._moved)

    # --- who is there

    def _home(self) -> bool:
        """Whether the main frame shows, at this moment, a document of the app's own origin."""
        address = self._page.mainFrame().url().toString(QtCore.QUrl.ComponentFormattingOption.FullyEncoded)
        if address != self._address:
            self._address = address
            self._at_home = origin_of(address) == self._origin
        return self._at_home

    def _refused(self) -> bool:
        """Whether a page that is not the app's has spoken; a person should know, once."""
        if self._home():
            return False
        if not self._remarked:
            self._remarked = True
            self._window.remark(
                f"a page at {origin_of(self._address) or self._address[:100]} tried to speak for this app, whose own "
                f"origin is {self._origin}; it was not heard"
            )
        return True

    def _moved(self) -> None:
        if self._connection and not self._home():
            self._left()

    def look(self) -> None:
        """A load has ended: find out whether the document that speaks is still there."""
        self._moved()
        if not self._connection:
            return
        asked = self._connection

        def answered(name: Any) -> None:
            # Another document, perhaps one that a failed load has put there, or one that speaks by itself.
            if asked == self._connection and name != asked:
                self._left()

        self._page.runJavaScript("globalThis.labplatformConnection", RELAY_WORLD.value, answered)

    def forget(self) -> None:
        """The page is gone, and the supervisor knows."""
        self._connection = ""

    def _left(self, problem: str = "") -> None:
        """The connection is at its end."""
        connection, self._connection = self._connection, ""
        self._send(m.BridgeClosed, connection=connection, problem=problem)

    def _cut_off(self, problem: str, code: int) -> None:
        self.closed.emit(self._connection, code)
        self._left(problem)

    def _send(self, kind: type, **fields: Any) -> bool:
        return self._window.host.send(kind(place=self._window.place, incarnation=self._window.incarnation, **fields))

    # --- what the relay calls

    @QtCore.Slot(str)
    def open(self, hello: str) -> None:
        """The page begins a connection; one before it is over."""
        if self._refused():
            return
        try:
            words = m.decode(hello, m.PageHello)
        except msgspec.DecodeError:
            return
        self._connection, self._under_way = words.connection, 0
        self._send(m.BridgeOpened, hello=words)

    @QtCore.Slot(str, list)
    def say(self, connection: str, frames: list[Any]) -> None:
        """The page has sent a load of frames."""
        if self._refused() or connection != self._connection:
            return
        try:
            largest = max(len(frame.encode()) for frame in frames)
        except (AttributeError, ValueError):
            return self._cut_off("what it sent was not text", TOO_LARGE)
        most = self._window.gui.order.max_message
        if largest > most:
            return self._cut_off(f"a message was over {most} bytes", TOO_LARGE)
        self._under_way += 1
        if self._under_way > m.LOADS:
            return self._cut_off("it did not wait until what it sent was taken", TRY_AGAIN)
        if not self._send(m.BridgeSaid, connection=connection, frames=tuple(frames)):
            self._cut_off("its host has too much to tell", TRY_AGAIN)

    @QtCore.Slot(str, int)
    def take(self, connection: str, loads: int) -> None:
        """The page has taken so many loads."""
        if not self._refused() and connection == self._connection:
            self._send(m.BridgeTaken, connection=connection, loads=max(loads, 0))

    @QtCore.Slot(str)
    def close(self, connection: str) -> None:
        """The page ends its connection."""
        if connection == self._connection:
            self._left()

    # --- what the supervisor says

    def pass_on(self, word: m.BridgeSend | m.BridgeTaken | m.BridgeClose) -> None:
        """Tell the page, if it is still the one that is meant."""
        if not self._home():
            self._moved()
        elif isinstance(word, m.BridgeClose):
            # Perhaps of a former connection: the page knows.
            if word.connection == self._connection:
                self._connection = ""
            self.closed.emit(word.connection, word.code)
        elif word.connection != self._connection:
            return
        elif isinstance(word, m.BridgeSend):
            self.heard.emit(word.connection, word.frame)
        else:
            self._under_way -= word.loads
            self.taken.emit(word.connection, word.loads)
