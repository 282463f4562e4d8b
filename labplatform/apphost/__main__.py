"""Where an app host starts: `python -m labplatform.apphost FD`, FD being its end of the socketpair."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the supervisor's main thread, which started it, is gone."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _keep_orphans() -> None:
    """Whatever loses its parent below this process becomes its child: it stays in the app's tree, and goes with it."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> None:
    _die_with_parent()
    _keep_orphans()
    faulthandler.enable()
    # A cyclic collection on a worker thread would destroy Qt objects there; the window collects on the GUI thread.
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    from setproctitle import setproctitle

    from .. import landlock
    from ..messages import HostUp
    from .link import Link

    # No child of this host inherits the socket: its end is how the supervisor knows that nothing more will come.
    os.set_inheritable(int(sys.argv[1]), False)
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    order = link.first()
    if order is None:
        return
    if order.confinement is not None:
        landlock.confine(order.confinement)
    link.start()
    link.send(HostUp())
    setproctitle(f"labplatform: {order.title}")
    from .host import Host

    code = Host(link, order).run()
    link.flush(0.5)
    sys.stderr.flush()
    # Interpreter and Qt would tear each other down for some 0.1 s more, with nothing left to save.
    os._exit(code)


if __name__ == "__main__":
    main()
