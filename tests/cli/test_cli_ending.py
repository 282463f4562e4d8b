"""`labplatform stop` and `kill`: one app, one platform, all of them, and those that no longer answer."""

from __future__ import annotations

import os
import signal

import pytest
from support.processes import below, runs, until


def test_the_notebook_sees_who_was_killed_from_another_terminal(cli, platform):
    one = platform()
    hello, neighbour = one.launch_all("hello", "neighbour")
    done = cli("kill", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    hello.wait_for("stopped", timeout=5)
    assert hello.reason == "killed"
    assert neighbour.evaluate_js("1 + 1") == 2
    again = cli("kill", "hello")
    assert (again.returncode, again.stdout) == (0, "hello had already stopped (killed)\n")


def test_stop_closes_an_app_in_good_order(cli, platform):
    hello = platform().launch("hello")
    done = cli("stop", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    hello.wait_for("stopped", timeout=5)
    assert hello.reason == "clean-exit"


def test_an_unknown_app_is_named_with_those_there_are(cli, platform):
    platform().launch("hello")
    done = cli("stop", "hallo")
    assert (done.returncode, done.stderr) == (1, "labplatform: no app is called 'hallo'; there are: hello\n")
    done = cli("kill", "--platform", os.getpid())
    assert done.returncode == 1
    assert done.stderr.startswith(f"labplatform: no platform of yours has the supervisor PID {os.getpid()}; running: ")


def test_the_same_name_on_two_platforms_asks_which(cli, platform):
    first, second = platform(), platform()
    apps = [one.launch("hello") for one in (first, second)]
    done = cli("kill", "hello")
    assert done.returncode == 1
    for pid in (first.supervisor_pid, second.supervisor_pid):
        assert str(pid) in done.stderr
    assert "--platform PID" in done.stderr
    assert [app.state for app in apps] == ["running", "running"]
    done = cli("kill", "hello", "--platform", second.supervisor_pid)
    assert done.returncode == 0
    apps[1].wait_for("stopped", timeout=5)
    assert apps[0].state == "running"
    # Now only one of them lives, and is meant.
    assert cli("stop", "hello").returncode == 0
    apps[0].wait_for("stopped", timeout=5)

    done = cli("stop")
    assert done.returncode == 1 and "2 platforms are running" in done.stderr
    assert cli("stop", "--platform", first.supervisor_pid).returncode == 0
    supervisor = second.supervisor_pid
    done = cli("stop")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"platform {supervisor} was stopped; none of its ")
    assert not runs(supervisor)


def test_stop_says_when_nothing_runs(cli):
    assert cli("stop").stderr == "labplatform: no platform is running\n"
    assert cli("stop", "--all").stdout == "no platform is running\n"
    assert cli("kill", "--all").returncode == 0


@pytest.mark.parametrize("how", ["asked", "forced"])
def test_kill_all_ends_a_platform_whose_kernel_is_busy(cli, busy_notebook, how):
    notebook, told = busy_notebook
    done = cli("kill", "--all", *["--force"] * (how == "forced"))
    assert (done.returncode, done.stderr) == (0, "")
    words = "was killed" if how == "forced" else "was ended"
    assert done.stdout.startswith(f"platform {told['supervisor']} {words}; none of its ")
    assert not any(map(runs, told.values()))
    assert runs(notebook.pid)
    assert cli("ps").stdout == "no platform is running\n"


@pytest.mark.parametrize("guardian", ["well", "stopped", "killed"])
def test_kill_all_ends_what_hangs_and_leaves_no_orphan(cli, platform, guardian):
    hung, well = platform(), platform()
    apps = [one.launch("hello") for one in (hung, well)]
    supervisors = [one.supervisor_pid for one in (hung, well)]
    # A child of hello's host, and its whole tree: all of it has to go.
    trees = [process.pid for app in apps for process in below(app.pid)]
    # Also an app that no longer listens: it would not notice that its supervisor has gone.
    os.kill(hung.supervisor_pid, signal.SIGSTOP)
    if guardian != "well":
        os.kill(hung.guardian_pid, signal.SIGSTOP)
    if guardian == "killed":
        os.kill(hung.guardian_pid, signal.SIGKILL)
    stopped = cli("stop", "--platform", supervisors[0])
    assert stopped.returncode == 1 and "does not answer" in stopped.stderr
    done = cli("kill", "--all", seconds=40)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = sorted(done.stdout.splitlines(), key=lambda line: str(supervisors[1]) in line)
    assert first.startswith(f"platform {supervisors[0]} was killed (its supervisor did not answer); none of its ")
    assert second.startswith(f"platform {supervisors[1]} was ended; none of its ")
    assert not any(map(runs, [*supervisors, *(app.pid for app in apps if app.pid), *trees]))
    until(lambda: hung.state == "lost", 5, "the notebook to learn that its platform is gone")


def test_kill_all_reports_what_it_could_not_ask_and_goes_on(cli, platform):
    hung, well = platform(), platform()
    hung.start(), well.start()
    os.kill(hung.supervisor_pid, signal.SIGSTOP)
    done = cli("kill", "hello")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"labplatform: hello was not found, and platform {hung.supervisor_pid} does not answer"
    )
    done = cli("stop", "--all")
    assert done.returncode == 1
    assert f"platform {well.supervisor_pid}" not in done.stderr and "does not answer" in done.stderr
    assert "was stopped; none of its" in done.stdout
    assert cli("kill", "--platform", hung.supervisor_pid).returncode == 0
