"""Leaks at full speed when it is told to, and writes down how far it came and when. Runs in its app host.

It shares one file with the bench, an array of 64-bit integers: first the order, then for each megabyte that it has
filled the time on the monotonic clock, in nanoseconds. What is in the file outlives it.
"""

import ctypes
import mmap
import os
import time
from typing import Any

BLOCK = 1_000_000
MOST = 4000


def run(lab: Any) -> None:
    """Wait for the order, then fill."""
    with open(os.environ["LABPLATFORM_BENCH_LEAK"], "r+b") as file:
        shared = memoryview(mmap.mmap(file.fileno(), 8 * (MOST + 1))).cast("q")
    while not shared[0]:
        if lab.stopping.wait(0.002):
            return
    kept = []
    for number in range(1, MOST + 1):
        block = mmap.mmap(-1, BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(block)), number & 255, BLOCK)
        kept.append(block)
        shared[number] = time.monotonic_ns()
    lab.stopping.wait()
