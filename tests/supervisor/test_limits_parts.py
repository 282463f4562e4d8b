"""The parts of the limits that need no tier: CPU as a budget, memory as headroom, processes as they are forked."""

from __future__ import annotations

import itertools
import os
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.processes import send, until

from labplatform.capacity import Capacity
from labplatform.errors import LimitError
from labplatform.manifest import ResourceLimits
from labplatform.supervisor import linux
from labplatform.supervisor.limits import cgroupfs, headroom, members
from labplatform.supervisor.limits.budget import MOST_DEBT, PERIOD, Budget
from labplatform.supervisor.limits.headroom import Cheap, Headroom
from labplatform.supervisor.limits.kernelgroup import LEAST_QUOTA, LONGEST_PERIOD, quota
from labplatform.supervisor.limits.members import Members
from labplatform.supervisor.limits.tier import Needs
from labplatform.supervisor.limits.wanted import PROCESSES_OF_A_PAGE, Judge, Lately, in_words

MB = 1_000_000


# --- CPU --------------------------------------------------------------------------------------------------------------


def _let_run(percent: float, cores: float, seconds: float, late: float = 0.0) -> tuple[float, Budget]:
    """An app that takes all it gets, on a machine whose looks come `late`; the percent of a core that it got."""
    budget, now, used = Budget(percent, 0.0, 0.0), 0.0, 0.0
    while now < seconds:
        pause = budget.look(now, used) + late
        used += 0.0 if budget.stopped else pause * cores
        now += pause
    return 100 * used / now, budget


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 90, 150])
@pytest.mark.parametrize("cores", [1, 2])
def test_a_busy_app_gets_its_share_and_no_more(percent, cores):
    got, budget = _let_run(percent, cores, 20)
    assert got == pytest.approx(min(percent, 100 * cores), rel=0.03, abs=0.5)
    assert (budget.times_stopped > 20) == (percent < 100 * cores)


@pytest.mark.parametrize("late", [0.005, 0.02])
def test_looks_that_come_late_are_made_up_for(late):
    got, _ = _let_run(25, 1, 20, late)
    assert got == pytest.approx(25, abs=2)


def test_an_app_below_its_limit_is_never_stopped():
    budget = Budget(50, 0.0, 0.0)
    for step in range(1, 1000):
        budget.look(step * 0.05, step * 0.05 * 0.4)
        assert not budget.stopped
    assert budget.times_stopped == 0


def test_a_burst_is_not_paid_for_longer_than_about_a_second():
    budget = Budget(10, 0.0, 0.0)
    budget.look(0.05, 0.0)
    waits = budget.look(1.0, 2.0)
    assert budget.stopped
    assert waits <= MOST_DEBT + PERIOD


def test_a_change_holds_at_once():
    budget = Budget(100, 0.0, 0.0)
    budget.change(10)
    assert budget.percent == 10
    used, now = 0.0, 0.0
    while now < 10:
        pause = budget.look(now, used)
        used += 0 if budget.stopped else pause
        now += pause
    assert 100 * used / now == pytest.approx(10, abs=1)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.5, 400),
    st.lists(st.tuples(st.floats(0, 0.2), st.floats(0, 4)), min_size=1, max_size=60),
)
def test_no_story_gives_more_than_the_limit_for_long_or_waits_for_ever(percent, story):
    budget, now, used = Budget(percent, 0.0, 0.0), 0.0, 0.0
    for late, cores in story:
        pause = budget.look(now, used)
        assert 0 <= pause <= MOST_DEBT + PERIOD + 1e-9
        now += pause + late
        used += 0 if budget.stopped else (pause + late) * cores


@pytest.mark.parametrize("percent", [0.2, 0.5, 1, 25, 50, 200, 1600])
def test_the_kernels_quota_is_that_share_within_its_bounds(percent):
    period, share = quota(percent)
    assert share >= LEAST_QUOTA
    assert period <= LONGEST_PERIOD
    assert 100 * share / period == pytest.approx(percent, rel=0.01)
    assert quota(None)[1] == -1


# --- memory -----------------------------------------------------------------------------------------------------------


def test_files_and_what_forks_share_are_counted_exactly_before_anybody_is_accused():
    room = Headroom(100 * MB)
    # 300 MB of files: they may be shared memory, for all that the cheap figure tells.
    assert room.doubtful(Cheap(20 * MB, 300 * MB))
    assert not room.counted(15 * MB, Cheap(20 * MB, 300 * MB))
    assert (room.last, room.peak) == (15 * MB, 15 * MB)
    assert not room.doubtful(Cheap(60 * MB, 300 * MB))
    assert not room.doubtful(Cheap(20 * MB, 380 * MB))
    assert room.doubtful(Cheap(110 * MB, 300 * MB))
    assert room.doubtful(Cheap(20 * MB, 390 * MB))
    assert room.counted(101 * MB, Cheap(110 * MB, 300 * MB))


def test_what_is_dropped_gives_no_room_for_what_comes_instead():
    room = Headroom(100 * MB)
    room.counted(50 * MB, Cheap(50 * MB, 400 * MB))
    assert not room.doubtful(Cheap(50 * MB, 100 * MB))
    assert not room.doubtful(Cheap(90 * MB, 100 * MB))
    # 300 MB of files are gone, and 60 MB came of which nobody knows what they are.
    assert room.doubtful(Cheap(90 * MB, 120 * MB))


def test_the_closer_and_the_faster_the_sooner_the_next_look():
    still = Headroom(400 * MB)
    still.counted(100 * MB, Cheap(100 * MB, 0))
    assert still.next_look(0.0, Cheap(100 * MB, 0)) == headroom.PERIOD
    assert still.next_look(0.05, Cheap(100 * MB, 0)) == headroom.PERIOD
    near = Headroom(101 * MB)
    near.counted(100 * MB, Cheap(100 * MB, 0))
    assert headroom.SOONEST_STILL <= near.next_look(0.0, Cheap(100 * MB, 0)) < headroom.PERIOD / 3
    grows = [still.next_look(0.1 + step * 0.05, Cheap((100 + 50 * step) * MB, 0)) for step in range(1, 6)]
    assert grows == sorted(grows, reverse=True)
    assert grows[-1] < 0.03
    assert still.next_look(0.36, Cheap(399 * MB, 0)) < 0.005


@pytest.mark.parametrize("pace", [0.1e9, 0.7e9, 3e9])
@pytest.mark.parametrize("room", [5 * MB, 60 * MB, 150 * MB, 900 * MB])
@pytest.mark.parametrize("begins", [0.0, 0.4, 0.99])
def test_a_leak_at_full_speed_overshoots_by_less_than_promised(pace, room, begins):
    """`begins`: how long after a look, as a share of the pause, it begins."""
    start = 100 * MB
    watched = Headroom(start + room)
    watched.counted(start, Cheap(start, 0))
    pause = watched.next_look(0.0, Cheap(start, 0))
    began, now = pause * begins, 0.0
    while True:
        now += pause
        size = int(start + max(0.0, now - began) * pace)
        cheap = Cheap(size, 0)
        if watched.doubtful(cheap):
            assert watched.counted(size, cheap)
            break
        pause = watched.next_look(now, cheap)
    assert size - watched.limit <= 50 * MB


# --- processes --------------------------------------------------------------------------------------------------------


def test_memory_and_cpu_of_members_are_those_of_their_processes(spawned):
    code = """
import sys, time
kept = bytearray(b"x") * 50_000_000
end = time.process_time() + 0.3
while time.process_time() < end: pass
print(time.process_time(), flush=True)
sys.stdin.readline()
del kept
print("freed", flush=True)
sys.stdin.read()
"""
    process = spawned(code)
    watched = Members(process.pid)
    used = float(process.stdout.readline())
    assert watched.look() == []
    assert watched.cpu() == pytest.approx(used, abs=0.05)
    assert 50 * MB < watched.memory().private < 70 * MB
    assert watched.exact() == pytest.approx(watched.memory().private, rel=0.1)
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    watched.look()
    assert watched.memory().private < 30 * MB
    process.kill()
    process.wait()
    assert watched.look() == [process.pid]
    assert watched.memory() == Cheap(0, 0)
    watched.close()


def test_cpu_of_children_counts_once_while_they_live_and_when_they_are_gone(spawned):
    code = """
import subprocess, sys
burn = "import time\\nend = time.process_time() + 0.4\\nwhile time.process_time() < end: pass"
for ignored in range(2):
    waits = burn + "\\nimport sys; print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-S", "-c", waits],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid, flush=True)
    sys.stdin.readline()
    child.communicate()
    print("waited", flush=True)
    sys.stdin.readline()
"""
    process = spawned(code)
    watched = Members(process.pid)
    readings = [0.0]
    for number in range(1, 3):
        child = int(process.stdout.readline())
        watched.add([child])
        watched.parent(process.pid)
        watched.look()
        readings.append(watched.cpu())
        assert 0.4 * number <= readings[-1] < 0.4 * number + 0.4
        _answer(process)
        watched.look()
        watched.cpu()
        watched.look()
        readings.append(watched.cpu())
        assert readings[-1] == pytest.approx(readings[-2], abs=0.1)
        process.stdin.write("\n")
        process.stdin.flush()
    # Sums of fractions, added up in another order once a child has gone.
    assert all(after > before - 1e-6 for before, after in itertools.pairwise(readings)), readings
    watched.close()


def _answer(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()


def test_cpu_of_a_child_that_nobody_waits_for_is_not_given_back(spawned):
    code = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = os.fork()
if child == 0:
    end = time.process_time() + 0.4
    while time.process_time() < end: pass
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    os._exit(0)
time.sleep(600)
"""
    process = spawned(code)
    watched = Members(process.pid)
    child = int(process.stdout.readline())
    watched.add([child])
    watched.parent(process.pid)
    watched.look()
    before = watched.cpu()
    assert before >= 0.4
    process.stdin.write("\n")
    process.stdin.flush()
    until(lambda: not os.path.exists(f"/proc/{child}"), 10, "the child's end")
    for _ in range(3):
        watched.look()
        after = watched.cpu()
    assert before <= after < before + 0.2
    watched.close()


def test_memory_is_not_read_again_of_who_did_not_run(spawned, monkeypatch):
    process = spawned("import sys; print(1, flush=True); sys.stdin.read()")
    process.stdout.readline()
    time.sleep(0.1)
    watched = Members(process.pid)
    watched.look()
    first = watched.memory()
    monkeypatch.setattr(members, "_pread", lambda descriptor: pytest.fail("it was read again"))
    watched.look()
    assert watched.memory() == first
    watched.close()


def test_exactly_counted_forks_share_what_they_have_in_common(spawned):
    code = """
import os, sys, time
kept = bytearray(b"x") * 60_000_000
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    children.append(pid)
print(*children, flush=True)
sys.stdin.read()
"""
    process = spawned(code)
    children = list(map(int, process.stdout.readline().split()))
    watched = Members(process.pid)
    watched.add(children)
    watched.look()
    try:
        assert watched.memory().private > 240 * MB
        assert 60 * MB < watched.exact() < 100 * MB
    finally:
        for child in children:
            send(child, 9)
        watched.close()


def test_the_machines_kills_are_read():
    text = linux.read("/proc/vmstat").decode()
    assert linux.oom_kills() == int(text.split("\noom_kill ")[1].split()[0])


# --- what may be asked for --------------------------------------------------------------------------------------------

MACHINE = Capacity(memory=8_000 * MB, memory_left=4_000 * MB, cores=2)


@pytest.mark.parametrize(
    ("limits", "name", "words", "figures"),
    [
        ({"max_memory": 50 * MB}, "max_memory", "50 MB is too little: an empty app needs 90 MB", {"least": 90 * MB}),
        ({"max_memory": 9_000 * MB}, "max_memory", "more than this machine has", {"most": 8_000 * MB}),
        ({"max_cpu": 250}, "max_cpu", "2 cores", {"most": 200}),
        ({"max_processes": 3}, "max_processes", "an app with a page has 4", {"least": PROCESSES_OF_A_PAGE}),
    ],
)
def test_a_limit_that_cannot_be_had_is_refused_with_the_figure(limits, name, words, figures):
    judge = Judge(Needs(page=90 * MB, service=10 * MB))
    with pytest.raises(LimitError, match=words) as refused:
        judge.check("app", ResourceLimits(**limits), True, MACHINE)
    assert refused.value.detail == {"app": "app", "limit": name} | figures
    possible, problems = judge.possible(ResourceLimits(**{"max_processes": 40} | limits), True, MACHINE)
    assert getattr(possible, name) is None and len(problems) == 1
    assert possible.max_processes == (None if name == "max_processes" else 40)


def test_a_container_is_called_so():
    container = Capacity(memory=500 * MB, memory_left=400 * MB, cores=1, container=("memory",))
    with pytest.raises(LimitError, match="more than this container has, which is 500 MB"):
        Judge(Needs(1, 1)).check("app", ResourceLimits(max_memory=600 * MB), True, container)


def test_what_an_app_was_seen_to_need_less_is_not_refused():
    judge = Judge(Needs(page=90 * MB, service=10 * MB))
    limits = ResourceLimits(max_memory=60 * MB)
    judge.saw(True, 400 * MB)
    assert list(judge.problems(limits, True, MACHINE))
    judge.saw(False, 5 * MB)
    assert list(judge.problems(limits, True, MACHINE))
    judge.saw(True, 60 * MB)
    assert not list(judge.problems(limits, True, MACHINE))


def test_what_an_app_has_while_it_dies_is_not_what_it_needs():
    lately = Lately(2.0)
    assert [lately.most(at / 2, 1, 100) for at in range(6)] == [None] * 4 + [100] * 2
    # Its renderer has gone, and then the rest.
    assert [lately.most(3.0 + at / 2, 1, had) for at, had in enumerate((40, 10, 2))] == [100] * 3
    assert [lately.most(5.0 + at / 2, 2, 90) for at in range(5)] == [None] * 4 + [90], "another incarnation"
    assert [lately.most(10.0 * at, 3, 90 - at) for at in range(3)] == [None, 90, 89], "read seldom"


def test_limits_in_words():
    assert in_words(ResourceLimits()) == "nothing is limited"
    said = in_words(ResourceLimits(max_memory="350MB", max_cpu=12.5, max_processes=20, js_heap="64MiB"))
    assert said.startswith("memory 350 MB, CPU 12.5 % of a core, 20 processes, JavaScript heap 67 MB")


def test_a_table_of_a_control_group_tells_what_it_is_asked_for():
    table = cgroupfs.Table("cache 5\nrss 70\ntotal_rss 700\nshmem -3\nunder_oom\nlast 9")
    assert [table.get(name) for name in ("cache", "rss", "total_rss", "shmem", "last")] == [5, 70, 700, -3, 9]
    assert [table.get(name) for name in ("ss", "total", "nothing")] == [0, 0, 0]
    assert table.get("nothing", 4) == 4 and cgroupfs.Table("").get("cache") == 0
