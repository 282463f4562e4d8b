"""Chaos on real apps: every fault noticed and mended, nothing left behind, and what comes of it when it is cut off."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import holdings
from support.apps import AT_ONCE, QUICK, make_app
from support.processes import Ground, until

from labplatform import Platform
from labplatform.errors import UnknownApp
from labplatform.scenarios.chaos import FAULTS, ChaosReport

PAGE = """<!doctype html><meta charset=utf-8><title>page</title><h1>page</h1><script>
    const told = (async () => {
        await fdc3.joinUserChannel("fdc3.channel.3");
        if (await lab.getState() === null) await lab.saveState({ made: lab.incarnation });
    })();
</script>"""
"""Joins a channel, and keeps a state that its successors do not make again."""
SERVICE = "def main(lab):\n    lab.stopping.wait()\n"
OPTIONS = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK, "js_heap": "64MiB"}
GROWTH = 5 << 20
"""Bytes by which the supervisor's memory may grow."""
FILLED = 16 << 20
"""The same, while what it keeps of ten minutes begins to be there: figures of each process, log, pages of the store."""
POOLS = 10
"""Threads by which its pools may grow: they begin one where all are busy, up to a bound."""


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """In place of the proof after each test: the platforms go on."""


def _folder(home: Path, pages: int, services: int) -> Path:
    for number in range(pages):
        # Of some the policy has had enough after a while.
        policy = AT_ONCE if number % 3 else {"maxRestarts": 3, "withinSeconds": 60, "backoff": 0.01}
        make_app(home, f"page-{number}", page=PAGE, restart=policy)
    for number in range(services):
        make_app(home, f"service-{number}", page=None, python=SERVICE, restart=AT_ONCE)
    return home


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("apps")
    with Platform(_folder(home, 2, 1), sampling=0.3, **OPTIONS) as lab:
        yield _up(lab)


def _up(lab: Platform) -> Platform:
    """All of them, pages and service."""
    lab.launch_all(*lab.manifests)
    for app in lab.apps:
        if app.url:
            app.evaluate_js("told", timeout=20)
    return lab


def _held(lab: Platform) -> holdings.Holdings:
    """What it holds at rest: what ends is let go of a moment later, what is sampled is opened with the next sample."""
    seen: list[holdings.Holdings] = []

    def settled() -> bool:
        seen.append(holdings.of(lab))
        last = [_countable(one) for one in seen[-10:]]
        return len(last) == 10 and all(one == last[0] for one in last) and not last[0].strays

    try:
        until(settled, 20, "the platform to come to rest")
    except AssertionError:
        raise AssertionError(f"it does not come to rest: {seen[-1]}") from None
    return seen[-1]._replace(memory=min(one.memory for one in seen[-10:]))


def _countable(held: holdings.Holdings) -> holdings.Holdings:
    """What is to be the same again, to the last one."""
    return held._replace(memory=0, threads=Counter())


def _is_as_before(lab: Platform, before: holdings.Holdings) -> None:
    after = _held(lab)
    assert _countable(after) == _countable(before)
    assert after.threads.total() - before.threads.total() <= POOLS
    assert after.memory - before.memory < GROWTH


def _is_whole(lab: Platform, report: ChaosReport, before: holdings.Holdings) -> None:
    """Every fault was noticed and mended, and the platform holds what it held before."""
    assert [row.problem for row in report if not row.mended] == []
    assert report.mended
    assert not [row for row in report if row.state is False or row.channel is False], report
    assert not [row.along for row in report if row.along], report
    assert {app.state for app in lab} == {"running"}
    _is_as_before(lab, before)


def test_a_few_faults_and_nothing_is_left_of_them(lab):
    own, named = holdings.descriptors(os.getpid()), threading.active_count()
    before = _held(lab)
    report = lab.chaos(seed=2, duration=1, count=6, at_once=2, quiet=True)
    _is_whole(lab, report, before)
    assert len({row.fault for row in report}) == 6
    assert (holdings.descriptors(os.getpid()), threading.active_count()) == (own, named)
    assert all(row.gap is not None and row.neighbour != row.app for row in report)
    kept = [row for row in report if row.app.startswith("page")]
    assert kept and all(row.state and row.channel for row in kept if row.fault != "slow")
    assert [(one.fault, one.app) for one in report.planned] == sorted(
        ((row.fault, row.app) for row in report), key=[(one.fault, one.app) for one in report.planned].index
    )


def test_an_interrupt_returns_what_was_done_and_undoes_the_rest(lab, capfd):
    main = threading.main_thread().ident

    def interrupt(change: Any) -> None:
        signal.pthread_kill(main, signal.SIGINT)

    app = lab["page-1"]
    before = _held(lab)
    app.observe(interrupt, "state")
    try:
        report = lab.chaos(seed=1, duration=2, count=5, apps=[app], faults=["memory-limit"])
    finally:
        app.unobserve_all()
    assert report.interrupted and not report.mended and len(report) < 5
    assert report.summary.endswith("It was interrupted.")
    app.wait_for("running", 30)
    until(lambda: app.limits.max_memory is None, 10, "its limit to be lifted")
    _is_as_before(lab, before)
    said = capfd.readouterr()
    assert (said.out + said.err).count("memory-limit of page-1") >= 5


@pytest.mark.long
def test_what_does_not_come_back_in_time_is_an_entry(lab):
    app = lab["page-1"]
    report = lab.chaos(seed=1, duration=1, count=1, apps=["page-1"], faults=["freeze"], timeout=0.3, quiet=True)
    (row,) = report
    assert not report.mended and row.noticed is None and row.back is None
    assert "not noticed within 0.3 s" in row.problem or "waited 0.3 s" in row.problem
    until(lambda: app.reason == "unresponsive", 30, "its end")
    app.wait_for("running", 30)


@pytest.mark.long
def test_whoever_the_policy_gives_up_is_started_by_hand(lab):
    app = lab["page-0"]
    report = lab.chaos(seed=1, duration=0.1, count=4, apps=[app], faults=["kill"], quiet=True)
    assert report.mended
    assert [row.by_hand for row in report].count(True) >= 1
    assert "failed" in {entry.state for entry in app.events}


def test_the_supervisor_is_struck_and_the_platform_goes_on(lab):
    report = lab.chaos(seed=1, duration=1, count=1, faults=["supervisor"], quiet=True)
    (row,) = report
    assert (row.fault, row.app, row.by_hand, row.state) == ("supervisor", "", True, True)
    assert report.mended, row
    assert set(row.along) == {app.name for app in lab}
    assert {app.state for app in lab} == {"running"}


def test_what_makes_no_sense_is_refused(lab):
    for wrong, words in (
        ({"faults": ["explode"]}, "no fault is called 'explode'"),
        ({"faults": ["slow"], "apps": ["service-0"]}, "none of these apps can suffer any of these faults"),
        ({"apps": []}, "no app to strike"),
        ({"duration": 0}, "duration and timeout are seconds"),
        ({"count": 0}, "count and at_once are 1 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            lab.chaos(**wrong)
    with pytest.raises(UnknownApp):
        lab.chaos(apps=["nobody"])


@pytest.mark.long
@pytest.mark.parametrize("isolation", ["shared-process", "shared-renderer"])
def test_a_shared_placement_takes_neighbours_along(tmp_path, isolation):
    with Platform(_folder(tmp_path, 2, 0), isolation=isolation, sampling=0.3, **OPTIONS) as lab:
        _up(lab)
        report = lab.chaos(seed=1, duration=1, count=2, apps=["page-1"], faults=["renderer", "abort"], quiet=True)
        assert report.mended, report
        along = {row.fault: row.along for row in report}
        assert along["abort"] == ("page-0",)
        assert along["renderer"] == (() if isolation == "shared-process" else ("page-0",))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_five_hundred_faults_leave_nothing_behind(tmp_path):
    """On six apps, two broken at a time. What it keeps of the last ten minutes grows with the first half; with the
    second its memory is flat, and everything else is as it was in the beginning.
    """
    shared = holdings.shared_memory()
    with Platform(_folder(tmp_path, 5, 1), sampling=0.5, **OPTIONS) as lab:
        _up(lab)
        before = _held(lab)
        first = lab.chaos(seed=500, duration=30, count=250, at_once=2)
        half = _held(lab)
        print(f"memory {before.memory / 1e6:.1f} MB, after half of them {half.memory / 1e6:.1f} MB")
        assert _countable(half) == _countable(before) and half.memory - before.memory < FILLED
        second = lab.chaos(seed=501, duration=30, count=250, at_once=2)
        _is_whole(lab, first, before._replace(memory=half.memory))
        _is_whole(lab, second, before._replace(memory=half.memory))
        print(f"after all of them {_held(lab).memory / 1e6:.1f} MB")
        assert {row.fault for row in (*first, *second)} == set(FAULTS) - {"supervisor"}
    # Chromium unlinks a file as soon as it has made it, unless it is killed in between.
    assert len(holdings.shared_memory() - shared) < 20
