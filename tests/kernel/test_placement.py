"""Where one launch runs, whatever the platform's own isolation: kept by restarts of the app and of the platform."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apps import APPS, AT_ONCE, QUICK, make_app
from support.processes import Ground, send, until

from labplatform import Platform, ResourceLimits
from labplatform.errors import BadRequest, LimitError

OPTIONS = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK}


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """In place of the proof after each test: the platform goes on."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two apps of one `processAffinity`, and one whose storage is to last."""
    folder = tmp_path_factory.mktemp("apps")
    for name in ("desk", "blotter"):
        make_app(folder, name, startup_app={"processAffinity": "trading"}, restart=AT_ONCE)
    make_app(folder, "diary", storage="persistent", restart=AT_ONCE)
    return folder


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[Platform]:
    with Platform(APPS, folder, **OPTIONS) as lab:
        yield lab


def test_each_launch_runs_where_it_is_wanted(lab):
    own, affine = lab.launch("hello"), lab.launch("desk")
    both = [lab.launch("hello", placement="shared-process") for _ in range(2)]
    one = lab.launch_all("hello", "neighbour", placement="shared-renderer")
    alone = lab.launch("blotter", placement="process", resource_limits=ResourceLimits(max_processes=90))
    assert [app.placement.isolation for app in (own, affine, *both, *one, alone)] == [
        *("process", "shared-renderer", "shared-process", "shared-process"),
        *("shared-renderer", "shared-renderer", "process"),
    ]
    assert len({own.pid, affine.pid, both[0].pid, one[0].pid, alone.pid}) == 5
    assert both[0].pid == both[1].pid and both[0].renderer != both[1].renderer
    assert one[0].pid == one[1].pid and one[0].renderer == one[1].renderer
    assert both[0].shared_with == (both[1].name,) and alone.shared_with == ()
    assert both[0].evaluate_js("lab.placement") == "shared process"

    assert alone.limits.max_processes == 90 and alone.enforcement.tier != "off"
    assert both[0].enforcement.tier == "off"
    with pytest.raises(LimitError, match=r"process that apps share \(shared-process\)"):
        both[0].set_resource_limits(max_cpu=50)
    with pytest.raises(LimitError, match="launch it without limits"):
        lab.launch("hello", placement="shared-renderer", resource_limits=ResourceLimits(max_cpu=50))
    with pytest.raises(BadRequest, match="its process is shared"):
        both[0].recycle()
    with pytest.raises(ValueError, match="placement is one of process, shared-process, shared-renderer; not 'alone'"):
        lab.launch("hello", placement="alone")
    with pytest.raises(TypeError, match="resource_limits"):
        lab.launch_all("hello", resource_limits={"max_cpu": 50})
    assert len(lab.apps) == 7


def test_it_stays_there_when_it_is_started_again(lab):
    there = {app.name: app.placement.isolation for app in lab}
    shared, other = (app for app in lab if app.placement.isolation == "shared-process")
    shared.restart()
    assert shared.pid == other.pid and shared.placement.isolation == "shared-process"
    lab["blotter"].crash("kill")
    lab["blotter"].wait_for("running")
    assert (lab["blotter"].placement.isolation, lab["blotter"].shared_with) == ("process", ())
    lab["neighbour"].stop()

    send(lab.supervisor_pid, signal.SIGKILL)
    until(lambda: lab.state == "lost", 10, "the platform to be lost")
    lab.restart()
    assert {app.name: app.placement.isolation for app in lab} == there
    assert shared.pid == other.pid != lab["hello"].pid
    assert lab["blotter"].shared_with == () and lab["blotter"].limits.max_processes == 90
    assert lab["neighbour"].state == "stopped"
    lab.kill_all()


def test_no_two_processes_have_one_profile(lab):
    keep = "localStorage.setItem('kept', %d), localStorage.getItem('kept')"
    stays, diary = (lab.launch(app, placement="shared-process") for app in ("hello", "diary"))
    assert diary.evaluate_js(keep % 1) == "1"
    diary.stop()
    # The shared process lives on, and has the diary's own profile open still.
    again = lab.launch("diary")
    assert again is diary and diary.pid != stays.pid
    assert diary.evaluate_js("localStorage.getItem('kept')") is None
    assert any("holds this app's persistent storage still" in entry.text for entry in diary.events)
    stays.kill()
    diary.stop()
    diary = lab.launch("diary")
    assert diary.evaluate_js("localStorage.getItem('kept')") == "1"


def test_all_are_killed_at_once_and_the_platform_goes_on(lab):
    up = [app for app in lab if app.state == "running"]
    assert len(up) == 1
    up += lab.launch_all("hello", "neighbour")
    assert set(lab.kill_all()) == set(up)
    assert {(app.state, app.pid) for app in lab} == {("stopped", None)}
    assert lab.kill_all() == [] and lab.state == "running"
    assert lab.launch("hello").state == "running"


def test_on_a_shared_platform_one_can_be_apart(folder):
    with Platform(APPS, folder, isolation="shared-process", **OPTIONS) as lab:
        first, apart = lab.launch("hello"), lab.launch("neighbour", placement="process")
        same = lab.launch("desk", placement="shared-process")
        assert (first.placement.isolation, apart.placement.isolation) == ("shared-process", "process")
        assert first.pid == same.pid != apart.pid
        assert apart.set_resource_limits(max_cpu=50).max_cpu == 50
        first.crash("kill")
        assert apart.incarnation == 1
