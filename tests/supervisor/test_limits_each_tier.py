"""What a tier of limits does alone: how it is chosen or refused, what it leaves as it was, what it cleans up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import tiers
from support.processes import runs, send, until
from support.tiers import BOMB, LEAKS, MB, PATIENCE, WAITS, Ring, eventually, gone, ring, unavailable

from labplatform.kernel.start import GUARDIAN
from labplatform.manifest import ResourceLimits
from labplatform.supervisor import linux
from labplatform.supervisor.limits import cgroup2, cgroupfs, choose, systemd, unified
from labplatform.supervisor.limits.tier import CannotLimit, Unavailable

within = tiers.within


# --- version 2 --------------------------------------------------------------------------------------------------------

ANOTHER_PLATFORM = """
import asyncio, sys
from pathlib import Path
from labplatform.supervisor.limits import choose

async def main():
    tier, _ = await choose("cgroup-v2", Path(sys.argv[1]))
    print(tier.folder, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await tier.close()

asyncio.run(main())
"""

VERSION_2 = pytest.mark.parametrize("within", ["cgroup-v2"], indirect=True)


@VERSION_2
def test_a_refusal_half_way_leaves_all_as_it_was_in_version_2(within):
    """The cpu controller is taken away; what had been written before that is written back."""

    async def body(ring: Ring):
        program, group = await ring.start("half", WAITS, max_memory=100 * MB, max_processes=20)
        await program.said()
        cgroupfs.write(ring.tier.folder, "cgroup.subtree_control", "-cpu")
        before = cgroupfs.read(group.folder, "pids.max")
        with pytest.raises(CannotLimit, match=r"cpu\.max"):
            await group.set(ResourceLimits(max_memory=200 * MB, max_cpu=50, max_processes=40))
        assert group.limits == ResourceLimits(max_memory=100 * MB, max_processes=20)
        assert cgroupfs.read(group.folder, "pids.max") == before
        assert cgroupfs.number(group.folder, "memory.max") < 101 * MB
        program.tell()
        assert "alive" in await program.said()

    within(body)


@VERSION_2
def test_all_of_a_group_is_killed_where_the_kernel_has_no_word_for_it(within):
    """As before Linux 5.14, and in a group that an app made below its own."""

    async def body(ring: Ring):
        bomb, group = await ring.start("bomb", BOMB)
        await bomb.said()
        bomb.tell()
        await bomb.said()
        pids = linux.tree(bomb.pid)
        inner = group.folder / "its own"
        inner.mkdir()
        cgroupfs.write(inner, "cgroup.procs", pids[-1])
        await asyncio.to_thread(unified.kill_frozen, group.folder)
        assert await bomb.ended() == -signal.SIGKILL
        await gone(pids)
        assert not unified.populated(group.folder)

    within(body)


@VERSION_2
def test_limits_are_there_before_the_process_is(within):
    async def body(ring: Ring):
        _, group = await ring.start("held", WAITS, max_memory=100 * MB, max_cpu=30, max_processes=20)
        said = {
            name: cgroupfs.read(group.folder, name).strip()
            for name in ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max")
            if (group.folder / name).exists()
        }
        assert int(said["memory.max"]) == 100 * MB // 4096 * 4096
        assert said["memory.oom.group"] == "1" and said["cpu.max"] == "30000 100000" and said["pids.max"] == "1536"
        assert said.get("memory.swap.max", "0") == "0"

    within(body)


@VERSION_2
def test_two_platforms_share_a_group_and_the_last_one_gives_it_back(within, tmp_path):
    """The second finds itself where the first has put it, out of the way, and makes its groups beside that."""
    own = unified.path_of()

    async def body(ring: Ring):
        command = [sys.executable, "-c", ANOTHER_PLATFORM, str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        other = await asyncio.to_thread(subprocess.Popen, command, text=True, **pipes)
        try:
            line = await asyncio.to_thread(other.stdout.readline)
            assert Path(line.strip()).parent == ring.tier.folder.parent
            program, group = await ring.start("leaks", LEAKS, max_memory=60 * MB)
            await program.said()
            program.tell(megabytes=200)
            assert (await ring.breach(group)).reason == "memory-limit"
        finally:
            await asyncio.to_thread(other.communicate, "", 10 * PATIENCE)
        assert other.returncode == 0

    within(body)
    assert unified.path_of() == own


HELD_BY_A_GUARDIAN = """
import asyncio, os, subprocess, sys
from pathlib import Path
from labplatform.manifest import ResourceLimits
from labplatform.supervisor.limits import choose

async def main():
    session = Path(sys.argv[1], f"platform-{os.getpid()}")
    session.mkdir()
    tier, _ = await choose("cgroup-v2", session)
    group = tier.group("app", ResourceLimits(max_processes=20), print)
    app = subprocess.Popen(["sleep", "600"], start_new_session=True)
    await group.attach(app.pid)
    print(os.getpid(), app.pid, tier.folder, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def _of_the_tree(above: Path) -> tuple[str, list[str], str]:
    """What a platform may change about a group that it makes its own in, and where this process is."""
    groups = sorted(entry.name for entry in above.iterdir() if entry.is_dir())
    return cgroupfs.read(above, "cgroup.subtree_control"), groups, unified.path_of()


@pytest.mark.parametrize("tier", ["cgroup-v2"])
@pytest.mark.parametrize("killed", ["supervisor", "guardian and supervisor"])
def test_a_platform_that_is_killed_gives_back_what_it_took_of_version_2(tmp_path, killed, tier):
    """Its guardian does, and moves back whom it found there; where that is killed as well, the next platform does."""
    if why := unavailable(tier):
        pytest.skip(why)
    above = cgroup2.ours()
    before = _of_the_tree(above)
    command = [sys.executable, "-c", HELD_BY_A_GUARDIAN, str(tmp_path)]
    guarded = [sys.executable, "-I", "-S", str(GUARDIAN), str(tmp_path), *command]
    with subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as guardian:
        supervisor, app, folder = guardian.stdout.readline().split()
        assert Path(folder).parent == above and Path(folder).is_dir() and runs(int(app))
        assert _of_the_tree(above)[1] != before[1]
        if killed == "supervisor":
            send(int(supervisor), signal.SIGKILL)
            assert guardian.wait(30 * PATIENCE) == -signal.SIGKILL & 0xFF
            assert not runs(int(app))
        else:
            for pid in (guardian.pid, int(supervisor), int(app)):
                send(pid, signal.SIGKILL)
            until(lambda: not runs(int(supervisor)) and not runs(int(app)), 10 * PATIENCE, "their end")
            assert Path(folder).is_dir()
            asyncio.run(_open_and_close(tmp_path))
    assert not Path(folder).exists()
    assert _of_the_tree(above) == before


async def _open_and_close(folder: Path) -> None:
    async with ring("cgroup-v2", folder):
        pass


@VERSION_2
def test_what_a_dead_platform_left_in_version_2_is_removed_when_the_next_begins(within):
    above = None
    with contextlib.suppress(Unavailable):
        above = cgroup2.ours()
    if above is not None:
        (above / "labplatform-4194302" / "1-app").mkdir(parents=True)

    async def body(ring: Ring):
        assert not list(above.glob("labplatform-4194302"))

    within(body)


def test_why_version_2_is_not_used_here_is_said_exactly():
    """Wherever the tests run: what is said is what is mounted, and who has the controllers."""
    kinds = {line.partition(" - ")[2].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    try:
        above = cgroup2.ours()
    except Unavailable as error:
        said = str(error)
    else:
        assert os.access(above / "cgroup.procs", os.W_OK) and not unified.missing(above)
        return
    if "cgroup2" not in kinds:
        assert said == "version 2 is not mounted"
    elif absent := unified.missing(unified.mount()[0]):
        assert str(unified.mount()[0]) in said and ", ".join(absent) in said
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        older = set(absent) <= {name for line in lines for name in line.split(":")[1].split(",")}
        assert said.endswith("(version 1 has them here)") == older
    else:
        assert "may not write" in said or "systemd" in said or "has no" in said


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", ["systemd"], indirect=True)
def test_a_systemd_that_is_not_to_be_reached_leaves_all_as_it_was(within, tmp_path):
    async def body(ring: Ring):
        program, group = await ring.start("cut", WAITS, max_memory=100 * MB, max_cpu=50)
        await program.said()
        reached, group._manager = group._manager, systemd.Manager(str(tmp_path / "no bus"))
        began = time.monotonic()
        with pytest.raises(CannotLimit, match="systemd refuses"):
            await group.set(ResourceLimits(max_memory=200 * MB, max_cpu=20))
        assert time.monotonic() - began < 2 * PATIENCE
        assert group.limits == ResourceLimits(max_memory=100 * MB, max_cpu=50)
        assert cgroupfs.number(group.folder, "memory.max") < 101 * MB
        group._manager = reached
        await group.set(ResourceLimits(max_memory=200 * MB, max_cpu=20))
        assert cgroupfs.read(group.folder, "cpu.max").split() == ["20000", "100000"]
        assert 199 * MB < cgroupfs.number(group.folder, "memory.max") <= 200 * MB

    within(body)


@pytest.mark.parametrize("within", ["systemd"], indirect=True)
def test_a_scope_that_somebody_else_ends_takes_its_app_along_and_nothing_stays(within):
    async def body(ring: Ring):
        program, group = await ring.start("stopped", WAITS, max_memory=100 * MB)
        await program.said()
        await asyncio.to_thread(group._manager.call, "StopUnit", "ss", group.unit, "replace")
        assert await program.ended() == -signal.SIGTERM
        with pytest.raises(CannotLimit):
            await group.set(ResourceLimits(max_memory=200 * MB))
        assert group.verdict() is None and group.evicted() == ""

    within(body)


def test_why_systemd_is_not_asked_here_is_said(tmp_path):
    runs_here = systemd.SYSTEMD.is_dir()

    async def main() -> None:
        try:
            tier, _ = await choose("systemd", tmp_path)
        except Unavailable as error:
            assert ("there is no /run/systemd/system" in str(error)) != runs_here
        else:
            await tier.close()
            assert runs_here

    asyncio.run(main())


# --- version 1 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gone", "not ours to write"])
def test_a_limit_that_cannot_be_written_leaves_the_others_as_they_were(tmp_path, how):
    """The cpu group fails half-way through; what had been written before that is written back."""
    if how != "gone" and os.geteuid() == 0:
        pytest.skip("root may write everything")

    async def main():
        try:
            opened = ring("cgroup-v1", tmp_path)
            made = await opened.__aenter__()
        except Unavailable as error:
            pytest.skip(str(error))
        try:
            program, group = await made.start("half", WAITS, max_memory=100 * MB, max_processes=20)
            await program.said()
            cpu = group._folders["cpu"]
            if how == "gone":
                cgroupfs.write(cpu.parent, "cgroup.procs", program.pid)
                cpu.rmdir()
            else:
                (cpu / "cpu.cfs_quota_us").chmod(0o444)
            before = cgroupfs.read(group._folders["pids"], "pids.max")
            words = "cpu" if how == "gone" else r"this user may not write .*cpu\.cfs_quota_us"
            with pytest.raises(CannotLimit, match=words):
                await group.set(ResourceLimits(max_memory=200 * MB, max_cpu=50, max_processes=40))
            assert group.limits == ResourceLimits(max_memory=100 * MB, max_processes=20)
            assert cgroupfs.read(group._folders["pids"], "pids.max") == before
            assert cgroupfs.number(group._folders["memory"], "memory.limit_in_bytes") < 101 * MB
            program.tell()
            assert "alive" in await program.said()
        finally:
            await opened.__aexit__(None, None, None)

    asyncio.run(main())


def test_what_a_dead_platform_left_is_removed_and_what_lives_stays(tmp_path):
    from labplatform.supervisor.limits.cgroup1 import own_folder

    own = own_folder("memory")
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("no version 1 memory group can be made here")
    dead, alive = own / "labplatform-4194302", own / "labplatform-1"
    (dead / "1-app").mkdir(parents=True)
    alive.mkdir()
    try:
        cgroupfs.remove_stale(own)
        assert not dead.exists() and alive.exists()
    finally:
        alive.rmdir()


# --- the watchdog -----------------------------------------------------------------------------------------------------


def test_a_process_may_not_reserve_much_more_than_its_limit(tmp_path):
    async def main():
        async with ring("watchdog", tmp_path) as made:
            program, group = await made.start("reserves", WAITS, max_memory=5_000 * MB)
            await program.said()
            assert _reserves(program.pid) == 5_000 * MB + (1 << 30)
            await group.set(ResourceLimits(max_memory=100 * MB))
            await eventually(lambda: _reserves(program.pid) == 1 << 32, 5)
            await group.set(ResourceLimits())
            await eventually(lambda: _reserves(program.pid) == resource.RLIM_INFINITY, 5)

    asyncio.run(main())


def _reserves(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_DATA)[0]
