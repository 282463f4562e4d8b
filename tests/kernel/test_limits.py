"""Limits on real apps, in every tier that this machine offers: who goes over one is gone, whole, and nobody else is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from types import SimpleNamespace

import pytest
from support.apps import APPS, AT_ONCE, NO_RESTART, make_app
from support.leaks import BURN, LEAK, Glutton
from support.ordinary_user import USER, ordinary_user
from support.processes import below, groups_without_a_platform, send, until
from support.tiers import unavailable

from labplatform import Heartbeat, ResourceLimits
from labplatform.errors import AppGone, LaunchError, LimitError, NotRunning
from labplatform.supervisor.limits import TIERS, cgroupfs
from labplatform.supervisor.limits.cgroup1 import CONTROLLERS, own_folder

MB = 1_000_000
PATIENT = Heartbeat(interval=0.5, silent_after=6, ended_after=20)
"""Long enough for a machine that is busy with other things; a neighbour that suffers is silent for longer."""


def _start(platform, *places, **options):
    if why := unavailable(options["limits"]):
        pytest.skip(why)
    return platform(*places, heartbeat=PATIENT, sampling=0.2, **options).start()


TIER_NAMES = [tier.name for tier in TIERS]
WITHOUT_A_SANDBOX = [f"{name} alone" for name in TIER_NAMES]


@pytest.fixture(params=TIER_NAMES)
def stage(request, platform, tmp_path):
    """An app that misbehaves when told, and a neighbour, in one tier. The neighbour must not notice anything."""
    glutton = Glutton(tmp_path)
    tier, _, alone = request.param.partition(" ")
    lab = _start(platform, tmp_path, APPS / "neighbour", limits=tier, boundary="off" if alone else "auto")
    neighbour, app = lab.launch("neighbour", timeout=60), lab.launch("glutton", timeout=60)
    until(lambda: app.usage.processes >= 4 and app.usage.memory > 50 * MB, 20, "a sample of it")
    yield SimpleNamespace(lab=lab, app=app, neighbour=neighbour, tell=glutton.tell, tier=tier)
    assert neighbour.evaluate_js("1 + 1", timeout=20) == 2
    assert (neighbour.state, neighbour.incarnation) == ("running", 1)
    assert not [entry for entry in neighbour.events if entry.kind in ("silent", "ended", "exceeded")]
    theirs = {process.pid for process in neighbour.processes}
    until(lambda: {one.pid for one in below(lab.supervisor_pid)} <= theirs, 10, f"the end of all but {theirs}")


def _gone(app, reason: str) -> None:
    until(lambda: app.state == "failed", 30, f"the end of {app}")
    assert app.reason == reason, app.detail
    exceeded = [entry for entry in app.events if entry.kind == "exceeded"]
    assert [entry.text.partition(":")[0] for entry in exceeded] == [reason] * len(exceeded)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_an_app_100_mb_above_its_baseline_that_fills_200_is_ended_within_five_seconds(stage):
    app = stage.app
    assert app.enforcement.tier == stage.tier
    limit = app.usage.memory + 100 * MB
    assert app.set_resource_limits(max_memory=limit).max_memory == limit
    assert app.limits.max_memory == limit
    began = time.time()
    with pytest.raises(AppGone, match="memory-limit"):
        app.evaluate_js(LEAK % (20, 1), timeout=30)
    _gone(app, "memory-limit")
    (ended,) = [entry for entry in app.events if entry.kind == "ended"]
    assert ended.time - began < 5
    assert f"{limit / MB:.0f} MB" in app.detail and stage.tier in app.detail
    until(lambda: stage.lab.crash_reports, 5, "its report")
    assert stage.lab.crash_reports[-1].reason == "memory-limit"


@pytest.mark.long
@pytest.mark.parametrize("work", ["python", "helper", "leaking_grandchild"])
def test_a_leak_anywhere_in_the_app_ends_it(stage, work):
    stage.app.set_resource_limits(max_memory=stage.app.usage.memory + 100 * MB)
    stage.tell(work)
    _gone(stage.app, "memory-limit")


@pytest.mark.long
def test_a_leak_at_full_speed_ends_its_app_alone(stage):
    stage.app.set_resource_limits(max_memory=stage.app.usage.memory + 60 * MB)
    with pytest.raises(AppGone, match="memory-limit"):
        stage.app.evaluate_js(
            "(() => { for (window.kept = [];;) kept.push(new Uint8Array(1e8).fill(1)) })()", timeout=30
        )
    _gone(stage.app, "memory-limit")


def test_a_limit_below_what_it_uses_ends_it_and_one_from_the_manifest_holds_from_the_start(platform, tmp_path):
    make_app(tmp_path, "held", resourceLimits={"maxMemory": "600MB", "maxCPU": 150}, restart=AT_ONCE)
    make_app(tmp_path, "greedy", python="kept = bytearray(b'x') * 300_000_000\ndef main(lab): lab.stopping.wait()\n")
    lab = _start(platform, tmp_path, limits="auto")
    app = lab.launch("held", timeout=60)
    assert app.limits == ResourceLimits(max_memory=600 * MB, max_cpu=150)
    until(lambda: app.usage.memory > 50 * MB, 20, "a sample of it")
    app.evaluate_js(LEAK % (15, 0), timeout=30)
    assert app.state == "running"
    began = time.time()
    app.set_resource_limits(max_memory=200 * MB)
    until(lambda: app.incarnation == 2, 20, "its end")
    (exceeded,) = [entry for entry in app.events if entry.kind == "exceeded"]
    assert exceeded.time - began < 1
    assert app.reason == "memory-limit"
    # It comes back, and what was set holds for what came back.
    app.wait_for("running", 60)
    assert app.limits == ResourceLimits(max_memory=200 * MB, max_cpu=150)
    with pytest.raises(LaunchError, match=r"greedy did not launch: .*200 MB") as failed:
        lab.launch("greedy", timeout=60, resource_limits=ResourceLimits(max_memory="200MB"))
    assert failed.value.detail["reason"] == "memory-limit"


def test_one_that_failed_at_its_limit_is_given_another_and_started_by_hand(platform, tmp_path):
    make_app(tmp_path, "held", restart=NO_RESTART)
    lab = _start(platform, tmp_path, limits="auto")
    app = lab.launch("held", timeout=60)
    until(lambda: app.usage.memory > 50 * MB, 20, "a sample of it")
    app.set_resource_limits(max_memory=app.usage.memory + 60 * MB)
    with pytest.raises(AppGone, match="memory-limit"):
        app.evaluate_js(LEAK % (100, 5), timeout=30)
    _gone(app, "memory-limit")
    assert app.set_resource_limits(max_memory="700MB").max_memory == 700 * MB
    app.restart(timeout=60)
    assert (app.state, app.limits.max_memory) == ("running", 700 * MB)
    app.evaluate_js(LEAK % (15, 0), timeout=30)


# --- told apart -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", TIER_NAMES)
def test_a_strangers_kill_and_v8s_own_limit_are_not_taken_for_the_memory_limit(platform, tier):
    lab = _start(platform, APPS, limits=tier)
    limits = ResourceLimits(max_memory="700MB", js_heap="64MiB")
    app = lab.launch("hello", timeout=60, resource_limits=limits)
    until(lambda: any(process.role == "renderer" for process in app.processes), 20, "its renderer")
    send(next(process.pid for process in app.processes if process.role == "renderer"), signal.SIGKILL)
    until(lambda: app.incarnation == 2, 30, "its end")
    assert app.reason == "killed", app.detail
    app.wait_for("running", 60)
    send(app.pid, signal.SIGKILL)
    until(lambda: app.incarnation == 3, 30, "its end")
    assert app.reason == "killed", app.detail
    app.wait_for("running", 60)
    app.crash("oom", timeout=60)
    assert app.reason == "oom", app.detail


IN_A_CONTAINER = f"""
import json, sys
from labplatform import LabError, Platform
with Platform({str(APPS)!r}, display="offscreen", limits=sys.argv[1]) as lab:
    app = lab.launch("hello", timeout=60)
    try:
        app.evaluate_js({LEAK % (60, 5)!r}, timeout=60)
    except LabError:
        pass
    print(json.dumps([app.reason, app.detail]))
"""


@pytest.mark.long
@pytest.mark.parametrize("tier", TIER_NAMES)
def test_the_machines_own_out_of_memory_killer_is_named(tier):
    """Here it is a container's: memory runs out for all of the platform, and nobody has a limit of its own."""
    own = own_folder("memory")
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("a container of the test's own needs a writable cgroup v1 of memory")
    if why := unavailable(tier):
        pytest.skip(why)
    group = own / f"lab-test-{uuid.uuid4().hex}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(600 << 20))
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), sys.executable, "-c"]
        done = subprocess.run([*enter, IN_A_CONTAINER, tier], capture_output=True, text=True, timeout=100)
        reason, detail = json.loads(done.stdout.splitlines()[-1])
        assert reason == "memory-eviction", detail
        assert "ran out of memory" in detail
    finally:
        assert cgroupfs.remove(group)


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_fork_bomb_is_ended_with_all_that_it_forked(stage):
    stage.app.set_resource_limits(max_processes=60)
    stage.tell("bomb")
    _gone(stage.app, "process-limit")


@pytest.mark.long
def test_what_a_bomb_of_two_hundred_forked_goes_with_its_app(stage):
    stage.tell("bomb")
    until(lambda: len(below(stage.lab.supervisor_pid)) > 200, 60, "200 processes")
    stage.app.kill()
    assert stage.app.state == "stopped"


@pytest.mark.long
@pytest.mark.parametrize("how", ["kill", "abort", "stop"])
@pytest.mark.parametrize("stage", [*TIER_NAMES, *WITHOUT_A_SANDBOX], indirect=True)
def test_a_grandchild_that_left_session_parent_files_and_environment_is_the_apps(stage, how):
    stage.tell("grandchild")
    until(lambda: _left(stage.app), 20, "the grandchild to be seen as the app's")
    if how == "stop":
        stage.app.stop(timeout=10)
    else:
        stage.app.crash(how)
    until(lambda: stage.app.state in ("failed", "stopped"), 20, "its end")


def _left(app) -> list[int]:
    """Which of an app's processes are the one that did all it could to leave it."""
    left = []
    for process in app.processes:
        try:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                if b"os.setsid()" in file.read():
                    left.append(process.pid)
        except OSError:
            continue
    return left


# --- CPU --------------------------------------------------------------------------------------------------------------


def test_who_wants_more_cpu_than_its_limit_waits_and_is_neither_killed_nor_taken_for_hung(stage):
    app = stage.app
    app.set_resource_limits(max_cpu=8)
    assert app.evaluate_js(BURN, timeout=30) == 2
    until(lambda: app.usage.throttled > 20, 60, "it to be throttled")
    began, used = time.monotonic(), _used(app)
    until(lambda: time.monotonic() - began > 3, 10, "three seconds")
    share = 100 * (_used(app) - used) / (time.monotonic() - began)
    assert share < 8 * 1.15 + 3
    assert app.evaluate_js("2 + 2", timeout=30) == 4
    assert (app.state, app.incarnation) == ("running", 1)
    assert not [entry for entry in app.events if entry.kind in ("silent", "ended")]
    app.set_resource_limits(max_cpu=None)
    assert app.limits.max_cpu is None
    app.kill()


def test_a_page_that_hangs_is_found_out_under_a_cpu_limit_too(platform, tmp_path):
    make_app(tmp_path, "hangs", resourceLimits={"maxCPU": 40}, restart=AT_ONCE)
    beat = Heartbeat(interval=0.2, silent_after=5, ended_after=10)
    lab = platform(tmp_path, limits="auto", heartbeat=beat)
    app = lab.launch("hangs", timeout=60)
    app.crash("hang", timeout=60)
    until(lambda: app.incarnation == 2, 60, "its end")
    assert app.reason == "unresponsive"


def _used(app) -> float:
    """Seconds of CPU of all its processes."""
    used = 0.0
    for process in app.processes:
        try:
            used += time.clock_gettime((~process.pid << 3) | 2)
        except OSError:
            continue
    return used


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_cannot_be_had_is_refused_with_the_reason_and_what_held_holds(platform, tmp_path):
    make_app(tmp_path, "roommate", startup_app={"processAffinity": "desk", "resourceLimits": {"maxMemory": "500MB"}})
    make_app(tmp_path, "written", resourceLimits={"maxMemory": "900GB", "maxCPU": 100_000, "maxProcesses": 50})
    lab = _start(platform, tmp_path, APPS, limits="auto")
    app = lab.launch("hello", timeout=60, resource_limits=ResourceLimits(max_memory="600MB", max_cpu=150))
    held = app.limits
    for wrong in ("lots", "", "0", 0, -1, True, 2.5, "1e9", "10 apples"):
        with pytest.raises(ValueError, match="max_memory: expected a size"):
            app.set_resource_limits(max_memory=wrong)
    for wrong in (0, -5, "50", float("nan"), float("inf"), True):
        with pytest.raises(ValueError, match="max_cpu: expected a number"):
            app.set_resource_limits(max_cpu=wrong)
    for wrong in (0, -1, 2.5, "many"):
        with pytest.raises(ValueError, match="max_processes: expected a number"):
            app.set_resource_limits(max_processes=wrong)
    with pytest.raises(ValueError, match="64 MiB to 4 GiB"):
        app.set_resource_limits(js_heap="1MB")
    with pytest.raises(ValueError, match="max_memory"):
        ResourceLimits(max_memory="lots")
    with pytest.raises(LimitError, match=r"hello: max_memory 20 MB is too little: an empty app needs \d+ MB") as low:
        app.set_resource_limits(max_memory="20MB")
    assert 30 * MB < low.value.detail["least"] < 200 * MB
    with pytest.raises(LimitError, match=r"more than this (machine|container) has, which is") as high:
        app.set_resource_limits(max_memory="900TB")
    assert high.value.detail["most"] <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with pytest.raises(LimitError, match="cores"):
        app.set_resource_limits(max_memory="700MB", max_cpu=100 * (os.cpu_count() + 1))
    with pytest.raises(LimitError, match="is too few"):
        app.set_resource_limits(max_processes=2)
    assert (app.limits, app.state) == (held, "running")
    with pytest.raises(LimitError, match="20 MB is too little"):
        lab.launch("neighbour", resource_limits=ResourceLimits(max_memory="20MB"))
    with pytest.raises(TypeError, match="ResourceLimits"):
        lab.launch("neighbour", resource_limits={"max_memory": "500MB"})

    # One field at a time; what is not named stays, and `None` lifts.
    now = ResourceLimits(max_memory=600 * MB, max_cpu=150, max_processes=50)
    assert app.set_resource_limits(max_processes=50) == now == app.limits
    app.set_resource_limits(max_memory=None, max_cpu=None)
    assert app.limits == ResourceLimits(max_processes=50)

    # A manifest written for another machine starts all the same, and says what does not hold.
    written = lab.launch("written", timeout=60)
    assert written.limits == ResourceLimits(max_processes=50)
    said = [entry.text for entry in written.events if entry.kind == "limits"]
    assert len(said) == 2 and all("does not hold" in text for text in said)

    roommate = lab.launch("roommate", timeout=60)
    assert (roommate.enforcement.tier, app.enforcement.tier) == ("off", lab.enforcement.tier)
    assert "limits hold for" in roommate.enforcement.why[0]
    with pytest.raises(LimitError, match="roommate: it shares its process with the apps of processAffinity 'desk'"):
        roommate.set_resource_limits(max_memory="600MB")

    app.stop()
    with pytest.raises(NotRunning, match="hello is stopped; launch it again with the limits"):
        app.set_resource_limits(max_memory="700MB")
    assert app.limits == ResourceLimits(max_processes=50)


def test_in_one_process_for_all_there_are_no_limits_and_that_is_said(platform, tmp_path):
    make_app(tmp_path, "held", resourceLimits={"maxMemory": "120MB"}, page="<script>k = []</script>")
    lab = platform(tmp_path, isolation="shared-process")
    with pytest.raises(LimitError, match="share one process"):
        lab.launch("held", resource_limits=ResourceLimits(max_memory="500MB"))
    app = lab.launch("held", timeout=60)
    assert app.enforcement.tier == "off"
    assert any("do not hold" in entry.text for entry in app.events if entry.kind == "limits")
    assert app.evaluate_js(LEAK % (15, 0), timeout=30) == 15
    assert app.state == "running"


def test_limits_can_be_off(platform, tmp_path):
    make_app(tmp_path, "held", resourceLimits={"maxMemory": "120MB"})
    lab = platform(tmp_path, limits="off")
    assert lab.enforcement.tier == "off"
    app = lab.launch("held", timeout=60)
    with pytest.raises(LimitError, match="limits are off"):
        app.set_resource_limits(max_cpu=50)
    with pytest.raises(ValueError, match="limits is one of"):
        platform(tmp_path, limits="some")


def test_the_heap_of_one_app_is_set_for_its_next_process(platform, tmp_path):
    make_app(tmp_path, "small", resourceLimits={"jsHeap": "64MiB"}, restart=AT_ONCE)
    lab = platform(tmp_path)
    app = lab.launch("small", timeout=60)
    limit = "performance.memory.jsHeapSizeLimit"
    small = app.evaluate_js(limit, timeout=20)
    app.set_resource_limits(js_heap="512MiB")
    assert app.evaluate_js(limit, timeout=20) == small
    app.restart(timeout=60)
    assert app.evaluate_js(limit, timeout=20) > 3 * small


# --- who dies with whom -----------------------------------------------------------------------------------------------


def test_nothing_stays_behind_when_the_supervisor_is_killed_while_it_holds_apps(platform, tmp_path):
    """No process, stopped or frozen ones included, and no control group: the guardian sees to both."""
    make_app(tmp_path, "held", resourceLimits={"maxMemory": "600MB", "maxCPU": 20})
    for tier in TIERS:
        if unavailable(tier.name):
            continue
        lab = platform(tmp_path, limits=tier.name).start()
        app = lab.launch("held", timeout=90)
        app.evaluate_js(BURN, timeout=60)
        until(lambda app=app: app.usage.throttled > 5, 60, "it to be throttled")
        held = set(below(lab.supervisor_pid))
        before = groups_without_a_platform()
        send(lab.supervisor_pid, signal.SIGKILL)
        until(lambda held=held: not held & set(below()), 20, "the end of its apps")
        until(lambda before=before: groups_without_a_platform() <= before, 20, "the end of its groups")


@contextlib.contextmanager
def _given(user):
    """A group of version 1 in each hierarchy that takes, which belongs to somebody."""
    made = []
    try:
        for controller in CONTROLLERS:
            own = own_folder(controller)
            if own is None or not os.access(own, os.W_OK):
                pytest.skip(f"nobody can be given a group of version 1 with {controller} here")
            made.append(own / f"lab-test-{uuid.uuid4().hex}")
            made[-1].mkdir()
            for path in (made[-1], *made[-1].iterdir()):
                os.chown(path, user, user)
        yield made
    finally:
        left = [group for group in made if not cgroupfs.remove(group)]
        assert not left


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("given", ["nothing", "groups of version 1"])
def test_all_of_this_as_an_ordinary_user(nothing_left, tmp_path_factory, given):
    """The same tests, with Chromium's sandbox on, by somebody who may make no control groups but in given ones."""
    with contextlib.ExitStack() as stack:
        user = stack.enter_context(ordinary_user(tmp_path_factory))
        if not user.other:
            pytest.skip("this is an ordinary user already")
        groups = stack.enter_context(_given(USER)) if given != "nothing" else []
        chosen, tier = ("not ordinary_user", "watchdog") if not groups else ("cgroup-v1 or written", "cgroup-v1")
        root = str(APPS.parents[1])
        tiers = [f"tests/supervisor/test_limits_{which}.py" for which in ("tiers", "each_tier")]
        tests = ["tests/kernel/test_limits.py", *tiers]
        options = ["-p", "no:cacheprovider", "--basetemp", str(user.home / "tests"), "-m", "long or not long"]
        done = user.run("-m", "pytest", "-q", *options, "-k", chosen, *tests, seconds=1100, cwd=root, groups=groups)
        assert done.returncode == 0, done.stdout[-8000:]
        assert " passed" in done.stdout and tier not in done.stdout.rpartition("short test summary")[2]
