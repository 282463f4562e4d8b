"""What the evidence amounts to: only what was measured is said."""

from __future__ import annotations

import pytest
from support.died import AT, figures, report

from labplatform import messages as m
from labplatform.reports import findings


def told(one: m.CrashReport) -> str:
    return " ".join(piece.text for piece in findings.explanation(one))


def test_a_leak_is_told_with_its_rate_its_place_and_its_heap():
    text = told(report())
    assert "It grew by 4.2 MB each second for its last 57 s and gave nothing back" in text
    assert "Nearly all of that was in its page's renderer (4713)." in text
    assert "JavaScript's heap grew with it, to 256 MB" in text
    assert text.endswith("The others noticed nothing: 2 of 2 answered throughout, worst lag 3.6 ms.")


def test_what_grows_beside_the_heap_is_not_laid_to_it():
    steady = report(figures=figures([100 + 4 * second for second in range(60)], heap=[9.0] * 60))
    assert "JavaScript's heap did not, at 9 MB" in told(steady)


@pytest.mark.parametrize(
    "memory",
    [
        pytest.param([10, 60, 110, *[112.0] * 30], id="it has only just started"),
        pytest.param([110.0] * 30, id="steady"),
        pytest.param([110, 118, 109, 117, 111, 119, 108, 112] * 5, id="it breathes"),
        pytest.param([110, 300, *[300.0] * 40], id="long since"),
        pytest.param([110, 115], id="too little to see"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_is_no_growth_is_none(memory):
    one = report(figures=figures(memory), head={"reason": "crashed"}, seen=None, ready_at=AT - len(memory))
    assert findings.growth(one) is None
    assert "grew" not in told(one)


def test_growth_begins_where_it_began_and_says_if_something_was_given_back():
    memory = [100.0] * 40 + [100.0 + 10 * (second + 1) for second in range(20)]
    found = findings.growth(report(figures=figures(memory), head={"reason": "killed"}, seen=None))
    assert found.seconds == pytest.approx(20, abs=2) and not found.gave_back
    assert found.rate == pytest.approx(10e6, rel=0.1)
    memory[50] -= 12
    assert findings.growth(report(figures=figures(memory), head={"reason": "killed"}, seen=None)).gave_back


def test_a_leak_at_full_speed_is_told_from_one_sample_and_the_limit_it_reached():
    found = findings.growth(report(figures=figures([100.0]), seen=400_000_000, ready_at=AT - 1))
    assert (found.first, found.last) == (100e6, 400e6) and 0 < found.seconds <= 1.5


def test_gaps_and_figures_that_are_not_known_are_no_trouble():
    gaps = [None if second % 7 == 0 else 100.0 + 4 * second for second in range(60)]
    assert findings.growth(report(figures=figures(gaps))) is not None
    assert findings.growth(report(figures=m.Recalled())) is None


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([("host", "waiting", 2.0), ("renderer", "running", 99.0)], "Its renderer was busy, with 99 % of a core"),
        ([("host", "stopped by a signal", 0.0), ("renderer", "waiting", 0.0)], "was stopped by a signal"),
        ([("host", "waiting", 1.0), ("renderer", "waiting", 0.0)], "Its renderer was waiting"),
        ([], "did not answer"),
    ],
)
def test_a_hang_is_told_by_what_its_processes_did(looks, words):
    one = report(
        head={"reason": "unresponsive", "sentence": "Its page did not answer for 10 s."},
        looks=tuple(m.ReportedLook(role=role, pid=1, doing=doing, cpu=cpu) for role, doing, cpu in looks),
        figures=figures([100.0] * 20),
        seen=None,
    )
    assert words in f"{one.brief.sentence} {told(one)}"


def test_what_is_done_on_purpose_is_said_first():
    assert told(report(head={"fault": "abort"})).startswith('It was broken on purpose, by crash("abort").')
    assert told(report(head={"fault": "abort of hello"})).startswith("hello was broken on purpose")


def test_neighbours_are_told_as_they_felt():
    def felt(*kinds: tuple[str, float | None]) -> str:
        others = tuple(
            m.ReportedNeighbour(place=f"n{number}", title=f"N{number}", felt=kind, lag=lag)
            for number, (kind, lag) in enumerate(kinds)
        )
        return told(report(neighbours=others))

    assert felt().endswith("the page itself held it.")
    assert felt(("ended", None), ("answered", 0.002)).endswith("2.0 ms.") and "N0 ended with it." in felt(
        ("ended", None)
    )
    assert "N0 fell silent meanwhile; 1 of 2 answered throughout" in felt(("silent", 3.0), ("answered", 0.01))
    assert "noticed nothing" not in felt(("answered", 0.25)) and "worst lag 0.2 s" in felt(("answered", 0.25))


def test_the_innermost_frame_is_that_of_the_thread_that_died():
    stack = (
        "Fatal Python error: Aborted\n\nThread 0x1 (most recent call first):\n"
        '  File "/a/wait.py", line 9 in wait\n\nCurrent thread 0x2 (most recent call first):\n'
        '  File "/a/faults.py", line 41 in commit\n  File "/a/host.py", line 1 in run\n'
    )
    assert findings.innermost(stack) == "commit (faults.py, line 41)"
    assert findings.innermost("Fatal Python error: Aborted") == findings.innermost("") == ""


def test_what_is_there_again_and_what_is_not():
    kept, lost = findings.restored(report(unheard=2, owed=("ViewNews",), fields=3, hash=True))
    assert kept == [
        ("Saved state", "0.4 s old, 1.2 kB"),
        ("User channel 2", "as it was"),
        ("Window's place", "as it was"),
        ("Address", "as it was, with its hash"),
        ("3 fields of forms", "as they stood"),
    ]
    assert lost == [("What it changed since", "the last 0.4 s")]
    # Who is not back has been told nothing.
    _, lost = findings.restored(report(unheard=2, owed=("ViewNews",), restored=None))
    assert lost == [("2 messages", "on the way to it"), ("1 answer to an intent", "who raised it was told")]
    never = report(
        restored=m.Restored(after="killed", lost=("its state, which it never saved",)), state_size=None, bounds=None
    )
    assert findings.restored(never)[1] == [("State", "it never saved")]
