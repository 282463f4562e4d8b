"""Figures of running apps, as a notebook sees them: whose they are, how old, and what sharing makes of them."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.apps import APPS
from support.processes import until

BUSY = "const end = performance.now() + {ms}; while (performance.now() < end);"
FILL = "window.kept = Array.from({{length: {mb}}}, () => Array.from({{length: 131072}}, Math.random)); 1"


def test_every_process_is_told_with_its_role_and_the_machine_s_pid(platform):
    with platform(sampling=0.2) as lab:
        app = lab.launch("hello")
        until(lambda: {one.role for one in app.processes} >= {"host", "renderer", "zygote"}, 10, "all roles")
        root = psutil.Process(app.pid)
        while root.ppid() != lab.supervisor_pid:
            root = root.parent()
        tree = [root, *root.children(recursive=True)]
        assert app.processes[0].pid == app.pid
        assert {(one.pid, round(one.created)) for one in app.processes} == {
            (one.pid, round(one.create_time())) for one in tree
        }
        until(lambda: app.metrics and app.metrics.pss_age is not None, 30, "PSS of every process")
        measured = app.metrics
        assert measured.uss <= measured.pss <= measured.rss
        assert measured.processes == len(tree)
        assert measured.pss_age < 60
        assert lab.metrics.supervisor.pid == lab.supervisor_pid
        assert lab.metrics.apps_memory == pytest.approx(measured.memory, rel=0.3)
        assert lab.metrics.capacity.memory_left <= psutil.virtual_memory().total


def test_what_a_page_fills_and_how_late_it_is_show_in_its_own_figures(platform):
    with platform(sampling=0.2) as lab:
        app, other = lab.launch("hello"), lab.launch("hello")
        until(
            lambda: app.metrics and app.metrics.js_heap and other.metrics and other.metrics.js_heap,
            10,
            "heaps of both pages",
        )
        empty = app.metrics.js_heap
        app.evaluate_js(FILL.format(mb=60), timeout=30)
        until(lambda: app.metrics.js_heap > empty + 50e6, 10, "a fuller heap")
        assert app.metrics.js_heap < app.metrics.js_heap_limit < 2 << 30
        assert app.metrics.memory > other.metrics.memory + 50e6
        app.evaluate_js(BUSY.format(ms=400))
        until(lambda: np.nanmax(app.history()["page_lag"]) > 0.3, 10, "a lag of 0.4 s")
        history = app.history(seconds=60)
        assert np.nanmax(history["js_heap"]) > empty + 50e6
        assert set(history["incarnation"]) == {1}
        assert np.all(np.diff(history["at"]) > 0)


@pytest.mark.parametrize("isolation", ["process", "shared-renderer"])
def test_lag_is_shared_where_the_renderer_is(platform, isolation):
    with platform(isolation=isolation, sampling=0.2) as lab:
        guilty, other = lab.launch("hello"), lab.launch("neighbour")
        until(lambda: other.metrics and other.metrics.page_lag is not None, 10, "a first lag")
        since = other.metrics.at
        guilty.evaluate_js(BUSY.format(ms=700))
        until(lambda: np.nanmax(guilty.history()["page_lag"]) > 0.6, 10, "the guilty page's lag")
        shared = isolation == "shared-renderer"
        if shared:
            until(lambda: np.nanmax(other.history()["page_lag"]) > 0.6, 10, "the neighbour's lag")
        else:
            until(lambda: other.metrics.at > since + 1.5, 10, "two more pings")
            history = other.history()
            assert np.nanmax(history["page_lag"][history["at"] > since]) < 0.5


def test_history_goes_on_over_a_crash_and_makes_tables(platform):
    with platform(sampling=0.2) as lab:
        app = lab.launch("hello")
        first = app.pid
        until(lambda: app.metrics is not None, 10, "a first sample")
        app.crash("kill")
        app.wait_for("running", 20)
        until(lambda: app.metrics is not None and app.metrics.processes > 1, 10, "a sample of the new process")
        history = app.history()
        assert set(history["incarnation"]) == {1, 2}
        assert {one.pid for one in history.by_process if one.role == "host"} == {first, app.pid}
        table, rows = history.table(), history.process_table()
        assert len({len(column) for column in table.values()}) == 1
        assert len({len(column) for column in rows.values()}) == 1
        assert table["at"].dtype.kind == rows["created"].dtype.kind == "M"
        assert rows["memory"][rows["pid"] == first].max() > 10e6
        app.stop()
        assert app.metrics is None
        assert len(app.history()["at"]) >= len(history["at"])


def test_a_place_nobody_had_has_an_empty_history(platform):
    with platform(sampling=10) as lab:
        app = lab.launch("hello")
        history = app.history()
        assert repr(history) == "<History: 0 samples, 0 processes>"
        assert set(history.process_table()) == {"pid", "created", "role"}


@pytest.mark.parametrize("sampling", [0, 0.05, 11, -1])
def test_a_sampling_that_cannot_be(platform, sampling):
    with pytest.raises(ValueError, match=r"sampling is 0\.1 to 10 seconds"):
        platform(sampling=sampling)


IN_A_CONTAINER = """
import json, sys
from labplatform import Platform
with Platform(sys.argv[1], display="offscreen") as lab:
    app = lab.launch("hello")
    said = [entry.text for entry in lab.events if entry.kind == "capacity"]
    print(json.dumps({"said": said, "container": lab.metrics.capacity.container if lab.metrics else None}))
"""


@pytest.mark.skipif(not os.access("/sys/fs/cgroup/memory", os.W_OK), reason="needs a writable cgroup v1 of memory")
def test_a_launch_that_may_be_one_too_many_for_the_container_is_announced():
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.split(":", 2)[2] for line in lines if ":memory:" in line)
    group = Path("/sys/fs/cgroup/memory") / own.lstrip("/") / f"lab-test-{uuid.uuid4().hex}"
    group.mkdir()
    try:
        # Enough for it to run, and less than the usual need beside what has to stay free.
        (group / "memory.limit_in_bytes").write_text(str(520 << 20))
        # Some of it is taken, so that what is left is less than an app takes.
        hold = f"held = bytearray(b'1') * ({335 << 20}); {IN_A_CONTAINER}"
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), sys.executable, "-c"]
        done = subprocess.run([*enter, hold, str(APPS)], capture_output=True, text=True, timeout=100)
        said = json.loads(done.stdout.splitlines()[-1])["said"]
        assert "this container has" in said[0], done
        assert "hello will take some" in said[0]
        assert "labplatform: this container has" in done.stderr
    finally:
        group.rmdir()
