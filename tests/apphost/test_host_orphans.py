"""An app host reaps the orphans it takes in, and leaves its own children's exit codes to who asks for them."""

from __future__ import annotations

import subprocess
import sys

# As an app host: a subreaper, its own children started on a thread that is not the main one. Prints one line of facts.
HOST = """
import ctypes, json, os, signal, subprocess, sys, threading, time
from labplatform.apphost.orphans import Orphans

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
patience = float(sys.argv[1])
leaves = '''
import os, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(0.2)
'''
stays = "import os\\nif os.fork(): os._exit(0)\\nprint(os.getpid(), flush=True)\\nimport time; time.sleep(0.2)"
pids = [int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout) for code in (leaves, stays)]
mine = []
started, asked = threading.Event(), threading.Event()

def service():
    mine.append(subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]))
    mine.append(subprocess.Popen([sys.executable, "-c", "raise SystemExit(8)"], start_new_session=True))
    started.set()
    asked.wait()

threading.Thread(target=service).start()
started.wait()

def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""

deadline = time.monotonic() + 20
while any(state(pid) != "Z" for pid in [*pids, *(child.pid for child in mine)]) and time.monotonic() < deadline:
    time.sleep(0.01)
orphans = Orphans(patience)
orphans.look()
soon = [state(pid) for pid in pids]
time.sleep(0.3)
orphans.look()
later = [state(pid) for pid in pids]
codes = [child.wait() for child in mine]
asked.set()
orphans.look()
print(json.dumps([soon, later, codes]))
"""


def _host(patience: float) -> str:
    done = subprocess.run([sys.executable, "-c", HOST, str(patience)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_orphan_of_another_session_is_reaped_at_once_and_the_others_after_a_while():
    assert _host(0.2) == '[["", "Z"], ["", ""], [7, 8]]'


def test_who_may_still_be_asked_for_is_left_alone():
    assert _host(60) == '[["", "Z"], ["", "Z"], [7, 8]]'
