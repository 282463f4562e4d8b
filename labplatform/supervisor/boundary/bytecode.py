"""Compiled modules for app hosts, which within a boundary may read and not write them. Supervisor.

Without them a host compiles half a second's worth at each start. An installation has them from the installer; a
checkout gets them here, once.
"""

from __future__ import annotations

import compileall
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
OF_HOSTS = ("apphost", "fdc3", "messages")
"""Folders of the package that an app host imports, beside the modules at its root."""


def compile_for_hosts() -> None:
    """Compile what is not, or has changed; milliseconds where all is well. Never raises: nothing hangs on it."""
    if sys.dont_write_bytecode:
        return
    compileall.compile_dir(PACKAGE, maxlevels=0, quiet=2)
    for name in OF_HOSTS:
        compileall.compile_dir(PACKAGE / name, quiet=2)
