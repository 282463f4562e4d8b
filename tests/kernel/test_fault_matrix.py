"""Every way to break an app, in every placement: what its end is called, whom it takes along, and that all come back.

One platform for each placement, on which the faults follow one another.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from support import x11
from support.apps import APPS, PLACEMENTS, QUICK, make_app
from support.leaks import LEAK
from support.processes import Ground, runs, state_of, until

from labplatform import Platform
from labplatform.errors import AppGone, BadRequest, LaunchError, LimitError

REASONS = {
    "abort": ("crashed", "its process died of SIGABRT"),
    "segfault": ("crashed", "its process died of SIGSEGV"),
    "kill": ("killed", "its process was killed by SIGKILL"),
    "exit": ("abnormal-exit", "its process ended with exit code 3"),
    "renderer": ("crashed", "its renderer died of SIGSEGV"),
    "renderer-kill": ("killed", "its renderer was killed by SIGKILL"),
    "oom": ("oom", "its page ran out of JavaScript heap"),
    "hang": ("unresponsive", "its page left 12 pings in a row unanswered"),
    "hang-gui": ("unresponsive", "its GUI thread left 12 pings in a row unanswered"),
    "freeze": ("unresponsive", "its GUI thread left 12 pings in a row unanswered"),
}
IN_THE_PAGE = ("renderer", "renderer-kill", "oom", "hang")
"""Faults that strike a renderer; the others end the host process."""
OPTIONS = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK}


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """In place of the proof after each test: a platform that goes on has a new process after each fault."""


@pytest.fixture(scope="module", params=PLACEMENTS)
def stage(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """An app to be broken and a neighbour, in one placement. `reaches(how)`: whether a fault strikes both."""
    isolation = request.param
    with Platform(APPS, isolation=isolation, js_heap="64MiB", **OPTIONS) as lab:
        app, other = lab.launch_all("hello", "neighbour")

        def reaches(how: str) -> bool:
            return isolation == "shared-renderer" or (isolation == "shared-process" and how not in IN_THE_PAGE)

        yield SimpleNamespace(isolation=isolation, lab=lab, app=app, other=other, reaches=reaches)


def _since(app, began: float, *kinds: str) -> list:
    return [entry for entry in app.events if entry.time >= began and entry.kind in kinds]


@pytest.mark.parametrize("how", REASONS)
def test_a_fault_ends_what_it_names_and_no_more(stage, how):
    app, other, reached = stage.app, stage.other, stage.reaches(how)
    reason, words = REASONS[how]
    before = {one: (one.incarnation, one.instance_id, one.pid, one.restarts) for one in (app, other)}
    assert (app.pid == other.pid) is (stage.isolation != "process")
    host, began = app.pid, time.time()

    app.crash(how)

    struck = (app, other) if reached else (app,)
    for one in struck:
        incarnation, instance_id, _, restarts = before[one]
        until(lambda one=one, former=incarnation: one.incarnation > former, 30, f"the end of {one.name}")
        one.wait_for("running", 30)
        assert (one.incarnation, one.restarts) == (incarnation + 1, restarts + 1)
        assert one.instance_id != instance_id
        assert one.reason == reason, one.detail
        assert [entry.state for entry in _since(one, began, "ended")] == ["crashed"]
        assert bool(_since(one, began, "silent")) is (reason == "unresponsive")
        # It is whole again: its page has its agent, and that speaks for the new instance.
        assert one.evaluate_js("fdc3.getInfo().then((info) => info.appMetadata.instanceId)", 10) == one.instance_id
    assert app.detail.startswith(words)
    if reached and how in ("hang", "hang-gui", "freeze"):
        assert other.detail == f"the {'renderer' if how == 'hang' else 'process'} it shares with hello hung"
    elif reached:
        assert other.detail.startswith(words)
    else:
        assert (other.incarnation, other.instance_id, other.pid, other.restarts) == before[other]
        assert _since(other, began, "silent", "ended") == []
        assert other.evaluate_js("3 + 3", timeout=10) == 6
    # A shared host outlives what happens to a page in it; in all other cases the process is a new one.
    same_host = stage.isolation != "process" and how in IN_THE_PAGE
    for one in struck:
        assert (one.placement.isolation, one.placement.pid) == (stage.isolation, one.pid)
        assert one.former_renderer not in (None, one.renderer)
        assert same_host or one.former_pid == before[one][2]
    assert (app.pid == host) is same_host
    assert runs(host) is same_host
    assert state_of(host) != "T"


def test_a_launch_that_fails_is_the_end_of_nobody_else(stage, tmp_path):
    began, before = time.time(), stage.other.incarnation
    home = make_app(tmp_path, "empty", page=None, startup_app={"url": "nothing.html"})
    with pytest.raises(LaunchError, match=r"nothing\.html does not exist in") as failed:
        stage.lab.launch(home)
    assert failed.value.detail["reason"] == "launch-failed"
    assert [app.name for app in stage.lab.apps] == ["hello", "neighbour"]
    assert stage.other.evaluate_js("1 + 1", timeout=10) == 2
    assert stage.other.incarnation == before
    assert _since(stage.other, began, "silent", "ended") == []


def test_a_page_that_closes_its_window_ends_well_and_stays_away(stage):
    began, before = time.time(), stage.other.incarnation
    stage.app.evaluate_js("setTimeout(() => window.close(), 0); 0", timeout=10)
    stage.app.wait_for("stopped", 20)
    assert (stage.app.reason, stage.app.detail) == ("clean-exit", "its page closed the window")
    assert stage.other.evaluate_js("1 + 1", timeout=10) == 2
    assert stage.other.incarnation == before
    assert _since(stage.other, began, "silent", "ended") == []
    stage.app.restart()


def test_who_goes_over_its_memory_limit_is_ended_alone_and_where_limits_cannot_hold_this_is_said(stage):
    app, other, began = stage.app, stage.other, time.time()
    if stage.isolation != "process":
        with pytest.raises(LimitError, match="share one process"):
            app.set_resource_limits(max_memory="400MB")
        return
    before = app.incarnation
    until(lambda: app.usage.memory > 50_000_000, 20, "a sample of it")
    app.set_resource_limits(max_memory=app.usage.memory + 60_000_000)
    with pytest.raises(AppGone, match="memory-limit"):
        app.evaluate_js(LEAK % (100, 5), timeout=30)
    until(lambda: app.incarnation > before, 30, "its end")
    assert app.reason == "memory-limit", app.detail
    app.wait_for("running", 30)
    app.set_resource_limits(max_memory=None)
    assert _since(other, began, "silent", "ended") == []


@pytest.mark.parametrize("isolation", PLACEMENTS)
def test_a_window_that_a_person_closes_ends_well_and_stays_away(monkeypatch, isolation):
    options = OPTIONS | {"display": "auto"}
    with x11.display() as screen:
        monkeypatch.setenv("DISPLAY", screen)
        with Platform(APPS, isolation=isolation, **options) as lab:
            app, other = lab.launch_all("hello", "neighbour")

            def window():
                return next((one for one in x11.windows(screen) if one.title.startswith("Hello") and one.mapped), None)

            x11.close(screen, until(window, 20, "its window"))
            app.wait_for("stopped", 20)
            assert (app.reason, app.detail) == ("clean-exit", "its window was closed")
            assert other.evaluate_js("1 + 1", timeout=10) == 2
            assert (other.incarnation, other.state) == (1, "running")


# --- without a page ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service():
    with Platform(APPS, **OPTIONS) as lab:
        yield lab.launch("steward")


WITHOUT_A_PAGE = {"renderer": ("crashed", "SIGSEGV"), "hang": REASONS["hang-gui"]}


@pytest.mark.parametrize("how", [how for how in REASONS if how not in ("renderer-kill", "oom")])
def test_a_service_without_a_window_breaks_and_comes_back(service, how):
    before = service.incarnation
    service.crash(how)
    until(lambda: service.incarnation > before, 30, "its end")
    service.wait_for("running", 30)
    reason, words = WITHOUT_A_PAGE.get(how, REASONS[how])
    assert service.incarnation == before + 1
    assert service.reason == reason
    assert words in service.detail


@pytest.mark.parametrize(("how", "words"), [("oom", "no JavaScript heap"), ("renderer-kill", "no renderer to kill")])
def test_a_service_has_neither_heap_nor_renderer(service, how, words):
    before = service.incarnation
    with pytest.raises(BadRequest, match=f"steward has no page, so it has {words}"):
        service.crash(how)
    assert (service.state, service.incarnation) == ("running", before)


# --- limits and hangs -------------------------------------------------------------------------------------------------


BURNS = "window.burner = new Worker(URL.createObjectURL(new Blob(['for (;;) {}']))); 0"
"""A busy thread in its renderer; the page itself answers."""


@pytest.mark.parametrize("tier", ["watchdog", pytest.param("auto", marks=pytest.mark.long)])
def test_who_is_frozen_is_not_excused_by_a_cpu_limit_that_its_renderer_uses_up(tier):
    """Silence counts a tenth where an app had to wait for its limit: seven pings would take 14 seconds, and not 1.4. A
    lower limit would not let the fault strike: the watchdog keeps the app stopped itself then, nearly all of the time.
    """
    with Platform(APPS, limits=tier, **OPTIONS) as lab:
        app = lab.launch("hello")
        app.evaluate_js(BURNS, timeout=30)
        began = app.usage.throttled
        app.set_resource_limits(max_cpu=10)
        until(lambda: app.usage.throttled > began, 20, "its first wait for its limit")
        app.crash("freeze", timeout=60)
        fault, silent = (next(e for e in app.events if e.kind == kind) for kind in ("fault", "silent"))
        assert silent.time - fault.time < 12
        app.set_resource_limits(max_cpu=None)
        until(lambda: app.incarnation == 2, 30, "its end")
        assert app.reason == "unresponsive"
        assert "GUI thread" in app.detail
