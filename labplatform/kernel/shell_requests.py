"""That no request of a page is left lying in a notebook's kernel. Kernel.

ipykernel 7.1 to 7.3 reads requests from its shell socket through a `ZMQStream` and sends replies past it, with the bare
socket. ZeroMQ signals an arrival once; a send in that moment takes the signal, and nobody looks again. From then on
nothing of what that page asks is read, until another client says something: its cells wait and its widgets are dead.
(https://github.com/ipython/ipykernel/issues/1554; mended in 7.4, which answers no click while a cell runs.) So the
socket is looked at here, several times a second, for as long as the kernel lives: from the first `Platform` on, or from
its start, where it is told to load this as an extension of IPython, as binder/setup does.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

INTERVAL = 0.1
"""Seconds between two looks: as long as a request may be left lying."""

_guard = threading.Lock()
_looked_after: list[object] = []


def load_ipython_extension(shell: Any) -> None:
    """For `InteractiveShellApp.extensions` in IPython's configuration: from the kernel's start on, before any cell."""
    look_after(shell)


def look_after(shell: Any = None) -> None:
    """Begin in this process, once; does nothing elsewhere than in a kernel of one of these versions."""
    if shell is None and (ipython := sys.modules.get("IPython")):
        shell = ipython.get_ipython()
    stream = getattr(getattr(shell, "kernel", None), "shell_stream", None)
    if stream is None or not (7, 1) <= sys.modules["ipykernel"].version_info[:2] < (7, 4):
        return
    with _guard:
        if stream in _looked_after:
            return
        _looked_after.append(stream)

    import zmq  # what such a kernel has loaded already, and nothing else here needs
    from tornado.ioloop import PeriodicCallback

    def look() -> None:
        if stream.closed():
            looks.stop()
        else:
            stream.flush(zmq.POLLIN)

    looks = PeriodicCallback(look, INTERVAL * 1000)
    stream.io_loop.add_callback(looks.start)  # a callback runs on the loop, and so in the thread, that starts it
