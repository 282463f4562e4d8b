"""The event log: numbered without gaps, bounded, and as good as the states it tells of."""

from __future__ import annotations

import msgspec
import pytest

from labplatform.manifest import RestartPolicy
from labplatform.messages import Entry
from labplatform.supervisor import lifecycle as lc
from labplatform.supervisor import log as logs


@pytest.fixture
def log() -> tuple[logs.Log, list[Entry]]:
    told: list[Entry] = []
    return logs.Log(told.append), told


def _tell(log: logs.Log, *events: lc.Event, place: str = "app", life: lc.Life | None = None) -> lc.Life:
    life = life or lc.Life()
    for event in events:
        was, (life, _) = life.state, lc.step(life, event)
        log.lifecycle(place, "instance", was, life, event)
    return life


LAUNCHED = lc.Launched(at=1.0, policy=RestartPolicy(), timeout=30)
READY = lc.Ready(at=2.0, incarnation=1)


def test_entries_survive_the_wire_and_replay(log):
    log, told = log
    life = _tell(log, LAUNCHED, READY, lc.Silent(at=3, incarnation=1, what="page", missed=3))
    log.remark("a word between", place="app")
    other = _tell(log, LAUNCHED, place="other")
    sent = msgspec.json.decode(msgspec.json.encode(told), type=list[Entry])
    assert logs.replay(sent) == {"app": life, "other": other}
    assert [entry.seq for entry in sent] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("at", "change"),
    [
        (1, {"state": "stopped"}),
        (1, {"event": {"kind": "answered", "at": 2.0, "incarnation": 1}}),
        (1, {"event": {"kind": "ready", "at": 2.0, "incarnation": 7}}),
        (0, {"event": {"kind": "stop-asked", "at": 1.0, "by": "somebody", "grace": 1}}),
        (2, {"place": "another"}),
    ],
)
def test_replay_finds_a_log_that_was_tampered_with(log, at, change):
    log, told = log
    _tell(log, LAUNCHED, READY, lc.StopAsked(at=3, by="a controller", grace=5))
    told[at] = msgspec.structs.replace(told[at], **change)
    with pytest.raises(ValueError, match=f"entry {at + 1}: the log says"):
        logs.replay(told)


def test_replay_finds_a_missing_entry(log):
    log, told = log
    _tell(
        log,
        LAUNCHED,
        READY,
        lc.StopAsked(at=3, by="a controller", grace=5),
        lc.Ended(at=4, incarnation=1, reason="clean-exit", detail=""),
    )
    del told[2]
    with pytest.raises(ValueError, match="entry 4"):
        logs.replay(told)


def test_a_place_that_never_came_up_is_forgotten(log):
    """But for the count of its incarnations, in the supervisor as in the replay."""
    log, told = log
    _tell(log, LAUNCHED, lc.Ended(at=2, incarnation=1, reason="launch-failed", detail="no such page"))
    log.removed("app")
    life = _tell(log, LAUNCHED, lc.Ready(at=3, incarnation=2), life=lc.Life(incarnation=1))
    assert logs.replay(told) == {"app": life}


def test_it_keeps_the_newest(log, monkeypatch):
    monkeypatch.setattr(logs, "KEPT", 5)
    told: list[Entry] = []
    log = logs.Log(told.append)
    for number in range(8):
        log.remark(f"remark {number}", level="warning")
    assert [entry.seq for entry in log] == [4, 5, 6, 7, 8]
    assert [entry.text for entry in told] == [f"remark {number}" for number in range(8)]


def test_each_event_has_words_for_people(log):
    log, told = log
    running = lc.Life(state=lc.State.RUNNING, incarnation=1, settled=True)
    _tell(log, lc.Ended(at=1, incarnation=1, reason="oom", detail="its page ran out of JavaScript heap"), life=running)
    _tell(log, lc.StopAsked(at=1, by="a controller", grace=1), life=running)
    _tell(log, lc.Silent(at=1, incarnation=1, what="GUI thread", missed=3), life=running)
    assert [entry.text for entry in told] == [
        "oom: its page ran out of JavaScript heap",
        "by a controller",
        "GUI thread: 3 pings unanswered",
    ]
    assert [entry.level for entry in told] == ["error", "info", "info"]
