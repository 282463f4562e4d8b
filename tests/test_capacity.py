"""What the machine and its container have: files of both versions of control groups, as the kernel writes them."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from labplatform import capacity as module
from labplatform.capacity import capacity


def test_this_machine():
    found = capacity()
    assert 0 < found.memory_left <= found.memory <= psutil.virtual_memory().total
    assert 0 < found.cores <= len(os.sched_getaffinity(0))


def _layout(monkeypatch, root, own, files):
    """Control groups below `root`, and this process in the group that `own` (a `/proc/self/cgroup`) says."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    own_file = root / "own"
    own_file.write_text(own)
    monkeypatch.setattr(module, "CGROUPS", root)
    monkeypatch.setattr(module, "OWN_GROUPS", str(own_file))


V2 = {
    "cgroup.controllers": "cpu memory\n",
    "a/memory.max": "500000000\n",
    "a/memory.current": "300000000\n",
    "a/memory.stat": "anon 1\ninactive_file 100000000\n",
    "a/cpu.max": "50000 100000\n",
    "a/b/memory.max": "max\n",
    "a/b/cpu.max": "max 100000\n",
}
V1 = {
    "memory/a/memory.limit_in_bytes": "500000000\n",
    "memory/a/memory.usage_in_bytes": "300000000\n",
    "memory/a/memory.stat": "total_inactive_file 100000000\n",
    "memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
    "cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n",
    "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
    "cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n",
    "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
}


@pytest.mark.parametrize(
    ("own", "files"),
    [("0::/a/b\n", V2), ("4:memory:/a/b\n3:cpu,cpuacct:/a/b\n", V1)],
    ids=["version 2", "version 1"],
)
def test_a_container_s_limits_are_found_in_an_outer_group(monkeypatch, tmp_path, own, files):
    _layout(monkeypatch, tmp_path, own, files)
    found = capacity()
    assert (found.memory, found.memory_left, found.cores) == (500_000_000, 300_000_000, 0.5)
    assert found.container == ("memory", "cpu")


def test_files_that_make_no_sense_limit_nothing(monkeypatch, tmp_path):
    junk = {"cgroup.controllers": "", "a/memory.max": "", "a/cpu.max": "x", "a/memory.stat": "inactive_file"}
    _layout(monkeypatch, tmp_path, "0::/a\n", junk)
    assert capacity().container == ()


@pytest.mark.skipif(not os.access("/sys/fs/cgroup/memory", os.W_OK), reason="needs a writable cgroup v1 of memory")
def test_a_real_limit_of_version_1():
    own = next(
        line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line
    )
    group = Path("/sys/fs/cgroup/memory") / own.lstrip("/") / f"lab-test-{uuid.uuid4().hex}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(300 << 20))
        code = "from labplatform.capacity import capacity; c = capacity(); print(c.memory, c.memory_left, c.container)"
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), sys.executable, "-c", code]
        said = subprocess.run(enter, capture_output=True, text=True, timeout=60, check=True).stdout
        memory, left, rest = said.split(maxsplit=2)
        assert int(memory) == 300 << 20
        assert 0 < int(left) < 300 << 20
        assert "memory" in rest
    finally:
        group.rmdir()
