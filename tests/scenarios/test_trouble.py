"""Scenarios with the apps that misbehave: what they report, against what really happened; and the plots of it."""

from __future__ import annotations

import gzip
import time

import numpy as np
import psutil
import pytest

from labplatform import Heartbeat
from labplatform.errors import LabTimeout
from labplatform.kernel.widgets import library
from labplatform.resources import manifests_folder
from labplatform.scenarios import cpu_used, felt, leaking, plots, spinning, until_back
from labplatform.scenarios.plots import apart


@pytest.fixture
def lab(platform):
    with platform(manifests_folder(), sampling=0.2, heartbeat=Heartbeat()) as lab:
        yield lab


def test_a_leak_is_in_the_process_it_was_meant_for_and_ends_its_app_alone(lab):
    # Two of them: each page speaks to its own Python side.
    leaky, other = lab.launch("leaky"), lab.launch("leaky")
    began = time.time()
    roles = {where: leaking.leak(leaky, where, "40MB") for where in ("page", "python", "helper")}
    assert roles == {"page": "renderer", "python": "host", "helper": "helper"}
    assert "helper" not in leaking.by_role(other)
    assert leaking.by_role(leaky)["helper"] > leaking.SEEN * 40e6
    helper = next(process.pid for process in leaky.processes if process.role == "helper")
    with pytest.raises(LabTimeout, match="a process of leaky to grow by 2000000000 bytes"):
        leaking.leak(leaky, "page", "2GB", timeout=0.5)

    leaky.recycle()
    assert leaky.state == "running" and not psutil.pid_exists(helper)
    leaky.set_resource_limits(max_memory="300MB")
    # Its fresh Python side is another one than that of before, and is heard.
    leaking.leak_until(leaky, "python", lambda: leaky.incarnation > 2)
    assert until_back(leaky, 2) is leaky
    assert leaky.reason == "memory-limit"
    with pytest.raises(LabTimeout, match=r"leaky to run again after incarnation 9; it is running, in incarnation 3"):
        until_back(leaky, 9, timeout=0.1)

    assert felt(leaky, began).lost and not felt(leaky, began).unharmed
    beside = felt(other, began)
    assert beside.unharmed and not beside.stalls and 0 < beside.page_lag < beside.worst < 5

    # A line has a gap where a process ended, and so many of them.
    line = plots._line(leaky, "memory", 1e-6, 600)
    assert np.isnan(line.values).sum() == 2
    figure = plots.memory(leaky, other, limits={"limit": "300MB"})
    assert "leaky-2" in figure.words and set(figure.items) == {"light", "dark"}
    assert "limit, 300 MB" in str(figure.items["dark"]) and "leaky: memory-limit" in str(figure.items["dark"])
    assert "leaky recycled" in str(figure.items["light"])
    assert repr(figure) == "Figure('Memory')"
    assert f"host {leaky.pid}" in plots.processes(leaky).words
    # The script comes from the installed Bokeh, when a page asks; and from nowhere else.
    assert len(gzip.decompress(library.packed())) > 100_000 and "src=" not in str(figure.items)


def test_who_spins_takes_a_core_until_the_block_ends(lab):
    hog, other = lab.launch("cpu-hog"), lab.launch("cpu-hog")
    for where in ("worker", "python"):
        with spinning(hog, where):
            assert cpu_used(hog, 1.5) > 30
            assert cpu_used(other, 0.5) < 30
    with spinning(hog, "page"):
        time.sleep(1.2)
        began = time.time()
        time.sleep(2.5)
        assert felt(hog, began).page_lag > 0.3
        assert felt(other, began).page_lag < 0.3
        hog.crash("kill")
    until_back(hog, 1)
    assert cpu_used(hog, 1.0) < 30


def test_names_of_lines_do_not_cover_one_another():
    places = apart([100.0, 101.0, 10.0, 99.0], 120.0)
    row = min(np.diff(sorted(places)))
    assert places[2] == 10.0 and places[3] == 99.0
    assert places[1] > places[0] > places[3] and row > 5
