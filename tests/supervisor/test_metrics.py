"""Figures: read off real processes, measured in turn, put together, kept for ten minutes."""

import mmap
import os
import subprocess
import sys
import time

import psutil
import pytest
from support.processes import until

from labplatform.messages import ProcessInfo
from labplatform.supervisor import history, linux, proportional
from labplatform.supervisor.figures import PageFigures, app_metrics
from labplatform.supervisor.health import Pulse
from labplatform.supervisor.history import History, Series
from labplatform.supervisor.metrics import Known, Sampler
from labplatform.supervisor.proportional import InTurn, measure

# Fills 40 MB, keeps a core busy until its input ends, and has a child.
FILLS = """
import os, subprocess, sys, threading
block = bytearray(os.urandom(1 << 20)) * 40
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(child.pid, flush=True)
while True: pass
"""


@pytest.fixture
def busy():
    command = [sys.executable, "-c", FILLS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        yield process, child
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def sampler():
    sampler = Sampler(0.1, dict, lambda sample: None)
    yield sampler
    sampler.stop()


def test_a_tree_is_read_as_psutil_sees_it(busy, sampler):
    process, child = busy
    trees = {process.pid: Known(process.pid)}
    sampler.read(trees)
    began, used = time.monotonic(), sum(psutil.Process(process.pid).cpu_times()[:2])
    time.sleep(0.5)
    root, below = sampler.read(trees).trees[process.pid]
    share = 100 * (sum(psutil.Process(process.pid).cpu_times()[:2]) - used) / (time.monotonic() - began)
    seen = psutil.Process(process.pid)
    assert (root.pid, root.role, below.pid, below.role) == (process.pid, "host", child, "helper")
    assert root.created == pytest.approx(seen.create_time(), abs=0.02)
    assert root.rss == pytest.approx(seen.memory_info().rss, rel=0.02)
    assert root.memory == pytest.approx(seen.memory_info().rss - seen.memory_info().shared, rel=0.02)
    assert root.memory > 40 << 20 > below.memory
    assert root.threads == seen.num_threads()
    assert root.cpu == pytest.approx(share, abs=15)


def test_what_the_machine_does_is_what_psutil_says_of_it(busy, sampler):
    sampler.read({})
    began, before = time.monotonic(), psutil.cpu_times()
    time.sleep(0.5)
    seen, seconds, after = sampler.read({}).machine_cpu, time.monotonic() - began, psutil.cpu_times()
    parts = ("user", "nice", "system", "irq", "softirq")
    used = sum(getattr(after, name) - getattr(before, name) for name in parts)
    # One of the processes here is busy without end.
    assert seen > 20
    assert seen == pytest.approx(100 * used / seconds, abs=15)


def test_what_has_gone_and_what_is_new_shows_within_a_second(busy, sampler):
    process, child = busy
    trees = {process.pid: Known(process.pid)}
    assert len(sampler.read(trees).trees[process.pid]) == 2
    psutil.Process(child).kill()
    deadline = time.monotonic() + 5
    while len(sampler.read(trees).trees[process.pid]) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sampler.read({}).trees == {}
    assert sampler._processes == {}


def test_a_renderer_that_is_told_of_is_read_at_once(sampler):
    words = ["sh", "-c", "read go; sleep 60 & echo $!; wait"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        sampler.read({shell.pid: Known(shell.pid)})
        shell.stdin.write("go\n")
        shell.stdin.flush()
        renderer = int(shell.stdout.readline())
        try:
            rows = sampler.read({shell.pid: Known(shell.pid, frozenset({renderer}))}).trees[shell.pid]
            assert [(row.pid, row.role) for row in rows] == [(shell.pid, "host"), (renderer, "renderer")]
        finally:
            psutil.Process(renderer).kill()


def test_what_comes_is_found_without_listing_the_trees_again(spawned, sampler, monkeypatch):
    code = """
import subprocess, sys
again = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"
for line in sys.stdin:
    child = subprocess.Popen([sys.executable, "-c", again], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(child.pid, child.stdout.readline().strip(), flush=True)
"""
    root = spawned(code)
    trees = {root.pid: Known(root.pid)}
    sampler.read(trees)
    listed, list_tree = [], linux.tree
    monkeypatch.setattr(linux, "tree", lambda pid: listed.append(pid) or list_tree(pid))
    root.stdin.write("go\n")
    root.stdin.flush()
    child, grandchild = map(int, root.stdout.readline().split())
    try:
        seen = lambda: [row.pid for row in sampler.read(trees).trees[root.pid]]  # noqa: E731
        until(lambda: set(seen()) == {root.pid, child, grandchild}, 5, "both of them")
        assert len(seen()) == 3
        busy = len(listed)  # 0, unless very many processes have come on this machine meanwhile
        assert busy <= 1
    finally:
        psutil.Process(grandchild).kill()
    until(lambda: set(seen()) == {root.pid, child}, 5, "one to be gone")


def test_no_descriptor_is_left(busy):
    before = len(os.listdir("/proc/self/fd"))
    sampler = Sampler(0.1, dict, lambda sample: None)
    sampler.read({busy[0].pid: Known(busy[0].pid), os.getpid(): Known(os.getpid())})
    assert len(os.listdir("/proc/self/fd")) > before
    sampler.stop()
    assert len(os.listdir("/proc/self/fd")) == before


def test_pss_and_uss_tell_shared_from_own():
    size = 32 << 20
    before = measure(os.getpid())
    with mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as shared:
        for at in range(0, size, mmap.PAGESIZE):
            shared[at] = 1
        pid = os.fork()
        if pid == 0:
            for at in range(0, size, mmap.PAGESIZE):
                shared[at] = 2
            os.kill(os.getpid(), 19)  # SIGSTOP, until it is killed
            os._exit(0)
        try:
            os.waitpid(pid, os.WUNTRACED)
            after = measure(os.getpid())
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    # Two processes share it: each counts a half of it, and neither has it for itself.
    assert after.uss - before.uss < size / 4
    assert after.pss < before.pss + 0.75 * size


def test_nothing_is_known_of_a_process_that_is_gone():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert measure(gone.pid)[:2] == (None, None)


def test_the_oldest_figure_is_renewed_first_and_no_more_than_the_share_allows(monkeypatch):
    read = []
    monkeypatch.setattr(
        proportional, "measure", lambda pid: read.append(pid) or proportional.Proportional(1, 1, len(read))
    )
    spent = iter(range(10_000))
    monkeypatch.setattr(proportional.time, "thread_time", lambda: next(spent) * 0.001)
    clock = [0.0]
    monkeypatch.setattr(proportional.time, "monotonic", lambda: clock[0])
    turn = InTurn(share=0.002)
    keys = {(pid, 0) for pid in range(1, 5)}
    for _ in range(20):
        clock[0] += 1.0
        turn.read(keys)
    # 2 ms for each second, a millisecond a reading.
    assert len(read) == pytest.approx(40, abs=1)
    assert all(sorted(read[i : i + 4]) == [1, 2, 3, 4] for i in range(0, 36, 4))
    turn.read({(1, 0)})
    assert set(turn.latest) == {(1, 0)}


def _row(pid, **more):
    return ProcessInfo(pid=pid, created=1.0, role="host", memory=10, cpu=5.0, rss=20, threads=2, **more)


def test_an_app_s_pss_is_told_once_all_of_its_processes_were_read():
    part = (_row(1, pss=5, uss=4, measured=90.0), _row(2))
    whole = (_row(1, pss=5, uss=4, measured=90.0), _row(2, pss=6, uss=1, measured=97.0))
    made = [app_metrics(100.0, 0.0, rows, PageFigures(), None, Pulse()) for rows in (part, whole)]
    assert (made[0].pss, made[0].uss, made[0].pss_age) == (None, None, None)
    assert (made[1].pss, made[1].uss, made[1].pss_age) == (11, 5, 10.0)
    assert (made[1].memory, made[1].rss, made[1].cpu, made[1].threads, made[1].processes) == (20, 40, 10.0, 4, 2)
    assert made[1].page_lag is made[1].lag is None


def test_lag_is_what_the_page_said_or_how_long_it_is_silent():
    page, pulse, gui = PageFigures(), Pulse(), Pulse()
    lag = lambda now: app_metrics(0.0, now, (), page, pulse, gui)  # noqa: E731
    pulse.sent(1, 10.0)
    gui.sent(1, 10.0)
    pulse.answered(1, 10.002)
    gui.answered(1, 10.001)
    assert (lag(10.5).page_lag, lag(10.5).gui_lag) == (pytest.approx(0.002), pytest.approx(0.001))
    page.take(0.25, 1000, 2000)
    page.take(0.01, 1000, 2000)
    assert (lag(10.5).lag, lag(10.6).lag) == (0.25, 0.25)
    page.take(0.002, 1000, 2000)
    assert lag(10.7).page_lag == 0.002
    page.take(0.25, 1000, 2000)
    assert (lag(10.5).lag, lag(10.5).js_heap, lag(10.5).js_heap_limit) == (0.25, 1000, 2000)
    pulse.sent(2, 11.0)
    pulse.sent(3, 12.0)
    assert lag(12.5).page_lag == pytest.approx(1.5)
    pulse.answered(2, 12.6)
    assert lag(12.7).page_lag == pytest.approx(0.7)
    pulse.answered(3, 12.8)
    page.take(0.9, None, None)
    assert lag(13.0).page_lag == 0.9
    pulse.sent(4, 13.0)
    pulse.excuse()
    assert lag(99.0).page_lag == 0.9
    page.take(None, None, None)
    assert lag(99.0).page_lag == pytest.approx(0.8), "a hidden page: what its answers took"


def test_rows_that_are_too_old_or_too_many_go(monkeypatch):
    monkeypatch.setattr(history, "MOST_ROWS", 3000)
    series = Series(("at", "memory"))
    for at in range(10_000):
        series.add(float(at), None if at % 2 else at)
        assert len(series) < 3000 + 1002
    kept = list(series.between(-1)["at"])
    assert kept == [float(at) for at in range(10_000 - int(history.KEPT_SECONDS) - 1, 10_000)]
    assert series.oldest == kept[0]
    at, memory = series.between(9997.0).values()
    assert (list(at), memory[0]) == ([9998.0, 9999.0], 9998.0) and memory[1] != memory[1]
    assert list(series.between(9995.0, 9998.0)["at"]) == [9996.0, 9997.0, 9998.0]
    assert list(series.between(9995.0, most=2)["at"]) == [9996.0, 9997.0]
    assert series.values(("memory",), 9995.0, 9998.0) == [9996.0, 9998.0]
    for step in range(4000):
        series.add(10_000 + step / 100, 1.0)
    assert len(series.between(0)["at"]) == 3000
    with pytest.raises(ValueError, match="a row has 2 columns, not 1"):
        series.add(20_000.0)


def test_processes_that_ended_are_kept_as_long_as_their_figures(monkeypatch):
    monkeypatch.setattr(history, "MOST_PROCESSES", 3)
    kept = History()
    metrics = lambda at: app_metrics(at, 0.0, (), PageFigures(), None, Pulse())  # noqa: E731
    kept.add(metrics(0.0), 1, (_row(1), _row(2)))
    kept.add(metrics(100.0), 2, (_row(3),))
    pids = lambda after, most=None: {pid for (pid, _, _), _ in kept.past(after, most).processes}  # noqa: E731
    assert pids(-1.0) == {1, 2, 3}
    assert pids(50.0) == {3}
    assert pids(-1.0, 1) == {1, 2}
    assert kept.recall(-1.0).columns["incarnation"] == (1.0, 2.0)
    assert kept.recall(-1.0).columns["pss"] == (None, None)
    kept.add(metrics(650.0), 2, (_row(3),))
    assert pids(-1.0) == {3}
    for pid in range(10, 20):
        kept.add(metrics(651.0 + pid), 2, (_row(pid),))
    assert len(kept.processes) == 3
