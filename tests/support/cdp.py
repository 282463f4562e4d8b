"""A click that the page takes for a person's, through Qt's remote debugging port: file choosers ask for one."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect


@contextmanager
def with_a_click(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Open the port for the one app host to be started within; yields what runs code as if a person had clicked."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("QTWEBENGINE_REMOTE_DEBUGGING", f"127.0.0.1:{port}")

    def click(code: str) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
            address = next(page["webSocketDebuggerUrl"] for page in json.load(answer) if page["type"] == "page")
        with connect(address, proxy=None, open_timeout=10) as socket_:
            call = {"expression": code, "userGesture": True}
            socket_.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": call}))
            answer = json.loads(socket_.recv(10))
            assert "exceptionDetails" not in answer.get("result", {}), answer

    yield click
