"""Apps that take more than they should, for tests of limits: in their page, in Python, in a process they start."""

from __future__ import annotations

from pathlib import Path

from .apps import NO_RESTART, make_app

LEAK = """(async () => {
    window.kept = [];
    for (let number = 1; number <= %d; number++) {
        kept.push(new Uint8Array(1e7).fill(number));
        await new Promise((done) => setTimeout(done, %d));
    }
    return kept.length;
})()"""
"""Fills so many times 10 MB, written to, and pauses after each for some milliseconds."""

BURN = """(() => {
    const code = "for (;;) {}";
    window.busy = [1, 2].map(() => new Worker(URL.createObjectURL(new Blob([code]))));
    return busy.length;
})()"""
"""Two busy threads in its renderer; the page itself answers."""

SIDE = '''
import os, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).parent

def python():
    kept = [bytearray(os.urandom(1000)) * 1000 for _ in range(400)]
    time.sleep(600)

def helper():
    code = "import os, time; kept = [bytearray(os.urandom(1000)) * 1000 for _ in range(400)]; time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code])

def bomb():
    code = """
import os, time
for number in range(200):
    if os.fork() == 0:
        if number % 2:
            os.setsid()
        time.sleep(600)
        os._exit(0)
time.sleep(600)
"""
    subprocess.Popen([sys.executable, "-c", code])

def grandchild(megabytes=1):
    code = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
for descriptor in range(256):
    try:
        os.close(descriptor)
    except OSError:
        pass
kept = [bytearray(os.urandom(1000)) * 1000 for _ in range(%d)]
time.sleep(600)
"""
    subprocess.run([sys.executable, "-c", code % megabytes], stdout=subprocess.PIPE, env={})

def leaking_grandchild():
    grandchild(400)

def main(lab):
    works = {work.__name__: work for work in (python, helper, bomb, grandchild, leaking_grandchild)}
    while works and not lab.stopping.wait(0.02):
        # The app may only read here.
        for name in [name for name in works if (HERE / name).exists()]:
            works.pop(name)()
'''


class Glutton:
    """An app with a page and a Python side that does its worst when told, and is not started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_app(folder, "glutton", python=SIDE, restart=NO_RESTART)

    def tell(self, work: str) -> None:
        """Have its Python side begin: `python`, `helper`, `bomb`, `grandchild`, `leaking_grandchild`."""
        (self.folder / work).touch()
