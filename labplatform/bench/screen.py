"""A screen that nobody sees and that can be watched: an X server that draws into a file. Runs in the bench's process.

The file is a picture in X's window dump format, version 7, which the server keeps up to date (Xvfb's `-fbdir`).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import LabError

WIDTH, HEIGHT = 640, 480
START_SECONDS = 10.0
LOOK = 0.001
"""Seconds between two looks at a pixel."""
HEADER = struct.Struct(">25I")
"""Size of the header, then 24 more numbers, among them bytes in a line (12) and colours in the table (19)."""


class Screen:
    """`name`: for DISPLAY."""

    def __init__(self, name: str, dump: mmap.mmap) -> None:
        self.name, self._dump = name, dump
        header = HEADER.unpack_from(dump)
        self._start, self._line = header[0] + 12 * header[19], header[12]

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let what is started meanwhile open its windows here."""
        names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
        former = {name: os.environ.pop(name) for name in names if name in os.environ}
        os.environ["DISPLAY"] = self.name
        try:
            yield
        finally:
            del os.environ["DISPLAY"]
            os.environ.update(former)

    def pixel(self, left: int, top: int) -> int:
        """The colour shown there now, as 0xRRGGBB."""
        at = self._start + top * self._line + 4 * left
        return int.from_bytes(self._dump[at : at + 3], "little")

    @contextlib.contextmanager
    def watched(self, left: int, top: int) -> Iterator[list[tuple[float, int]]]:
        """What a pixel shows meanwhile: (seconds since the epoch, colour) of each change."""
        changes: list[tuple[float, int]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                colour = self.pixel(left, top)
                if not changes or colour != changes[-1][1]:
                    changes.append((time.time(), colour))
                over.wait(LOOK)

        thread = threading.Thread(target=watch, name="bench-screen", daemon=True)
        thread.start()
        try:
            yield changes
        finally:
            over.set()
            thread.join()


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """Run one; raises `LabError` where there is no Xvfb."""
    if shutil.which("Xvfb") is None:
        raise LabError("a screen to watch is missing; install it with: apt-get install xvfb")
    with tempfile.TemporaryDirectory(prefix="labplatform-bench-") as folder:
        ours, theirs = os.pipe()
        command = ["Xvfb", "-displayfd", str(theirs), "-fbdir", folder, "-nolisten", "tcp"]
        command += ["-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
        # A session of its own, so that Ctrl-C at the bench does not race the bench's own clean-up.
        server = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            os.close(theirs)
            number = os.read(ours, 16).strip().decode() if select.select([ours], [], [], START_SECONDS)[0] else ""
            if not number:
                raise LabError(f"Xvfb did not start within {START_SECONDS:g} s")
            with (
                open(Path(folder, "Xvfb_screen0"), "rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as dump,
            ):
                yield Screen(f":{number}", dump)
        finally:
            os.close(ours)
            server.terminate()
            server.wait(START_SECONDS)
