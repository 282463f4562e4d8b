"""A platform whose supervisor is lost: noticed, said, and brought back with the same apps, by hand or by itself."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from support.apps import APPS
from support.processes import below, runs, send, until

from labplatform import messages as m
from labplatform.errors import LabTimeout, LaunchError, PlatformStopped, SupervisorLost
from labplatform.kernel import recovery
from labplatform.manifest import ResourceLimits
from labplatform.supervisor import log as logs
from labplatform.supervisor.roster import Row


def _lose(lab) -> float:
    """SIGKILL its supervisor, and return how many seconds it took the notebook to notice."""
    killed = time.monotonic()
    send(lab.supervisor_pid, signal.SIGKILL)
    until(lambda: lab.state == "lost", 10, "the platform to be lost")
    return time.monotonic() - killed


def _rows(lab, table: str) -> list:
    db = sqlite3.connect(lab._store)
    try:
        return db.execute(f"SELECT place FROM {table}").fetchall()
    finally:
        db.close()


def _row(lab, place: str) -> Row:
    """What is kept of an app for a supervisor that takes a lost one's place."""
    db = sqlite3.connect(lab._store)
    try:
        (data,) = db.execute("SELECT data FROM roster WHERE place = ?", (place,)).fetchone()
    finally:
        db.close()
    return m.decode(data, Row)


def test_a_lost_platform_comes_back_with_the_same_apps(platform, capfd):
    lab = platform(quiet=False, sampling=0.2)
    limits = ResourceLimits(max_processes=60)
    hello, second = lab.launch("hello", resource_limits=limits), lab.launch("hello")
    service, ended = lab.launch("steward"), lab.launch("neighbour")
    ended.stop()
    hello.evaluate_js("lab.saveState({kept: 1})")
    hello.restart()
    hello.evaluate_js("fdc3.joinUserChannel('fdc3.channel.4').then(() => null)")
    hello.set_resource_limits(max_processes=55)
    until(lambda: _row(lab, "hello").user_channel == "fdc3.channel.4", 5, "its channel to be kept")
    assert hello.incarnation == 2
    heard, contexts, pictures = [], [], []
    hello.observe(lambda change: heard.append(change.new), "state")
    lab.desktop_agent.join_user_channel("fdc3.channel.1")
    lab.desktop_agent.add_context_listener("test", contexts.append)
    hello.watch_pictures(pictures.append, rate=20)
    until(lambda: pictures, 10, "the first picture")
    seen = hello.history()
    assert set(seen["incarnation"]) == {1, 2}
    pids = [lab.supervisor_pid, lab.guardian_pid, hello.pid, second.pid, service.pid]
    apps, before, last = list(lab.apps), list(lab.events), lab.events[-1].seq

    assert _lose(lab) < 1
    assert "the supervisor of this platform is gone" in lab.problem and "restart()" in lab.problem
    assert lab.problem in capfd.readouterr().err
    assert (lab.events[-1].level, lab.events[-1].text) == ("error", lab.problem)
    assert {(app.state, app.pid) for app in lab} == {("stopped", None)}
    assert (hello.reason, hello.detail, ended.reason) == ("killed", "the supervisor was lost", "clean-exit")
    until(lambda: not any(map(runs, pids)), 10, "the end of all that was lost")
    assert len(_rows(lab, "roster")) == 4

    assert lab.restart(timeout=60) is lab
    assert (lab.state, lab.problem) == ("running", "")
    assert list(lab.apps) == apps and [app.name for app in apps] == ["hello", "hello-2", "steward", "neighbour"]
    assert [app.state for app in apps] == ["running", "running", "running", "stopped"]
    assert [app.incarnation for app in apps] == [3, 2, 2, 1]
    assert (hello.limits.max_processes, second.limits.max_processes) == (55, None)
    assert hello.evaluate_js("fdc3.getCurrentChannel().then((channel) => channel.id)") == "fdc3.channel.4"
    state, restored = hello.evaluate_js("Promise.all([lab.getState(), lab.restored])")
    assert state == {"kept": 1} and restored["after"] == "killed" and restored["age"] >= 0
    until(lambda: heard[-1:] == ["running"], 5, "its observers to hear of it")

    # What it used before is known: all of its first process, of which it was written when that ended.
    history = hello.history()
    first = history["incarnation"] == 1
    assert np.array_equal(history["at"][first], seen["at"][seen["incarnation"] == 1])
    assert np.all(np.diff(history["at"]) > 0) and set(history["incarnation"]) >= {1, 3}
    assert len(ended.history()["at"]) > 0

    # The log is one story: numbers go on, and what it tells is what is.
    numbers = [entry.seq for entry in lab.events]
    assert numbers == list(range(1, numbers[-1] + 1)) and numbers[-1] > last + 1
    assert list(lab.events[: len(before)]) == before
    lives = logs.replay(lab.events)
    assert {name: (str(life.state), life.incarnation) for name, life in lives.items()} == {
        app.name: (app.state, app.incarnation) for app in apps
    }

    # What this notebook had asked for, it has again.
    pictures.clear()
    hello.evaluate_js("document.body.style.background = 'red'")
    until(lambda: any(picture.data for picture in pictures), 10, "pictures of the new window")

    def heard_of_it():
        second.evaluate_js(
            "fdc3.joinUserChannel('fdc3.channel.1').then(() => fdc3.broadcast({type: 'test'})).then(() => null)"
        )
        return contexts

    until(heard_of_it, 10, "the notebook to take part again")
    lab.stop()
    assert _rows(lab, "roster") == _rows(lab, "states") == []


def test_it_comes_back_by_itself_but_not_for_ever(platform):
    lab = platform(auto_recover=True)
    app = lab.launch("hello")
    for number in (2, 3):
        send(lab.supervisor_pid, signal.SIGKILL)
        until(lambda: lab.events and lab.state != "running", 5, "the loss")
        # Who waits for the app waits for the platform as well.
        app.wait_for("running", timeout=40)
        assert (app.incarnation, lab.state) == (number, "running")
        until(lambda: not lab._recovery.under_way, 5, "the recovery's end")
    assert _lose(lab) < 1
    assert "loss number 3 within 60 s" in lab.problem
    time.sleep(0.3)
    assert lab.state == "lost" and not lab._recovery.under_way
    lab.restart()
    assert (app.state, app.incarnation) == ("running", 4)


def test_a_platform_that_is_killed_on_purpose_does_not_come_back(platform):
    lab = platform(auto_recover=True)
    lab.launch("hello")
    pid = lab.supervisor_pid
    os.kill(pid, signal.SIGSTOP)
    done = subprocess.run(
        [sys.executable, "-m", "labplatform.cli", "kill", "--platform", str(pid)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    until(lambda: "ended it by force" in lab.problem, 30, "the notebook to see that it was wanted")
    assert (lab.state, lab.supervisor_pid) == ("lost", None)


def test_a_guardian_that_is_killed_costs_no_app_its_place(platform):
    lab = platform()
    app = lab.launch("hello")
    send(lab.guardian_pid, signal.SIGKILL)
    until(lambda: lab.state == "lost", 15, "the platform to be lost")
    assert "its guardian was killed" in lab.problem
    lab.restart()
    assert (app.state, app.incarnation) == ("running", 2)


def test_an_interrupted_restart_leaves_nothing_running_and_can_be_tried_again(platform, monkeypatch):
    lab = platform()
    app = lab.launch("hello")
    _lose(lab)

    def interrupted(self, deadline):
        until(lambda: app.state == "starting", 20, "it to start")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recovery.Recovery, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lab.restart()
    assert lab.state == "lost" and app.state == "stopped"
    assert [words for words in below().values() if words.startswith("labplatform:")] == []
    with pytest.raises(SupervisorLost, match=r"restart\(\) brings its apps back"):
        lab.launch("hello")
    lab.restart()
    assert (app.state, app.incarnation) == ("running", 3)


def test_a_restart_that_has_too_little_time_says_so_and_apps_that_do_not_come_back_are_named(platform):
    lab = platform()
    app, other = lab.launch("hello"), lab.launch("neighbour")
    _lose(lab)
    db = sqlite3.connect(lab._store)
    with db:
        db.execute("UPDATE roster SET data = 'torn' WHERE place = 'neighbour'")
    db.close()
    with pytest.raises(LaunchError, match=r"not all of its apps: neighbour \(the log says why\)"):
        lab.restart()
    assert list(lab.apps) == [app] and app.state == "running"
    assert any("neighbour could not be brought back" in entry.text for entry in lab.events)
    assert other.state == "stopped"
    _lose(lab)
    with pytest.raises(LabTimeout):
        lab.restart(timeout=0.001)
    lab.stop()
    with pytest.raises(PlatformStopped, match="was lost and then stopped"):
        lab.restart()


def test_without_a_store_nothing_can_be_brought_back_and_it_says_why(platform, tmp_path):
    (tmp_path / "file").touch()
    lab = platform(APPS, store=tmp_path / "file" / "store.db")
    lab.launch("hello")
    _lose(lab)
    with pytest.raises(LaunchError, match="hello"):
        lab.restart()
    assert lab.state == "running" and lab.apps == ()
    assert any("none of its apps could be brought back" in entry.text for entry in lab.events)
    assert lab.launch("hello").state == "running"
