"""Where storage lies, and that two never hold one persistent profile. Pure but for the files."""

from __future__ import annotations

import subprocess
import sys
import time

from labplatform.manifest import parse_manifest
from labplatform.supervisor.lifecycle import Launched, Life, step
from labplatform.supervisor.profiles import Profiles
from labplatform.supervisor.slot import Slot

HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def make_slot(name: str, storage: str = "persistent") -> Slot:
    slot = Slot(
        name, parse_manifest({"startup_app": {"uuid": "keeper", "name": "K", "url": "k.html"}, "storage": storage})
    )
    slot.life, _ = step(slot.life, Launched(at=time.time(), policy=slot.manifest.restart, timeout=1))
    return slot


def test_session_storage_goes_with_the_session(tmp_path):
    warnings = []
    profiles = Profiles(tmp_path, lambda *said: warnings.append(said))
    slot = make_slot("keeper", "session")
    assert profiles.own(slot, [slot]) == tmp_path / "profiles" / "keeper"
    shared = {profiles.shared(f"affinity:{word}") for word in ("desk", "../desk", "../../../desk", "Desk")}
    assert len(shared) == 4
    assert {folder.parent for folder in shared} == {tmp_path / "profiles"}
    assert warnings == []


def test_one_instance_of_a_platform_holds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    warnings = []
    profiles = Profiles(tmp_path, lambda *said: warnings.append(said))
    first, second = make_slot("keeper"), make_slot("keeper-2")
    assert profiles.own(first, [first]) == tmp_path / "data" / "labplatform" / "profiles" / "keeper"
    # Its next incarnation gets the same again.
    assert profiles.own(first, [first]) == tmp_path / "data" / "labplatform" / "profiles" / "keeper"
    assert profiles.own(second, [first, second]) == tmp_path / "profiles" / "keeper-2"
    assert [place for place, _ in warnings] == ["keeper-2"]
    # It goes on with it while there are others, and those with theirs when it has ended.
    assert (first.persistent, second.persistent) == ("keeper", "")
    second.profile = tmp_path / "profiles" / "keeper-2"
    assert profiles.own(first, [first, second]) == tmp_path / "data" / "labplatform" / "profiles" / "keeper"
    first.life = Life()
    assert profiles.own(second, [first, second]) == tmp_path / "profiles" / "keeper-2"
    third = make_slot("keeper-3")
    assert profiles.own(third, [first, second, third]) == tmp_path / "data" / "labplatform" / "profiles" / "keeper"
    assert [place for place, _ in warnings] == ["keeper-2"]


def test_one_platform_of_a_user_holds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "data" / "labplatform" / "profiles" / "keeper"
    folder.mkdir(parents=True)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        warnings = []
        profiles = Profiles(tmp_path, lambda *said: warnings.append(said))
        slot = make_slot("keeper")
        assert profiles.own(slot, [slot]) == tmp_path / "profiles" / "keeper"
        assert "another platform" in warnings[0][1]
    finally:
        other.communicate(timeout=10)
    assert profiles.own(slot, [slot]) == folder
