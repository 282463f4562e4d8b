"""Who dies with whom: however kernel, supervisor or guardian go, nothing stays, and the next platform starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from support.apps import APPS
from support.processes import LEFT_SECONDS, below, runs, send, until

from labplatform.errors import LabError, NotRunning, PlatformStopped, SupervisorLost

START = f"""
import json, os, sys, time
from labplatform import Platform
platform = Platform({str(APPS)!r}, display="offscreen", quiet=True)

def tell(**words):
    words |= {{"supervisor": platform.supervisor_pid, "guardian": platform.guardian_pid}}
    print(json.dumps(words | {{"apps": [app.pid for app in platform.apps]}}), flush=True)
"""


class Controller:
    """A Python process that holds a platform, in a process group of its own as a kernel is."""

    def __init__(self, body: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", START + textwrap.dedent(body)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def told(self) -> dict:
        """The next line that it printed."""
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(10)}"
        return json.loads(line)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def controller(nothing_left):
    made = []

    def start(body: str) -> Controller:
        made.append(Controller(body))
        return made[-1]

    yield start
    for one in made:
        one.close()


def _all_gone(told: dict, seconds: float = 10) -> None:
    pids = [told["supervisor"], told["guardian"], *told["apps"]]
    until(lambda: not any(map(runs, pids)), seconds, f"the end of {pids}")


# --- the kernel goes --------------------------------------------------------------------------------------------------


def test_the_kernel_is_killed_and_its_forked_child_lives(controller):
    """The child holds all of the kernel's descriptors, so none of them reaches its end of file."""
    kernel = controller("""
        import multiprocessing
        platform.launch("hello")
        platform.launch("steward")
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        child.start()
        tell(child=child.pid)
        time.sleep(600)
    """)
    told = kernel.told()
    send(kernel.pid, signal.SIGKILL)
    try:
        _all_gone(told)
        assert runs(told["child"])
    finally:
        send(told["child"], signal.SIGKILL)


def test_the_kernel_is_killed_while_an_app_is_stopped(controller):
    kernel = controller('platform.launch("hello"); tell(); time.sleep(600)')
    told = kernel.told()
    send(told["apps"][0], signal.SIGSTOP)
    send(kernel.pid, signal.SIGKILL)
    _all_gone(told)


@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("sys.exit(5)", 5), ("raise RuntimeError('unforeseen')", 1), ("os._exit(6)", 6)],
    ids=["end", "exit", "raise", "_exit"],
)
def test_a_script_that_ends_takes_its_platform_along(controller, ending, code):
    script = controller(f'platform.launch("hello"); tell()\nsys.stderr = open(os.devnull, "w")\n{ending}')
    told = script.told()
    assert script.process.wait(30) == code
    _all_gone(told)


def test_a_forked_child_that_ends_leaves_the_platform_alone(controller):
    """It inherits the handle, and its interpreter runs the same clean-up at its end."""
    kernel = controller("""
        app = platform.launch("hello")
        child = os.fork()
        if not child:
            platform.stop()
            sys.exit(0)
        os.waitpid(child, 0)
        tell(answer=app.evaluate_js("1 + 1", timeout=10), state=platform.state)
        platform.stop()
    """)
    told = kernel.told()
    assert (told["answer"], told["state"]) == (2, "running")
    assert kernel.process.wait(30) == 0
    _all_gone(told)


def test_an_interrupt_of_the_kernels_group_reaches_nobody_else(controller):
    kernel = controller("""
        app = platform.launch("hello")
        service = platform.launch("steward")
        try:
            tell()
            time.sleep(600)
        except KeyboardInterrupt:
            tell(answer=app.evaluate_js("1 + 1", timeout=10), states=[app.state, service.state],
                 incarnations=[app.incarnation, service.incarnation])
        platform.stop()
    """)
    before = kernel.told()
    os.killpg(kernel.pid, signal.SIGINT)
    after = kernel.told()
    assert (after["answer"], after["states"], after["incarnations"]) == (2, ["running", "running"], [1, 1])
    assert after["apps"] == before["apps"]
    assert kernel.process.wait(30) == 0
    _all_gone(before)


def test_an_interrupt_ends_a_call_and_not_the_app(controller):
    kernel = controller("""
        app = platform.launch("hello")
        tell()
        try:
            app.evaluate_js("new Promise(() => {})", timeout=600)
        except KeyboardInterrupt:
            tell(answer=app.evaluate_js("1 + 1", timeout=10))
        platform.stop()
    """)
    kernel.told()
    time.sleep(0.3)  # only so that the call is likely under way; it holds either way
    send(kernel.pid, signal.SIGINT)
    assert kernel.told()["answer"] == 2
    assert kernel.process.wait(30) == 0


def test_an_interrupt_during_a_launch_undoes_it(platform, web, monkeypatch):
    with platform() as lab:
        other = lab.launch("neighbour")

        def interrupt(change) -> None:
            if any(app.name == "endless" for app in change["new"]):
                os.kill(os.getpid(), signal.SIGINT)

        lab.observe(interrupt, "apps")
        startup = {"uuid": "endless", "name": "Endless", "url": web.never("/endless")}
        with pytest.raises(KeyboardInterrupt):
            lab.launch({"startup_app": startup}, timeout=60)
        until(lambda: [app.name for app in lab.apps] == ["neighbour"], 20, "the launch to be undone")
        hosts = lambda: [words for words in below(lab.supervisor_pid).values() if words.startswith("labplatform:")]  # noqa: E731
        # A sandbox takes its processes along, some milliseconds after the launch has been given up.
        until(lambda: len(hosts()) == 1, 10, "the end of its host")
        assert other.evaluate_js("1 + 1", timeout=10) == 2


# --- the supervisor goes ----------------------------------------------------------------------------------------------

PID_OF_THE_GRANDCHILD = """(async () => {
    const channel = await lab.channel("pids");
    for (;;) {
        const found = await channel.getCurrentContext("test.pid");
        if (found) return found.pid;
        await new Promise((done) => setTimeout(done, 20));
    }
})()"""


def test_the_supervisor_is_killed(platform):
    lab = platform()
    app, stopped = lab.launch("hello"), lab.launch("neighbour")
    service = lab.launch("forks")
    # Started with its parent gone and in a session of its own, by an app's Python side.
    grandchild = app.evaluate_js(PID_OF_THE_GRANDCHILD, timeout=20)
    assert runs(grandchild)
    send(stopped.pid, signal.SIGSTOP)
    pids = [app.pid, stopped.pid, service.pid, grandchild, lab.supervisor_pid]
    file = lab.connection_file
    assert file.exists()

    killed = time.monotonic()
    send(lab.supervisor_pid, signal.SIGKILL)
    until(lambda: lab.state == "lost", 10, "the platform to be lost")
    assert time.monotonic() - killed < 5

    until(lambda: not any(map(runs, pids)), 10, "the end of all apps")
    until(lambda: not file.exists(), 10, "the connection file to be removed")
    with pytest.raises(SupervisorLost, match=r"the supervisor of this platform is gone .*make a new Platform\(\)"):
        lab.launch("hello")
    with pytest.raises(LabError, match=r"lost|gone"):
        app.evaluate_js("1")
    with pytest.raises((NotRunning, SupervisorLost), match=r"lost|gone"):
        app.wait_for("running", 5)
    assert {one.state for one in lab.apps} == {"stopped"}
    assert {one.pid for one in lab.apps} == {None}
    with platform() as fresh:
        assert fresh.launch("hello").evaluate_js("1 + 1", timeout=10) == 2
    lab.stop()
    lab.stop()


def test_an_orphan_stays_with_its_app_and_goes_with_it(platform):
    """By no sandbox and no control group, but because an app host takes in what loses its parent below it."""
    with platform(boundary="off", limits="watchdog", sampling=0.2) as lab:
        app, service = lab.launch("hello"), lab.launch("forks")
        grandchild = app.evaluate_js(PID_OF_THE_GRANDCHILD, timeout=20)
        until(lambda: grandchild in [process.pid for process in service.processes], 10, "it to be seen as its app's")
        send(service.pid, signal.SIGKILL)
        until(lambda: not runs(grandchild), 10, "its end")
        assert app.evaluate_js("1 + 1", timeout=10) == 2


def test_a_call_under_way_ends_when_the_supervisor_does(platform):
    lab = platform()
    app = lab.launch("hello")
    supervisor = lab.supervisor_pid
    app.observe(lambda change: send(supervisor, signal.SIGKILL), "processes")
    asked = time.monotonic()
    with pytest.raises(SupervisorLost):
        app.evaluate_js("new Promise(() => {})", timeout=100)
    assert time.monotonic() - asked < 30


def test_a_lost_platform_is_replaced_by_a_new_one(platform):
    lost = platform(alongside=False)
    lost.launch("hello")
    send(lost.supervisor_pid, signal.SIGKILL)
    until(lambda: lost.state == "lost", 10, "the platform to be lost")
    with platform(alongside=False) as lab:
        assert lab.launch("hello").state == "running"
        # Nothing of the former is kept, its guardian and its threads included.
        assert lost.guardian_pid is None


# --- the guardian goes ------------------------------------------------------------------------------------------------


def test_the_guardian_is_killed(platform):
    lab = platform()
    app = lab.launch("hello")
    pids = [app.pid, lab.supervisor_pid]
    send(lab.guardian_pid, signal.SIGKILL)
    until(lambda: not any(map(runs, pids)), 15, "the platform's end")
    until(lambda: lab.state == "lost", 10, "the platform to be lost")
    with pytest.raises(SupervisorLost):
        lab.launch("hello")


def test_the_guardian_is_asked_to_end(platform):
    lab = platform()
    app = lab.launch("hello")
    pids = [app.pid, lab.supervisor_pid, lab.guardian_pid]
    send(lab.guardian_pid, signal.SIGTERM)
    until(lambda: not any(map(runs, pids)), 15, "the platform's end")
    assert app.reason in ("clean-exit", "killed")


def test_guardian_and_supervisor_are_killed_at_once(platform, runtime_folder):
    """Nobody is left to clean up, and still no process stays; what lies in the folder harms no later start."""
    lab = platform()
    app, stopped, service = lab.launch("hello"), lab.launch("neighbour"), lab.launch("steward")
    pids = [app.pid, stopped.pid, service.pid]
    send(stopped.pid, signal.SIGSTOP)
    guardian, supervisor = lab.guardian_pid, lab.supervisor_pid
    send(guardian, signal.SIGSTOP)
    send(supervisor, signal.SIGKILL)
    send(guardian, signal.SIGKILL)
    until(lambda: not any(map(runs, pids)), LEFT_SECONDS, "the end of all apps")
    with platform() as fresh:
        assert fresh.launch("hello").state == "running"
    _remove(runtime_folder)


def _remove(folder) -> None:
    for path in sorted(folder.glob("**/platform-*"), reverse=True):
        subprocess.run(["rm", "-rf", str(path)], check=True)


# --- stale files ------------------------------------------------------------------------------------------------------


def test_what_a_former_platform_left_breaks_no_start(platform, runtime_folder):
    folder = runtime_folder / "labplatform"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "platform-1.json").write_text("{")
    (folder / "platform-999999999.json").write_text("")
    (folder / "platform-2.new").mkdir()
    (folder / "platform-3.json").symlink_to("/nonexistent")
    try:
        with platform() as lab:
            assert lab.launch("hello").state == "running"
    finally:
        _remove(runtime_folder)


def test_a_stopped_platform_says_what_to_do(platform):
    lab = platform()
    app = lab.launch("hello")
    lab.stop()
    for call in (lambda: lab.launch("hello"), lab.describe, lambda: app.evaluate_js("1"), lab.start):
        with pytest.raises(PlatformStopped, match=r"make a new Platform\(\)"):
            call()
    lab.stop()
