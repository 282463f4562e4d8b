"""Counting pings: who is silent, who is excused, who is named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labplatform.messages import Heartbeat
from labplatform.supervisor.health import Pulse, verdict

BEAT = Heartbeat(interval=1, silent_after=3, ended_after=6)


def _silent(pings: int) -> Pulse:
    pulse = Pulse()
    for seq in range(1, pings + 1):
        pulse.sent(seq, float(seq))
    return pulse


def test_an_open_ping_counts_when_the_next_one_goes_out():
    assert [_silent(pings).missed for pings in (0, 1, 2, 5)] == [0, 0, 1, 4]


def test_who_answers_each_ping_misses_none():
    pulse = Pulse()
    for seq in range(1, 50):
        pulse.sent(seq, float(seq))
        pulse.answered(seq, seq + 0.25)
        assert (pulse.missed, pulse.rtt.look()) == (0, 0.25)


def test_a_late_answer_clears_the_count_but_tells_no_round_trip():
    pulse = _silent(5)
    pulse.answered(2, 9.0)
    assert (pulse.missed, pulse.rtt.look()) == (0, None)
    # The newest ping is open still, and counts from the next one on.
    pulse.sent(6, 6.0)
    assert pulse.missed == 1


def test_who_is_not_asked_again_is_counted_all_the_same_and_its_late_answer_tells_how_long_it_took():
    pulse = Pulse()
    for at in range(1, 6):
        pulse.sent(1, float(at))
    assert (pulse.missed, pulse.silent_for(6.0)) == (4, 5.0)
    pulse.answered(1, 6.5)
    assert (pulse.missed, pulse.silent_for(7.0), pulse.rtt.look()) == (0, 0.0, 5.5)
    pulse.sent(6, 7.0)
    pulse.sent(6, 8.0)
    assert pulse.missed == 1


def test_an_answer_given_twice_or_out_of_order_changes_nothing():
    pulse = _silent(3)
    pulse.answered(3, 4.0)
    pulse.sent(4, 5.0)
    pulse.sent(5, 6.0)
    for seq in (3, 1, 0, -5):
        pulse.answered(seq, 7.0)
        assert pulse.missed == 1


def test_an_answer_to_what_was_not_asked_is_none():
    """A host answers pings of a time before its app ran; a page may make up numbers."""
    pulse = Pulse()
    pulse.answered(7, 1000.0)
    assert (pulse.silent_for(1001.0), pulse.rtt.look()) == (0, None)
    pulse.sent(8, 1001.0)
    pulse.answered(10**9, 1002.0)
    pulse.sent(9, 1002.0)
    assert (pulse.missed, pulse.silent_for(1003.0)) == (1, 2.0)


def test_the_excused_starts_afresh():
    pulse = _silent(5)
    pulse.excuse()
    assert pulse.missed == 0
    pulse.sent(6, 6.0)
    assert pulse.missed == 0
    pulse.sent(7, 7.0)
    assert pulse.missed == 1


def test_who_was_let_run_a_quarter_of_the_time_has_four_times_as_long():
    pulse = Pulse()
    for seq in range(1, 12):
        pulse.sent(seq, float(seq), 0.25)
    assert verdict(BEAT, pulse, None) is None
    for seq in range(12, 14):
        pulse.sent(seq, float(seq), 0.25)
    assert verdict(BEAT, pulse, None) == ("GUI thread", 3, False)
    pulse.answered(13, 14.0)
    assert pulse.missed == 0


def test_verdicts_in_their_order():
    well = Pulse()
    assert verdict(BEAT, well, well) is None
    assert verdict(BEAT, well, None) is None
    assert verdict(BEAT, _silent(3), None) is None
    assert verdict(BEAT, well, _silent(4)) == ("page", 3, False)
    assert verdict(BEAT, well, _silent(7)) == ("page", 6, True)
    # The page lives on the GUI thread's network: where both are silent, the thread is the cause.
    assert verdict(BEAT, _silent(4), _silent(9)) == ("GUI thread", 3, False)
    assert verdict(BEAT, _silent(3), _silent(4)) == ("GUI thread", 2, False), "it had just answered when it stuck"
    assert verdict(BEAT, _silent(2), _silent(4)) == ("page", 3, False)
    assert verdict(BEAT, _silent(7), None) == ("GUI thread", 6, True)


@given(st.lists(st.one_of(st.just("send"), st.just("excuse"), st.integers(-2, 40)), max_size=80))
def test_no_order_of_pings_and_answers_accuses_wrongly(story):
    """Never a negative count, never more misses than pings since the last word heard."""
    pulse, sent, since = Pulse(), 0, 0
    for what in story:
        if what == "send":
            sent += 1
            since += 1
            pulse.sent(sent, float(sent))
        elif what == "excuse":
            pulse.excuse()
            since = 0
        elif what <= sent:
            before = pulse.missed
            pulse.answered(what, float(sent))
            assert pulse.missed in (0, before)
            if pulse.missed == 0 and before:
                since = 0
        assert 0 <= pulse.missed <= since
