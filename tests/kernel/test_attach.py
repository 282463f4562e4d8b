"""A platform that outlives its notebook, and notebooks that take part in one: found, in step, let go of, ended."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.apps import APPS
from support.processes import Ground, runs, send, until

from labplatform import Platform, ResourceLimits, discovery
from labplatform.errors import (
    BlockingCallInObserver,
    ConnectionRefused,
    LabTimeout,
    PlatformError,
    PlatformStopped,
    StartError,
    SupervisorLost,
)
from labplatform.machine import runtime_folder

SAVED = "Promise.all([lab.getState(), fdc3.getCurrentChannel().then((channel) => channel && channel.id)])"

STARTS = f"""
import sys
from labplatform import Platform
platform = Platform({str(APPS)!r}, display="offscreen", quiet=True, **eval(sys.argv[1])).start()
for app in sys.argv[2:]:
    app = platform.launch(app)
    app.evaluate_js("lab.saveState({{kept: 1}}).then(() => fdc3.joinUserChannel('fdc3.channel.3')).then(() => null)")
print(platform.supervisor_pid, flush=True)
sys.stdin.read()
"""


class Kernel:
    """Another process with a platform of its own; `supervisor` is that one's pid."""

    def __init__(self, *apps: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTS, repr(options), *apps], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.supervisor = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        self.process.communicate(timeout=30)


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """See `nothing_left_by_module`."""


@pytest.fixture(scope="module")
def lab(_clean: None) -> Iterator[Platform]:
    """A detached platform whose kernel was killed, taken part in from here."""
    kernel = Kernel("hello", detached=True, name="desk")
    kernel.kill()
    lab = Platform.attach(quiet=True)
    assert lab.supervisor_pid == kernel.supervisor
    yield lab
    lab.stop()
    until(lambda: not runs(kernel.supervisor), 20, "the detached platform to end")


@pytest.fixture
def other(lab: Platform) -> Iterator[Platform]:
    """A second one that takes part in it."""
    other = Platform.attach("desk", quiet=True)
    yield other
    other.detach()


def test_a_detached_platform_survives_its_kernel_and_all_is_there(lab):
    hello = lab["hello"]
    assert (lab.name, lab.detached, lab.attached) == ("desk", True, True)
    assert (lab.isolation, lab.state) == ("process", "running")
    assert hello.evaluate_js(SAVED) == [{"kept": 1}, "fdc3.channel.3"]
    assert [entry.seq for entry in lab.events] == list(range(1, len(lab.events) + 1)) and hello.events
    assert "hello" in lab.manifests and lab.enforcement.tier
    assert lab.connection_file.name in os.listdir(runtime_folder())
    hello.crash(how="kill")
    until(lambda: hello.incarnation == 2 and hello.state == "running", 30, "it to come back")
    assert hello.evaluate_js(SAVED) == [{"kept": 1}, "fdc3.channel.3"]
    assert hello.picture().startswith(b"\xff\xd8")


def test_two_that_take_part_are_in_step(lab, other):
    app = other.launch("neighbour", resource_limits=ResourceLimits(max_processes=70))
    here = until(lambda: next((one for one in lab if one.name == "neighbour"), None), 5, "the other to see it")
    assert here.limits.max_processes == 70 and here.pid == app.pid
    here.set_resource_limits(max_processes=60)
    until(lambda: app.limits.max_processes == 60, 5, "the new limit")
    contexts = []
    lab.desktop_agent.join_user_channel("fdc3.channel.5")
    lab.desktop_agent.add_context_listener("test", contexts.append)
    other.desktop_agent.join_user_channel("fdc3.channel.5")

    def overheard() -> bool:
        # From their first look at them on; that is not waited for.
        other.desktop_agent.broadcast({"type": "test"}, timeout=20)
        return all(any(said.context_type == "test" for said in one.messages) for one in (lab, other))

    until(overheard, 20, "both to overhear it")
    until(lambda: contexts, 10, "the other notebook's context")
    heard = []
    here.observe(lambda change: heard.append(change.new), "state")
    app.stop()
    until(lambda: heard[-1:] == ["stopped"], 5, "the observers of the other one")
    assert lab.events[-1] == until(lambda: other.events and other.events[-1], 1, "its log")


def test_what_lets_go_is_over_and_the_others_are_not(lab):
    one = Platform.attach(lab.supervisor_pid, quiet=True)
    hello = one["hello"]
    one.detach()
    one.detach()
    assert one.state == "let-go" and repr(one) == "<Platform process: let-go, 1 of 2 apps up>"
    calls = (lambda: one.launch("hello"), lambda: hello.evaluate_js("1"), lambda: hello.wait_for("stopped"), one.start)
    for call in calls:
        with pytest.raises(PlatformStopped, match=rf"goes on; Platform\.attach\({lab.supervisor_pid}\)"):
            call()
    one.stop()
    with Platform.attach(str(lab.connection_file), quiet=True) as inside:
        assert inside["hello"].evaluate_js("1 + 1") == 2
    assert inside.state == "let-go" and lab.describe().apps


def test_whoever_is_cut_off_can_take_part_again(lab):
    one = Platform.attach(quiet=True)
    hello = one["hello"]
    one._connection._line.send(b"nonsense")
    until(lambda: one.state == "lost", 10, "the connection's end")
    assert "the platform goes on" in one.problem and hello.state == "running" and lab.state == "running"
    with pytest.raises(SupervisorLost, match=r"restart\(\) takes part in it again"):
        hello.evaluate_js("1")
    one.restart()
    assert (one.state, one.problem, one.supervisor_pid) == ("running", "", lab.supervisor_pid)
    assert one["hello"] is hello and hello.evaluate_js("1 + 1") == 2
    one.detach()


def test_a_name_is_given_once_and_neighbours_of_another_kind_are_left_alone(lab):
    taken = Platform(APPS, name="desk", quiet=True, alongside=True)
    with pytest.raises(StartError, match=r"called 'desk' is running already .*Platform\.attach\('desk'\)"):
        taken.start()
    # A platform that is not detached replaces its like, in this process, and none that is to go on.
    with Platform(APPS, quiet=True) as plain:
        assert lab.describe() and plain.describe()
        with pytest.raises(PlatformError, match=r"Platform\(detached=True\) makes one that goes on"):
            plain.detach()
        with pytest.raises(PlatformError) as raised:
            Platform.attach()
        lines = str(raised.value).splitlines()
        assert lines[0].startswith("2 platforms of yours are running; say which one")
        assert f"  {lab.supervisor_pid} 'desk': detached, up " in lines[1] and lines[1].endswith("apps: hello")
        assert f"  {plain.supervisor_pid}: controller {os.getpid()}, up " in lines[2]
        assert lines[2].endswith("isolation process, no app is up")
    for which in ("nobody", 1, ""):
        with pytest.raises(PlatformError, match=r"(?s)no platform of yours is .*; these are running:.*'desk'"):
            Platform.attach(which)


@pytest.mark.parametrize("name", ["4711", "a/b", "desk.json", " desk", "two\nlines", "x" * 61])
def test_what_a_platform_cannot_be_called(name):
    with pytest.raises(ValueError, match="printable characters"):
        Platform(APPS, name=name, quiet=True)


@pytest.mark.parametrize("which", [3.5, True, ["desk"], b"desk"])
def test_what_names_no_platform(which):
    with pytest.raises(TypeError, match="its PID, its name or its connection file"):
        Platform.attach(which)


def test_files_that_are_no_connection_file_of_ours_are_refused_in_words(lab, tmp_path):
    good = json.loads(lab.connection_file.read_text())
    silent = socket.create_server(("127.0.0.1", 0))

    def spoilt(name: str, content: str | bytes | None = None, mode: int = 0o600, **changes: Any) -> Path:
        file = tmp_path / f"{name}.json"
        text = json.dumps(good | changes) if content is None else content
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        return file

    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to(lab.connection_file)
    cases = [
        (tmp_path / "missing.json", "No such file"),
        (tmp_path / "pipe.json", "not a regular file"),
        (tmp_path / "folder.json", "not a regular file"),
        (tmp_path / "link.json", "symbolic links"),
        (spoilt("noise", os.urandom(300)), "is no connection file"),
        (spoilt("empty", ""), "is no connection file"),
        (spoilt("list", "[1]"), "is no connection file"),
        (spoilt("large", "x" * 70_000), "70000 bytes"),
        (spoilt("port", port="80"), "is no connection file"),
        (spoilt("open", mode=0o644), r"others may read or write it \(mode 644\)"),
        (spoilt("gone", pid=2**22 + 1), "is gone"),
        (spoilt("reused", created=good["created"] - 1000), "is gone"),
    ]
    if os.geteuid() == 0:
        os.chown(spoilt("others"), 65534, 65534)
        cases.append((tmp_path / "others.json", "it belongs to user 65534"))
    for file, words in cases:
        with pytest.raises(PlatformError, match=words):
            Platform.attach(file, timeout=2)
    with pytest.raises(ConnectionRefused, match="this token is not known"):
        Platform.attach(spoilt("token", token="wrong"))
    with pytest.raises(LabTimeout, match="does not answer"), silent:
        Platform.attach(spoilt("silent", port=silent.getsockname()[1]), timeout=0.5)
    with pytest.raises(SupervisorLost, match="no supervisor answers"):
        Platform.attach(spoilt("closed", port=1))

    # In the runtime folder such files are in nobody's way, and the dead ones are removed.
    stale, garbage = runtime_folder() / "platform-4194305.json", runtime_folder() / "platform-x.json"
    stale.write_text(json.dumps(good | {"pid": 2**22 + 1}))
    garbage.write_bytes(os.urandom(100))
    Platform.attach(quiet=True).detach()
    assert not stale.exists() and not garbage.exists()
    assert stat.S_IMODE(lab.connection_file.stat().st_mode) == 0o600


def test_a_supervisor_that_is_stopped_is_told_in_time(lab):
    send(lab.supervisor_pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(LabTimeout, match=r"which a signal has stopped \(SIGCONT would wake it\)"):
            Platform.attach("desk", timeout=0.5)
        assert time.monotonic() - began < 5
        with pytest.raises(PlatformError, match="does not answer"):
            Platform.attach("nobody", timeout=0.5)
    finally:
        send(lab.supervisor_pid, signal.SIGCONT)
    assert lab.describe().apps


def test_it_is_not_to_be_let_go_of_in_an_observer(lab):
    said = []

    def try_it() -> None:
        try:
            lab.detach()
        except BlockingCallInObserver as error:
            said.append(str(error))

    lab._observers.submit(try_it)
    until(lambda: said, 5, "its refusal")
    assert lab.state == "running"


def test_one_that_is_not_detached_ends_with_its_kernel_and_who_takes_part_is_told(lab, capfd):
    kernel = Kernel()
    one = Platform.attach(kernel.supervisor)
    assert (one.detached, one.attached) == (False, True)
    kernel.kill()
    until(lambda: one.state == "stopped", 20, "the end")
    assert f"has ended with the process that started it ({kernel.process.pid})" in one.problem
    assert one.problem in capfd.readouterr().err
    with pytest.raises(PlatformStopped, match="has ended with the process that started it"):
        one.launch("hello")
    one.stop()

    # One whose kernel ends in good order, and one that is stopped from here for everybody.
    for stop in (False, True):
        kernel = Kernel()
        one, two = Platform.attach(kernel.supervisor), Platform.attach(kernel.supervisor, quiet=True)
        if stop:
            one.stop()
            assert f"platform {kernel.supervisor} was stopped, for everybody" in capfd.readouterr().err
        kernel.close()
        until(lambda two=two: two.state == "stopped", 20, "the other to hear of it")
        by, pid = (".*", os.getpid()) if stop else ("the end of a script", kernel.process.pid)
        words = rf"somebody else has stopped this platform: {by} \(process {pid}\); make a new"
        assert re.search(words, two.problem), two.problem
        one.stop()
        two.stop()


def test_a_lost_one_is_brought_back_from_here_by_whoever_takes_part(lab, other):
    hello, pid = lab["hello"], lab.supervisor_pid
    incarnation = hello.incarnation
    send(pid, signal.SIGKILL)
    until(lambda: lab.state == other.state == "lost", 10, "both to notice")
    lab.restart()
    other.restart()
    assert lab.supervisor_pid == other.supervisor_pid != pid
    assert (lab["hello"], hello.state, hello.incarnation) == (hello, "running", incarnation + 1)
    assert other["hello"].evaluate_js("lab.getState()") == {"kept": 1}
    # It is as detached as it was.
    (there,) = discovery.running()
    assert there.about.detached and there.about.name == "desk"


def test_a_stop_ends_a_supervisor_that_does_not_answer_and_everybody_sees_it(lab, other, monkeypatch):
    monkeypatch.setattr("labplatform.connection.SLACK", 0.1)
    monkeypatch.setattr("labplatform.kernel.lifecycle.STOP_SECONDS", 0.1)
    pids = [lab.supervisor_pid, lab.guardian_pid, lab["hello"].pid]
    send(lab.supervisor_pid, signal.SIGSTOP)
    lab.stop(timeout=0.2)
    assert not any(map(runs, pids)) and lab.state == "stopped"
    until(lambda: other.state == "lost", 10, "the other to notice")
    assert discovery.running() == []
