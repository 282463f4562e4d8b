"""How long a page waits until what it saves is on disk, beside one write of as much to a file that is synced."""

from __future__ import annotations

import os
import tempfile
import time

from .figures import Row
from .stage import Measured, Stage

TITLE = "a page saves its state: until it is told that it is on disk"
TARGET = 0.005
"""Seconds, for a state of 1 KB."""
SIZES = (1_000, 100_000)
"""Bytes of a state."""
SAVES = """(async () => {
    const taken = [];
    for (let number = 0; number < COUNT; number++) {
        const state = {number, filler: "x".repeat(SIZE)};
        const began = performance.now();
        await lab.saveState(state);
        taken.push((performance.now() - began) / 1000);
        await new Promise((done) => setTimeout(done, 5));
    }
    return taken;
})()"""


def measure(stage: Stage) -> Measured:
    """Interleaved."""
    count = stage.times(100, 10)
    saves: dict[int, list[float]] = {size: [] for size in SIZES}
    floor: dict[int, list[float]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory(prefix="labplatform-bench-") as folder:
        store = os.path.join(folder, "store.db")
        with stage.platform(store=store) as platform, open(os.path.join(folder, "bare"), "wb", buffering=0) as file:
            app = platform.launch("tiny")
            for _ in stage.rounds(stage.times(5, 1)):
                for size in SIZES:
                    code = SAVES.replace("COUNT", str(count)).replace("SIZE", str(size))
                    saves[size] += app.evaluate_js(code, timeout=60)
                    for _ in range(count):
                        began = time.perf_counter()
                        file.write(b"x" * size)
                        os.fsync(file.fileno())
                        floor[size].append(time.perf_counter() - began)
                        time.sleep(0.005)
    rows = []
    for size in SIZES:
        words = f"{size // 1000} KB"
        target = TARGET if size == SIZES[0] else None
        rows.append(Row(what=f"lab.saveState(), {words}", unit="s", values=tuple(saves[size]), target=target))
        rows.append(Row(what=f"a file, {words} written and synced", unit="s", values=tuple(floor[size]), beside=True))
    return tuple(rows), ("a state every 5 ms or later, each in place of the one before",)
