"""What every tier of limits promises, in guests that have what this machine may not: version 2, and systemd.

They are the same tests as here, `supervisor/test_limits_tiers.py` and `supervisor/test_limits_each_tier.py`, run inside
by root and by an ordinary user. Each of them that fails, or is left out, inside is named here with its own words.
"""

from __future__ import annotations

import shlex

import pytest
from support import guests

TIERS = ("tests/supervisor/test_limits_tiers.py", "tests/supervisor/test_limits_each_tier.py")
DELEGATED = (*TIERS, "-k", "cgroup-v2 and (inside or alone or half or version_2 or lowered or two_platforms)")
"""The tests in which a delegated group, that holds processes itself, may differ from one in a machine of our own."""
RUNS_FOR = 1500.0
"""Seconds for a whole guest where it is computed; with KVM it takes a tenth."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(RUNS_FOR + 60)]


def _passes(report: guests.Report, subtests: pytest.Subtests, *runs: str, least: int = 20) -> None:
    """Every test of these runs, of which there are so many at least, passed inside; none was left out."""
    for run in runs:
        lines = report.of(run)
        for line in lines:
            if "test" in line:
                name = f"{run}: {line['test'].rpartition('::')[2]}"
                with subtests.test(name):
                    assert line["outcome"] == "passed", line["words"]
                if line["figures"]:
                    print(name, line["figures"])
        with subtests.test(f"{run}: to its end"):
            ends = [line for line in lines if "status" in line]
            ran = [line for line in lines if "test" in line]
            assert ends and ends[0]["status"] == 0 and len(ran) >= least, (ends, len(ran), report.console)


@pytest.fixture
def ready() -> None:
    """Skips with the line that has to be run first."""
    if line := guests.missing():
        pytest.skip(line)


def test_version_2_in_a_machine_without_systemd(ready, subtests, tmp_path):
    """As root in the machine's own tree, and as somebody who was given a part of it and is in there already."""
    script = f"""
mkdir -p /sys/fs/cgroup/given
echo '+cpu +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
chown {guests.USER} /sys/fs/cgroup/given /sys/fs/cgroup/given/*
{guests.tests("root", *TIERS, "-k", "cgroup-v2")}
(
  sh -c 'echo $PPID >/sys/fs/cgroup/given/cgroup.procs'
  {guests.tests("user", *TIERS, "-k", "cgroup-v2", become=guests.USER)}
)
{guests.END}
"""
    _passes(guests.boot(script, tmp_path, RUNS_FOR), subtests, "root", "user")


def test_systemd_and_what_it_delegates(tmp_path, subtests):
    """Scopes of the machine's systemd for root, and of the user's own; version 2 in services that are delegated."""
    if line := guests.missing("/lib/systemd/systemd=systemd", "dbus-daemon=dbus dbus-user-session libpam-systemd"):
        pytest.skip(line)
    user, folder = guests.USER, "/sys/fs/cgroup"
    proofs = f"""
export XDG_RUNTIME_DIR=/run/user/{user}
{guests.tests("root", *TIERS, "-k", "systemd")}
systemctl start user@{user}.service
{guests.tests("user", *TIERS, "-k", "systemd", become=user)}
systemd-run --wait --pipe -p Delegate=yes sh -c {shlex.quote(guests.tests("root delegated", *DELEGATED))}
systemd-run --wait --pipe -p Delegate=yes -p User={user} sh -c {shlex.quote(guests.tests("user delegated", *DELEGATED))}
find {folder} -name 'labplatform-*'
"""
    report = guests.boot(guests.with_systemd(proofs, tmp_path), tmp_path, RUNS_FOR)
    _passes(report, subtests, "root", "user", least=20)
    _passes(report, subtests, "root delegated", "user delegated", least=5)
