"""An intruder, and the stage for it: an app that tries each road to its neighbour and to the controller.

Also a program, for tests that let an ordinary user run it: `python -m support.intruder FOLDER BOUNDARY`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from labplatform import Platform

from .apps import make_app
from .processes import runs, until

INTRUDER = '''
"""Tries what its plan says, and tells which of it worked."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def reads(path):
    with open(path, "rb") as file:
        return bool(file.read(64))


def lists(path):
    return bool(os.listdir(path))


def follows(path):
    return bool(os.readlink(path))


def connects(port):
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return True


def joins(path):
    with socket.socket(socket.AF_UNIX) as bus:
        bus.settimeout(5)
        bus.connect(path)
    return True


def writes(path):
    with open(path, "ab") as file:
        file.write(b" ")
    return True


# In a process of its own, whose end lets go of what it traces. 0x4206 is PTRACE_SEIZE, which does not stop it.
TRACE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
sys.exit(libc.ptrace(0x4206, int(sys.argv[1]), 0, 0) != 0)
"""


def traces(pid):
    return subprocess.run([sys.executable, "-c", TRACE, str(pid)], timeout=30).returncode == 0


def peeks(pid):
    with open(f"/proc/{pid}/maps") as maps:
        start = next(int(line.split("-")[0], 16) for line in maps if " r" in line)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        return len(memory.read(16)) == 16


def signals(pid):
    os.kill(pid, signal.SIGWINCH)
    return True


def main(lab):
    tries = {try_.__name__: try_ for try_ in (reads, lists, follows, connects, joins, writes, traces, peeks, signals)}
    plan = json.loads(Path(__file__).with_name("plan.json").read_text())
    worked = []
    for name, what, target in plan:
        try:
            if tries[what](target):
                worked.append(name)
        except (OSError, StopIteration):
            pass
    lab.desktop_agent.get_or_create_channel("report").broadcast({"type": f"report.{lab.app_id}", "worked": worked})
    lab.stopping.wait()
'''

NEIGHBOUR = """<!doctype html><meta charset=utf-8><title>neighbour</title><script>
window.report = null;
(async () => {
  const channel = await fdc3.getOrCreateChannel("report");
  await channel.addContextListener("report.OF", (context) => { window.report = context; });
  window.report ??= await channel.getCurrentContext("report.OF");
})();
</script>"""


BUS = "a socket in the person's files"
"""As a session bus has one; who may talk to that may have a process started that is within no boundary."""


def intrude(lab: Platform, folder: Path) -> dict[str, Any]:
    """Launch a neighbour and the intruder on `lab`, whose manifests are `folder`, in which nothing is yet.

    Returns "roads" (all names), "worked" (those that led somewhere), "boundary" (its kind, words and what it keeps
    apart) and "chromium" (what its renderer has of Chromium's own sandbox, in words).
    """
    home = make_app(folder, "intruder", page="<title>intruder</title>", python=INTRUDER)
    make_app(folder, "neighbour", page=NEIGHBOUR.replace("OF", "intruder"))
    (folder / "secret").write_text("secret")
    neighbour = lab.launch(str(folder / "neighbour"), timeout=60)
    until(lambda: {one.role for one in neighbour.processes} >= {"host", "renderer"}, 20, "its processes")
    pids = {one.role: one.pid for one in neighbour.processes}
    # Its state is in the store by then.
    neighbour.evaluate_js("lab.saveState({word: 'secret'})")
    store = user_data_path("labplatform", appauthor=False) / "store.db"
    profile = lab.connection_file.with_suffix("") / "profiles" / "neighbour"
    roads = [
        ("its host's environment", "reads", f"/proc/{pids['host']}/environ"),
        ("its renderer's environment", "reads", f"/proc/{pids['renderer']}/environ"),
        ("its host's memory map", "reads", f"/proc/{pids['host']}/smaps"),
        ("its host's memory", "peeks", pids["host"]),
        ("its renderer's memory", "peeks", pids["renderer"]),
        ("tracing its host", "traces", pids["host"]),
        ("tracing its renderer", "traces", pids["renderer"]),
        ("its host's open files", "follows", f"/proc/{pids['host']}/fd/0"),
        ("its host's view of the files", "lists", f"/proc/{pids['host']}/root/"),
        ("signals to its host", "signals", pids["host"]),
        ("signals to its renderer", "signals", pids["renderer"]),
        ("signals to the supervisor", "signals", lab.supervisor_pid),
        ("the supervisor's memory", "peeks", lab.supervisor_pid),
        ("the supervisor's environment", "reads", f"/proc/{lab.supervisor_pid}/environ"),
        ("the supervisor's open files", "follows", f"/proc/{lab.supervisor_pid}/fd/0"),
        ("signals to the guardian", "signals", lab.guardian_pid),
        ("the controller's memory", "peeks", os.getpid()),
        ("the controller's environment", "reads", f"/proc/{os.getpid()}/environ"),
        ("the controller's token", "reads", str(lab.connection_file)),
        ("what its page has saved", "reads", str(store)),
        ("its profile", "lists", str(profile)),
        ("its page", "reads", str(folder / "neighbour" / "index.html")),
        ("changing its page", "writes", str(folder / "neighbour" / "index.html")),
        ("changing its own page", "writes", str(home / "app.json")),
        ("a file in the person's home", "reads", str(folder / "secret")),
    ]
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(folder / "bus"))
        bus.listen()
        roads.append((BUS, "joins", str(folder / "bus")))
        (home / "plan.json").write_text(json.dumps(roads))
        intruder = lab.launch(str(home), timeout=60)
        report = until(lambda: neighbour.evaluate_js("report"), 20, "the intruder's report")
    assert runs(neighbour.pid) and neighbour.evaluate_js("1 + 1") == 2
    found = intruder.sandbox.boundary
    return {
        "roads": [name for name, _, _ in roads],
        "worked": report["worked"],
        "boundary": [found.kind, found.processes, found.files, found.signals, str(found)],
        "chromium": str(intruder.sandbox),
    }


def main() -> None:
    """Run it and print what came of it as JSON."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    with Platform(boundary=kind, display="offscreen", quiet=True) as lab:
        print(json.dumps(intrude(lab, folder)))


if __name__ == "__main__":
    main()
