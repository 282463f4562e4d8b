"""Doing something alone: of all processes of this machine, one at a time in a folder. Any process but the guardian,
which imports nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

LOOK_EVERY = 0.01
"""Seconds between two tries."""


@contextlib.contextmanager
def alone(folder: Path, seconds: float) -> Iterator[None]:
    """Hold a folder's lock (`flock`). Raises `BlockingIOError` if somebody else has it for `seconds`, `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_EVERY)
        yield
    finally:
        os.close(descriptor)
