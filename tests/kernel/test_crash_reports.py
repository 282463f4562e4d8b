"""Crash reports of real ends: what they say, what they hold, and that they outlive what they tell of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from support.apps import APPS, AT_ONCE, QUICK, make_app
from support.leaks import LEAK
from support.processes import Ground, send, until

from labplatform import Platform
from labplatform import messages as m
from labplatform.errors import AppGone, BadRequest, LabError, LaunchError

QUICKLY = m.Reporting(picture_interval=0.5, after=0.3)
OPTIONS = {
    "display": "offscreen",
    "quiet": True,
    "alongside": True,
    "heartbeat": QUICK,
    "sampling": 0.2,
    "reporting": QUICKLY,
}
LISTENS = "fdc3.joinUserChannel('fdc3.channel.1').then(() => fdc3.addContextListener('test', () => {})).then(() => 0)"
SAYS = "fdc3.broadcast({type: 'test', id: {secret: 'not in a report'}}).then(() => 0)"


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """In place of the proof after each test."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """An app to be broken and a neighbour, which have spoken to each other."""
    folder = tmp_path_factory.mktemp("apps")
    made = make_app(folder, "mortal", restart=AT_ONCE)
    with Platform(made, APPS, store=folder / "store.db", **OPTIONS) as lab:
        app, other = lab.launch_all("mortal", "neighbour")
        yield SimpleNamespace(lab=lab, app=app, other=other, store=folder / "store.db")


def _next(lab, before: int):
    """The report after so many, once nothing will be added to it."""
    until(lambda: len(lab.crash_reports) > before, 20, "a crash report")
    until(lambda: lab.crash_reports[before].brief.complete, 40, "all of it")
    return lab.crash_reports[before]


def test_a_crash_is_told_with_its_evidence(stage):
    lab, app, other = stage.lab, stage.app, stage.other
    heard = []
    lab.observe(lambda change: heard.append([one.brief.complete for one in change.new]), "crash_reports")
    app.evaluate_js(LISTENS)
    other.evaluate_js(LISTENS)
    other.evaluate_js(SAYS)
    app.evaluate_js(SAYS)
    app.evaluate_js(f"console.warn('<b>it said</b> {lab._order.token}'); lab.saveState({{a: 'secret state'}}); 0")
    until(lambda: app.metrics and app.metrics.js_heap, 10, "figures of it")
    app.picture(width=300)
    pid, incarnation = app.pid, app.incarnation
    app.crash("abort")

    assert lab.crash_reports[-1].reason == "crashed"
    report = _next(lab, 0)
    # At once, and again when more is known; what is known soon after one another comes together.
    until(lambda: heard[-1:] == [[True]], 10, "word that it is complete")
    assert len(heard[0]) == 1 and len(heard) >= 2
    assert (report.app, report.pid, report.incarnation) == ("mortal", pid, incarnation)
    assert report.sentence == "Its process died of SIGABRT."
    assert report.back_after > 0 and report.brief.back_pid == app.pid
    full = report.full()
    assert (full.exit.process, full.exit.signal, full.exit.pid) == ("host", "SIGABRT", pid)
    assert report.brief.fault == "abort" and "on purpose" in full.exit.by
    assert "Current thread" in full.traceback and "faults.py" in full.traceback
    assert [(line.level, "<b>it said</b>" in line.text) for line in full.console] == [("warning", True)]
    ways = {(one.out, one.peers, one.context_type) for one in full.messages}
    assert {(False, ("neighbour",), "test"), (True, ("neighbour",), "test")} <= ways
    assert full.picture.data.startswith(b"\xff\xd8") and full.picture.at < report.at
    assert (full.restored.after, full.channel) == ("crashed", "fdc3.channel.1")
    assert full.state_size == len('{"a":"secret state"}')
    assert [(one.place, one.felt) for one in full.neighbours] == [("neighbour", "answered")]
    assert full.noticed_after > 0
    rows = full.figures.columns
    assert {len(column) for column in rows.values()} == {len(rows["at"])} and len(rows["at"]) > 3
    assert {one.role for one in full.figures.processes} >= {"host", "renderer"}
    whole = m.encode(full)
    for secret in (lab._order.token, "secret state", "not in a report"):
        assert secret.encode() not in whole
    assert b"[token]" in whole


def test_it_shows_and_exports_what_it_holds(stage, tmp_path):
    report = _next(stage.lab, 0)
    assert repr(report) == "<CrashReport 1: mortal, crashed>"
    assert "Its process died" in report.sentence and "because its process died of SIGABRT" in str(report)
    html = report._repr_html_()
    assert "&lt;b&gt;it said&lt;/b&gt;" in html and "<b>it said</b>" not in html
    assert report.to_html(tmp_path / "why.html").read_text().startswith("<!doctype html>")
    told = json.loads(report.to_json(tmp_path / "why.json").read_text())
    assert told["brief"]["reason"] == "crashed"
    with pytest.raises(BadRequest, match="no crash report 99"):
        stage.lab._ask(m.RecallReport, m.CrashReport, 5.0, number=99)


def test_a_limit_is_named_with_how_memory_got_there(stage):
    lab, app, before = stage.lab, stage.app, len(stage.lab.crash_reports)
    app.wait_for("running", 30)
    until(lambda: app.usage.memory > 50_000_000, 20, "a sample of it")
    app.set_resource_limits(max_memory=app.usage.memory + 120_000_000)
    with pytest.raises(AppGone, match="memory-limit"):
        app.evaluate_js(LEAK % (100, 250), timeout=60)
    app.set_resource_limits(max_memory=None)
    report = _next(lab, before)
    full = report.full()
    assert report.reason == "memory-limit"
    assert report.sentence.startswith("Its memory reached its limit of ")
    assert full.limit == full.limits.max_memory and full.seen >= full.limit - 10_000_000
    assert "the limit" in full.exit.by
    assert "It grew by" in str(report) and "in its page's renderer" in str(report)
    assert any("mortal" not in one.text and "ended once before" in one.text for one in full.evidence)


def test_a_hang_is_told_by_what_its_processes_did(stage):
    before = len(stage.lab.crash_reports)
    stage.app.wait_for("running", 30)
    stage.app.crash("hang")
    report = _next(stage.lab, before)
    full = report.full()
    assert report.reason == "unresponsive" and report.sentence.startswith("Its page did not answer for ")
    assert {look.role: look.doing for look in full.looks}["renderer"] == "running"
    assert full.exit.by == "platform, for its silence" and full.noticed_after > 1


def test_a_signal_from_elsewhere_is_not_laid_to_the_platform(stage):
    before = len(stage.lab.crash_reports)
    stage.app.wait_for("running", 30)
    send(stage.app.pid, signal.SIGKILL)
    report = _next(stage.lab, before)
    assert report.sentence == "Its process was killed by SIGKILL, which the platform did not send."
    assert report.full().exit.by == ""


def test_a_launch_that_fails_makes_one_too_and_what_is_wanted_makes_none(stage, tmp_path):
    lab, before = stage.lab, len(stage.lab.crash_reports)
    stage.app.wait_for("running", 30)
    stage.app.restart()
    other = lab.launch("hello")
    other.kill()
    lab.launch("hello").evaluate_js("setTimeout(() => window.close(), 0); 0")
    lab["hello"].wait_for("stopped", 20)
    assert len(lab.crash_reports) == before
    with pytest.raises(LaunchError):
        lab.launch(make_app(tmp_path, "empty", page=None, startup_app={"url": "nothing.html"}))
    report = _next(lab, before)
    assert (report.reason, report.uptime, report.back_after) == ("launch-failed", None, None)
    assert report.sentence.startswith("It did not start: ") and report.brief.gave_up


def test_the_command_line_tells_the_last_one_of_a_platform_that_runs(stage, tmp_path):
    def why(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "labplatform.cli", "why", *words], capture_output=True, text=True, timeout=60
        )

    told = why("mortal")
    assert told.returncode == 0, told.stderr
    assert told.stdout == stage.lab.crash_reports[3].text()
    assert json.loads(why("mortal", "--nth", "4", "--json").stdout)["brief"]["number"] == 1
    page = tmp_path / "why.html"
    assert why("--html", str(page), "--store", str(stage.store)).stdout == f"written: {page}\n"
    assert page.read_text().startswith("<!doctype html>")
    listed = why("--list").stdout.splitlines()
    assert len(listed) == 1 + len(stage.lab.crash_reports) and "did not start" in listed[-1]
    missing = why("nobody")
    assert missing.returncode == 1 and "no crash report of nobody" in missing.stderr


def test_every_victim_of_a_shared_process_has_one_that_names_the_cause():
    with Platform(APPS, isolation="shared-process", **OPTIONS) as lab:
        app, _ = lab.launch_all("hello", "neighbour")
        app.crash("segfault")
        until(lambda: len(lab.crash_reports) == 2, 20, "both reports")
        until(lambda: all(one.brief.complete for one in lab.crash_reports), 40, "all of both")
        found = {one.app: one for one in lab.crash_reports}
        assert {one.reason for one in found.values()} == {"crashed"}
        assert found["neighbour"].sentence == "The process it shared with hello died of SIGSEGV."
        assert found["hello"].brief.fault == "segfault" and found["neighbour"].brief.fault == "segfault of hello"
        assert [one.felt for one in found["hello"].full().neighbours] == ["ended"]
        assert "shared process with hello" in str(found["neighbour"])


def test_reports_outlive_the_supervisor_whose_loss_is_one_of_them_and_the_platform(tmp_path):
    with Platform(APPS, store=tmp_path / "store.db", **OPTIONS) as lab:
        app = lab.launch("hello")
        app.crash("exit")
        first = _next(lab, 0)
        before, pid = first.full(), lab.supervisor_pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: lab.state == "lost", 10, "the loss")
        loss = lab.crash_reports[-1]
        assert (loss.number, loss.app, loss.reason, loss.pid) == (2, "", "supervisor-lost", pid)
        assert loss.full().apps == ("hello",) and "every app with it" in str(loss)
        assert first.full() == before
        lab.restart()
        assert [one.number for one in lab.crash_reports] == [1, 2]
        assert lab.crash_reports[0].full() == before
        until(lambda: lab.crash_reports[1].back_after is not None, 30, "its return to be told")
        assert lab.crash_reports[1].brief.back_pid == lab.supervisor_pid
        app.crash("kill")
        assert _next(lab, 2).number == 3
    # Of a platform that is over, and of whom nothing was asked before.
    assert lab.crash_reports[2].full().brief.reason == "killed"


def test_without_a_store_reports_last_as_long_as_the_platform(tmp_path):
    (tmp_path / "file").touch()
    with Platform(APPS, store=tmp_path / "file" / "store.db", **OPTIONS) as lab:
        app = lab.launch("steward")
        app.crash("exit")
        report = _next(lab, 0)
        assert report.full().exit.code == 3
        assert report.full().picture is None
        app.wait_for("running", 30)
        app.crash("kill")
        other = _next(lab, 1)
    assert report.full().exit.code == 3
    with pytest.raises(LabError):
        other.full()
    assert "the evidence cannot be had" in str(other) and "killed" in other._repr_html_()
