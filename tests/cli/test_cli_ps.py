"""`labplatform ps`, from another terminal: the kernel may be busy, the supervisor hung, the file stale."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from support.processes import runs, until

from labplatform import discovery, machine, messages


def _file(about: dict, pid: int) -> Path:
    file = machine.runtime_folder() / f"platform-{pid}.json"
    file.write_bytes(msgspec.json.encode(about | {"pid": pid}))
    return file


def _ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait(10)
    return process.pid


ABOUT = {"created": 1.0, "port": 1, "token": "x", "isolation": "process", "controller_pid": 1}


def test_nothing_runs(cli):
    done = cli("ps")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no platform is running\n", "")
    assert cli("ps", "--json").stdout == "[]\n"


def test_it_needs_no_kernel(cli, busy_notebook):
    notebook, told = busy_notebook
    done = cli("ps")
    assert (done.returncode, done.stderr) == (0, "")
    heading, titles, *rows = done.stdout.splitlines()
    assert heading.startswith(f"platform {told['supervisor']}   isolation process   controller {notebook.pid}   up ")
    assert titles.split() == ["APP", "PID", "STATE", "UPTIME", "MEMORY", "CPU", "RESTARTS"]
    assert {row.split()[0]: row.split()[1] for row in rows} == {
        "hello": str(told["hello"]),
        "neighbour": str(told["neighbour"]),
    }
    # The sampler has looked at least once since they are up.
    until(lambda: re.search(r"hello .* running +\d+ s +\d\d+ MB +[\d.]+% +0\n", cli("ps").stdout), 10, "its figures")

    (data,) = json.loads(cli("ps", "--json").stdout)
    assert (data["pid"], data["controller_pid"], data["answers"]) == (told["supervisor"], notebook.pid, True)
    assert [(app["app"], app["pid"], app["state"]) for app in sorted(data["apps"], key=lambda app: app["app"])] == [
        ("hello", told["hello"], "running"),
        ("neighbour", told["neighbour"], "running"),
    ]
    for app in data["apps"]:
        assert app["memory"] == sum(process["memory"] for process in app["processes"]) > 10_000_000
        assert app["uptime"] > 0
    token = json.loads((machine.runtime_folder() / f"platform-{told['supervisor']}.json").read_text())["token"]
    assert token not in json.dumps(data)

    done = cli("kill", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"hello (PID {told['hello']}) on platform {told['supervisor']} is stopped (killed)\n"
    assert not runs(told["hello"]) and runs(told["neighbour"])
    assert re.search(r"hello +- +■ stopped \(killed\)", cli("ps", PYTHONIOENCODING="utf-8").stdout)


def test_all_lists_each_process_with_its_role(cli, platform):
    one = platform()
    hello = one.launch("hello")
    until(lambda: {p.role for p in hello.processes} >= {"host", "renderer"}, 10, "the tree of hello")
    done = cli("ps", "--all")
    rows = [line.split()[:3] for line in done.stdout.splitlines()[2:]]
    assert rows[0] == [str(one.guardian_pid), "guardian", "-"]
    assert rows[1] == [str(one.supervisor_pid), "supervisor", "-"]
    assert rows[2] == [str(hello.pid), "host", "hello"]
    assert {role for _, role, _ in rows} >= {"zygote", "renderer"}


def test_a_shared_process_is_told_as_one(cli, platform):
    one = platform(isolation="shared-process")
    hello, _ = one.launch_all("hello", "neighbour")
    done = cli("ps")
    assert done.stdout.count(f" {hello.pid}*") == 2
    assert f"* one process, {hello.pid}, holds " in done.stdout
    pids = [line.split()[0] for line in cli("ps", "--all").stdout.splitlines()[2:]]
    assert len(pids) == len(set(pids))


def test_files_of_platforms_that_are_gone_are_removed(cli):
    gone = _file(ABOUT, _ended_pid())
    session = gone.with_suffix("")
    (session / "profiles").mkdir(parents=True)
    reused = _file(ABOUT, os.getpid())  # this pid runs, but it was not created in 1970
    rubbish = machine.runtime_folder() / f"platform-{_ended_pid()}.json"
    rubbish.write_text("{")
    nameless = machine.runtime_folder() / "platform-.json"
    nameless.write_text("[]")
    done = cli("ps")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no platform is running\n", "")
    assert not any(file.exists() for file in (gone, session, reused, rubbish, nameless))


def test_a_stale_file_does_not_keep_a_platform_from_starting(platform):
    _file(ABOUT, _ended_pid())
    one = platform()
    assert one.launch("hello").state == "running"
    assert [found.pid for found in discovery.running()] == [one.supervisor_pid]


def test_a_hung_supervisor_is_told_within_two_seconds(cli, platform):
    hung, well = platform(), platform()
    hung.start()
    well.launch("hello")
    os.kill(hung.supervisor_pid, signal.SIGSTOP)
    started = time.monotonic()
    seen = discovery.look(discovery.running())
    assert time.monotonic() - started < 2.5
    assert {one.platform.pid: one.status is not None for one in seen} == {
        hung.supervisor_pid: False,
        well.supervisor_pid: True,
    }
    done = cli("ps")
    assert done.returncode == 1
    assert "hello" in done.stdout and "  does not answer\n" in done.stdout
    assert done.stderr == (
        f"labplatform: platform {hung.supervisor_pid} does not answer: waited 2 s for its supervisor, which a signal "
        f"has stopped (SIGCONT would wake it); `labplatform kill --platform {hung.supervisor_pid}` ends it\n"
    )
    data = {one["pid"]: one for one in json.loads(cli("ps", "--json").stdout)}
    assert not data[hung.supervisor_pid]["answers"] and data[well.supervisor_pid]["answers"]
    os.kill(hung.supervisor_pid, signal.SIGCONT)
    until(lambda: cli("ps").returncode == 0, 10, "ps to be content again")


@pytest.mark.parametrize("pid", [1, 999_999_999])
def test_a_handle_strikes_only_who_wrote_the_file(pid, tmp_path):
    about = messages.ConnectionFile(**ABOUT | {"pid": pid})
    discovery.Running(tmp_path / "platform-1.json", about).kill()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        created = psutil.Process(sleeper.pid).create_time()
        about = messages.ConnectionFile(**ABOUT | {"pid": sleeper.pid, "created": created})
        # Right pid, right start, but it is no supervisor.
        discovery.Running(tmp_path / "platform-1.json", about).kill()
        assert runs(sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait(10)
