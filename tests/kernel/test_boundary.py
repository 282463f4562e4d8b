"""The boundary between apps: an intruder tries each road to its neighbour and to the controller, and tells the way.

Without a boundary the same roads are open, which is what makes the others tests.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest
from support.apps import make_app
from support.processes import runs, until

from labplatform import landlock

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
    tries = {try_.__name__: try_ for try_ in (reads, lists, follows, connects, writes, traces, peeks, signals)}
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
KINDS = ["bubblewrap", "landlock", "off"]


def _skip_where_it_does_not_work(kind: str) -> None:
    if kind == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    if kind == "landlock" and landlock.version() < landlock.ABI_OF_SIGNALS:
        pytest.skip("this kernel's Landlock keeps no signals back")


@pytest.mark.parametrize("kind", KINDS)
def test_an_intruder(platform, tmp_path, kind):
    _skip_where_it_does_not_work(kind)
    home = make_app(tmp_path, "intruder", page=None, python=INTRUDER)
    make_app(tmp_path, "neighbour", page=NEIGHBOUR.replace("OF", "intruder"))
    with platform(tmp_path, boundary=kind) as lab:
        neighbour = lab.launch("neighbour")
        until(lambda: {one.role for one in neighbour.processes} >= {"host", "renderer"}, 20, "its processes")
        pids = {one.role: one.pid for one in neighbour.processes}
        session = lab.connection_file.with_suffix("")
        profile = session / "profiles" / "neighbour"
        roads = [
            ("its host's environment", "reads", f"/proc/{pids['host']}/environ"),
            ("its renderer's environment", "reads", f"/proc/{pids['renderer']}/environ"),
            ("its host's memory map", "reads", f"/proc/{pids['host']}/smaps"),
            ("its host's memory", "peeks", pids["host"]),
            ("its renderer's memory", "peeks", pids["renderer"]),
            ("tracing its host", "traces", pids["host"]),
            ("tracing its renderer", "traces", pids["renderer"]),
            ("its host's open files", "follows", f"/proc/{pids['host']}/fd/0"),
            ("signals to its host", "signals", pids["host"]),
            ("signals to its renderer", "signals", pids["renderer"]),
            ("signals to the supervisor", "signals", lab.supervisor_pid),
            ("the supervisor's memory", "peeks", lab.supervisor_pid),
            ("the controller's memory", "peeks", os.getpid()),
            ("the controller's token", "reads", str(lab.connection_file)),
            ("its profile", "lists", str(profile)),
            ("its page", "reads", str(tmp_path / "neighbour" / "index.html")),
            ("changing its page", "writes", str(tmp_path / "neighbour" / "index.html")),
            ("changing its own page", "writes", str(home / "app.json")),
            ("a file in the person's home", "reads", str(tmp_path / "secret")),
        ]
        (tmp_path / "secret").write_text("secret")
        (home / "plan.json").write_text(json.dumps(roads))
        intruder = lab.launch("intruder")
        report = until(lambda: neighbour.evaluate_js("report"), 20, "the intruder's report")
        if kind == "off":
            assert set(report["worked"]) == {name for name, _, _ in roads}
            assert str(intruder.sandbox.boundary) == "none (it was turned off for this platform)"
        else:
            assert not report["worked"], report["worked"]
            found = intruder.sandbox.boundary
            assert (found.kind, found.processes, found.files, found.signals) == (kind, True, True, True)
        assert runs(neighbour.pid)
        assert neighbour.evaluate_js("1 + 1") == 2


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_an_app_without_network_reaches_nothing_but_its_platform(platform, tmp_path, web, kind):
    _skip_where_it_does_not_work(kind)
    web.page("/", "<h1>web</h1>")
    port = int(web.address.rpartition(":")[2])
    for name, sandbox in (("closed", {"network": False}), ("open", {})):
        home = make_app(tmp_path, name, page=NEIGHBOUR.replace("OF", name), python=INTRUDER, sandbox=sandbox)
        (home / "plan.json").write_text(json.dumps([["the web server", "connects", port]]))
    with platform(tmp_path, boundary=kind) as lab:
        listens = lab.launch("open")
        report = until(lambda: listens.evaluate_js("report"), 20, "the open app's report")
        assert report["worked"] == ["the web server"]
        closed = lab.launch("closed")
        # Its page has its agent all the same, through its host.
        until(lambda: closed.evaluate_js("report"), 20, "the closed app's report")
        assert closed.evaluate_js("report.worked") == []
        assert (listens.sandbox.boundary.network, closed.sandbox.boundary.network) == (False, True)
        fetched = f"fetch('{web.address}/', {{mode: 'no-cors'}}).then(() => 'reached', () => 'failed')"
        assert listens.evaluate_js(fetched, timeout=20) == "reached"
        assert closed.evaluate_js(fetched, timeout=20) == "failed"


def test_an_app_that_turns_its_boundary_off_says_so(platform, tmp_path):
    make_app(tmp_path, "open", sandbox={"boundary": False})
    with platform(tmp_path) as lab:
        assert str(lab.launch("open").sandbox.boundary).startswith("none (its manifest turns it off")


def test_where_apps_share_a_process_there_is_none_and_it_says_so(platform):
    with platform(isolation="shared-process") as lab:
        app = lab.launch("hello")
        assert "share a process have no boundary" in str(app.sandbox.boundary)


def test_a_boundary_that_cannot_be_is_refused(platform):
    with pytest.raises(ValueError, match="boundary is one of auto, bubblewrap, landlock, off"):
        platform(boundary="wall")
