"""The lifecycle as a pure function: no order of events leads where `LEGAL` does not go, and a log replays."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labplatform.manifest import RestartPolicy
from labplatform.messages import Entry
from labplatform.supervisor import lifecycle as lc
from labplatform.supervisor import log as logs
from labplatform.supervisor.lifecycle import LEGAL, LIVE, Life, State

POLICY = RestartPolicy(max_restarts=3, within_seconds=10, backoff=0.1, max_backoff=1, stable_after=10)
ALL_EVENTS = msgspec.inspect.type_info(lc.Event).types
BAD_REASONS = ("crashed", "killed", "oom", "abnormal-exit", "unresponsive", "launch-failed")


def _one_of_each(at: float, incarnation: int) -> list[lc.Event]:
    return [
        lc.Launched(at=at, policy=POLICY, timeout=30),
        lc.Ready(at=at, incarnation=incarnation),
        lc.Silent(at=at, incarnation=incarnation, what="page", missed=3),
        lc.Answered(at=at, incarnation=incarnation),
        lc.HangExpired(at=at, incarnation=incarnation, what="page", missed=9),
        lc.Exceeded(at=at, incarnation=incarnation, reason="memory-limit", detail="it used 2 MB of 1 MB"),
        lc.Ended(at=at, incarnation=incarnation, reason="clean-exit", detail=""),
        lc.Ended(at=at, incarnation=incarnation, reason="crashed", detail="d", restored=True),
        *(lc.Ended(at=at, incarnation=incarnation, reason=reason, detail="d") for reason in BAD_REASONS),
        lc.BackedOff(at=at, delay=0.5),
        lc.GaveUp(at=at, detail=""),
        lc.StopAsked(at=at, by="a test", grace=5),
        lc.KillAsked(at=at, by="a test"),
        lc.RestartAsked(at=at, by="a test", grace=5, timeout=30),
        lc.Recycled(at=at, incarnation=incarnation, why="too large", grace=5),
        lc.Resumed(at=at, life=Life(state=State.RUNNING, incarnation=3), reason="killed", detail="lost"),
        *(lc.TimerFired(at=at, timer=timer, incarnation=incarnation) for timer in (*lc.ALL_TIMERS, "unknown")),
    ]


def test_one_of_each_is_every_event():
    """So that a new event cannot be left out of the tests below."""
    assert {type(event) for event in _one_of_each(0, 1)} == {kind.cls for kind in ALL_EVENTS}
    assert set(lc._HANDLERS) == {kind.cls for kind in ALL_EVENTS}


def test_the_table_names_every_state_and_no_other():
    assert set(LEGAL) == set(State)
    assert set().union(*LEGAL.values()) <= set(State)
    assert all(state not in nexts for state, nexts in LEGAL.items())


def test_every_state_can_be_reached_and_left():
    reached, rest = {State.STOPPED}, [State.STOPPED]
    for state in rest:
        for following in LEGAL[state] - reached:
            reached.add(following)
            rest.append(following)
    assert reached == set(State)
    assert all(LEGAL.values())


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("start_again", [False, True])
def test_every_event_is_defined_in_every_state(state, settled, start_again):
    life = Life(policy=POLICY, state=state, incarnation=4, settled=settled, start_again=start_again)
    for event in _one_of_each(100.0, 4):
        after, actions = lc.step(life, event)
        assert after.state is state or after.state in LEGAL[state], event
        assert all(isinstance(action, lc.Action) for action in actions)
        if after.state in (State.STOPPED, State.FAILED, State.CRASHED) and after.state is not state:
            assert lc.Disarm(lc.ALL_TIMERS) in actions or state is State.CRASHED, event
        # Whoever is to be closed has a timer that kills it, should it not close.
        if lc.Close() in actions:
            assert lc.Arm("stop", 5) in actions


@pytest.mark.parametrize("state", State)
def test_what_an_earlier_incarnation_did_changes_nothing(state):
    life = Life(policy=POLICY, state=state, incarnation=4, settled=True)
    for event in _one_of_each(100.0, 3):
        if hasattr(event, "incarnation"):
            assert lc.step(life, event) == (life, ())


def test_a_handler_that_leads_astray_is_found_out(monkeypatch):
    monkeypatch.setitem(lc._HANDLERS, lc.Ready, lambda life, event: (lc._to(life, State.FAILED), ()))
    with pytest.raises(lc.IllegalTransition, match="running -> failed"):
        lc.step(Life(state=State.RUNNING, incarnation=1), lc.Ready(at=0, incarnation=1))


# --- any order of events ----------------------------------------------------------------------------------------------


class Story:
    """One app driven as the supervisor drives it: `Follow` is fed before anything else, all is logged."""

    def __init__(self) -> None:
        self.life = Life()
        self.entries: list[Entry] = []
        self.log = logs.Log(self.entries.append)
        self.lives: list[Life] = []
        self.delays: list[tuple[float, float]] = []
        self.places: list[float] = []
        self.without: list[int] = []
        """Incarnations that came without what was saved."""

    def feed(self, event: lc.Event) -> None:
        was = self.life
        self.life, actions = lc.step(was, event)
        if self.life is was and not actions:
            return
        self.log.lifecycle("app", f"instance-{self.life.incarnation}", was.state, self.life, event)
        self.lives.append(self.life)
        for action in actions:
            match action:
                case lc.Follow(following):
                    self.feed(following)
                case lc.Arm("back-off", seconds):
                    self.delays.append((event.at, seconds))
                case lc.Place():
                    self.places.append(event.at)
                case lc.SetAside():
                    self.without.append(self.life.incarnation)


policies = st.builds(
    RestartPolicy,
    when=st.sampled_from(("never", "on-failure", "always")),
    max_restarts=st.integers(0, 5),
    within_seconds=st.floats(0.5, 20),
    slow_max_restarts=st.integers(0, 9),
    slow_within_seconds=st.floats(5, 100),
    jitter=st.floats(0, 1),
    backoff=st.floats(0.01, 2),
    max_backoff=st.floats(0.01, 8),
    stable_after=st.floats(0.5, 20),
)
steps = st.lists(
    st.tuples(st.floats(0, 5), st.integers(-1, 1), st.integers(0, len(_one_of_each(0, 1)) - 1), policies), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_no_order_of_events_leads_astray_and_the_log_replays(steps):
    story, at = Story(), 1000.0
    for pause, offset, kind, policy in steps:
        at += pause
        event = _one_of_each(at, story.life.incarnation + offset)[kind]
        if isinstance(event, lc.Launched):
            event = msgspec.structs.replace(event, policy=policy)
        if isinstance(event, lc.BackedOff | lc.GaveUp):
            # Those two are the lifecycle's own words; nobody else says them.
            continue
        before = story.life
        story.feed(event)
        assert story.life.state in State
        # `crashed` is where a verdict is made, never where an app stays.
        assert story.life.state is not State.CRASHED
        assert story.life.incarnation >= before.incarnation
        if story.life.state not in LIVE:
            assert not story.life.start_again
    assert [entry.seq for entry in story.entries] == list(range(1, len(story.entries) + 1))
    assert all(entry.was == "stopped" for entry in story.entries[:1])
    assert all(one.state == two.was for one, two in itertools.pairwise(story.entries))
    assert logs.replay(story.entries) == ({"app": story.life} if story.entries else {})
    assert [
        life.state for life in lc.replay(logs._read_event(msgspec.json.encode(e.event)) for e in story.entries)
    ] == [life.state for life in story.lives]


@settings(max_examples=150, deadline=None)
@given(
    policies.filter(lambda policy: policy.when != "never"),
    st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_restarts_stay_within_the_policy_and_back_off(policy, ends):
    """Nothing but ends: never more restarts in either window than are allowed, each wait longer, up to the cap."""
    story, at, chances = Story(), 1000.0, []
    story.feed(lc.Launched(at=at, policy=policy, timeout=30))
    story.feed(lc.Ready(at=at, incarnation=1))
    reason = "clean-exit" if policy.when == "always" else "crashed"
    for pause, becomes_ready, chance in ends:
        at += pause
        story.feed(lc.Ended(at=at, incarnation=story.life.incarnation, reason=reason, detail="", chance=chance))
        chances.append(chance)
        if story.life.state is State.FAILED:
            break
        assert story.life.state is State.BACKING_OFF
        at = max(at, story.delays[-1][0] + story.delays[-1][1])
        story.feed(lc.TimerFired(at=at, timer="back-off", incarnation=story.life.incarnation))
        assert story.life.state is State.STARTING
        if becomes_ready:
            story.feed(lc.Ready(at=at, incarnation=story.life.incarnation))
    asked = [at for at, _ in story.delays]
    for first in asked:
        assert sum(first <= one < first + policy.within_seconds for one in asked) <= policy.max_restarts
        assert sum(first <= one < first + policy.slow_within_seconds for one in asked) <= policy.slow_max_restarts
    if story.life.state is State.FAILED:
        # Not before it had to: one restart more would have been too many for one of the windows.
        windows = (
            (policy.max_restarts, policy.within_seconds),
            (policy.slow_max_restarts, policy.slow_within_seconds),
        )
        assert any(sum(at - one < seconds for one in asked) >= most for most, seconds in windows)
    waits = [seconds for _, seconds in story.delays]
    assert all(wait <= policy.max_backoff for wait in waits)
    whole = [min(policy.backoff * 2**n, policy.max_backoff) for n in range(len(waits))]
    assert waits == [wait * (1 - policy.jitter * chance) for wait, chance in zip(whole, chances, strict=False)]
    assert story.life.restarts == len(story.places) - 1


def _launched(**policy) -> Story:
    story = Story()
    story.feed(lc.Launched(at=0, policy=RestartPolicy(**policy), timeout=30))
    return story


def _crash(story: Story, at: float) -> None:
    story.feed(lc.Ended(at=at, incarnation=story.life.incarnation, reason="crashed", detail=""))


def _come_back(story: Story, at: float) -> None:
    story.feed(lc.TimerFired(at=at, timer="back-off", incarnation=story.life.incarnation))
    story.feed(lc.Ready(at=at, incarnation=story.life.incarnation))


def test_who_was_stable_starts_counting_afresh():
    story = _launched(max_restarts=9, within_seconds=1000, backoff=1, max_backoff=60)
    story.feed(lc.Ready(at=0, incarnation=1))
    for at in (1, 10, 20):
        _crash(story, at)
        _come_back(story, at + 5)
    story.feed(lc.TimerFired(at=40, timer="stable", incarnation=story.life.incarnation))
    _crash(story, 50)
    assert [seconds for _, seconds in story.delays] == [1, 2, 4, 1]


# --- what it had saved may be what it dies of -------------------------------------------------------------------------

lives = st.lists(
    st.tuples(
        st.booleans(),  # there was something to give it
        st.booleans(),  # it became stable
        st.sampled_from(("ends", "restarted by hand", "recycled", "lost with its supervisor")),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 4), lives)
def test_what_was_saved_is_put_aside_after_so_many_ends_right_after_a_restore(most, lives):
    """Judged by the plain rule: so many such ends since the last that was none, or since it was put aside."""
    policy = RestartPolicy(max_restarts=1000, slow_max_restarts=1000, restore_attempts=most)
    story, at, relapses, expected = Story(), 1000.0, 0, []
    story.feed(lc.Launched(at=at, policy=policy, timeout=30))
    for saved, stable, how in lives:
        at += 100
        incarnation = story.life.incarnation
        story.feed(lc.Ready(at=at, incarnation=incarnation))
        if stable:
            story.feed(lc.TimerFired(at=at, timer="stable", incarnation=incarnation))
            relapses = 0
        if how == "ends":
            restored = saved and incarnation > 1
            story.feed(lc.Ended(at=at, incarnation=incarnation, reason="oom", detail="it died", restored=restored))
            relapses = relapses + 1 if restored and not stable else 0
            story.feed(lc.TimerFired(at=at, timer="back-off", incarnation=incarnation))
        elif how == "lost with its supervisor":
            life, story.life = story.life, Life()
            story.feed(lc.Resumed(at=at, life=life, reason="killed", detail="the supervisor was lost"))
        else:
            wanted = lc.Recycled(at=at, incarnation=incarnation, why="too large", grace=5)
            if how == "restarted by hand":
                wanted = lc.RestartAsked(at=at, by="a test", grace=5, timeout=30)
            story.feed(wanted)
            story.feed(lc.Ended(at=at, incarnation=incarnation, reason="killed", detail="", restored=saved))
        assert story.life.state is State.STARTING
        if 0 < most <= relapses:
            expected.append(story.life.incarnation)
            relapses = 0
            why = f"{most} ends in a row, each right after it was restored"
            assert story.life.detail == f"it died; what it had saved was put aside: {why}"
    assert story.without == expected


def test_a_failed_app_is_given_it_once_more_by_hand_and_then_starts_without():
    """The policy may give up sooner than it is put aside; who restarts by hand is not caught in that for ever."""
    story = _launched(max_restarts=2, restore_attempts=3)
    story.feed(lc.Ready(at=0, incarnation=1))
    for at in (1, 2, 3):
        incarnation = story.life.incarnation
        story.feed(lc.Ended(at=at, incarnation=incarnation, reason="crashed", detail="d", restored=incarnation > 1))
        _come_back(story, at)
    assert (story.life.state, story.life.relapses, story.without) == (State.FAILED, 2, [])
    for at in (4, 5):
        story.feed(lc.RestartAsked(at=at, by="a test", grace=5, timeout=30))
        incarnation = story.life.incarnation
        if at == 4:
            story.feed(lc.Ended(at=at, incarnation=incarnation, reason="crashed", detail="d", restored=True))
            story.feed(lc.TimerFired(at=at, timer="back-off", incarnation=incarnation))
    assert story.without == [incarnation]


def test_a_very_long_streak_does_not_overflow():
    story = _launched(max_restarts=1_000_000, within_seconds=1, slow_max_restarts=1_000_000, backoff=1, max_backoff=30)
    story.feed(lc.Ready(at=0, incarnation=1))
    for at in range(1, 3000):
        _crash(story, at)
        _come_back(story, at + 0.5)
    assert story.delays[-1][1] == 30


def test_one_hang_after_the_other_trips_the_slow_window():
    story = _launched()
    story.feed(lc.Ready(at=0, incarnation=1))
    for count in range(1, 22):
        # Too slow for five in ten seconds.
        _crash(story, 60 * count)
        if story.life.state is State.FAILED:
            break
        _come_back(story, 60 * count + 40)
    assert count == 21
    assert story.entries[-1].text == "21 ends within 3600 s; 20 are allowed"


def test_who_is_unresponsive_when_it_should_be_stable_is_asked_again():
    story = _launched(max_restarts=9, within_seconds=1000, backoff=1, max_backoff=60, stable_after=10)
    story.feed(lc.Ready(at=0, incarnation=1))
    _crash(story, 1)
    _come_back(story, 2)
    story.feed(lc.Silent(at=5, incarnation=2, what="page", missed=3))
    after, actions = lc.step(story.life, lc.TimerFired(at=12, timer="stable", incarnation=2))
    assert (after.streak, actions) == (1, (lc.Arm("stable", 10),))
    story.feed(lc.Answered(at=13, incarnation=2))
    story.feed(lc.TimerFired(at=22, timer="stable", incarnation=2))
    assert story.life.streak == 0


def test_never_is_never_and_always_is_after_a_clean_exit_too():
    story = _launched(when="never")
    story.feed(lc.Ready(at=0, incarnation=1))
    _crash(story, 1)
    assert (story.life.state, story.entries[-1].text) == (State.FAILED, "its policy is never to start it again")
    story = _launched(when="always")
    story.feed(lc.Ready(at=0, incarnation=1))
    story.feed(lc.Ended(at=1, incarnation=1, reason="clean-exit", detail="its window was closed"))
    assert story.life.state is State.BACKING_OFF
    assert "crashed" not in [entry.state for entry in story.entries]
    _come_back(story, 2)
    assert story.life.state is State.RUNNING
    story.feed(lc.StopAsked(at=3, by="a test", grace=5))
    story.feed(lc.Ended(at=4, incarnation=2, reason="clean-exit", detail="it was asked to stop"))
    assert story.life.state is State.STOPPED, "somebody wanted that"
    assert logs.replay(story.entries)["app"] == story.life


@pytest.mark.parametrize("policy", [{"max_restarts": 0}, {"slow_max_restarts": 0}])
def test_no_restart_at_all_where_none_is_allowed(policy):
    story = _launched(**policy)
    story.feed(lc.Ready(at=0, incarnation=1))
    _crash(story, 1)
    assert story.life.state is State.FAILED
    assert [entry.kind for entry in story.entries] == ["launched", "ready", "ended", "gave-up"]
    assert [entry.level for entry in story.entries] == ["info", "info", "error", "error"]


def test_a_first_start_that_fails_is_a_failed_launch_and_a_later_one_a_crash():
    story = _launched()
    _crash(story, 1)
    assert story.life.state is State.FAILED
    story = _launched()
    story.feed(lc.Ready(at=0, incarnation=1))
    _crash(story, 1)
    story.feed(lc.TimerFired(at=2, timer="back-off", incarnation=1))
    _crash(story, 3)
    assert story.life.state is State.BACKING_OFF


def test_a_second_launch_in_a_place_is_judged_as_a_first_one():
    """A place that ended is filled again: it fails its launch, whatever ran there before."""
    story = _launched()
    story.feed(lc.Ready(at=0, incarnation=1))
    story.feed(lc.StopAsked(at=1, by="a test", grace=5))
    story.feed(lc.Ended(at=2, incarnation=1, reason="clean-exit", detail=""))
    story.feed(lc.Launched(at=3, policy=POLICY, timeout=30))
    assert (story.life.settled, story.life.restarts) == (False, 0)
    _crash(story, 4)
    assert story.life.state is State.FAILED
    assert logs.replay(story.entries)["app"] == story.life


def test_a_clean_exit_is_no_reason_to_start_again():
    story = _launched()
    story.feed(lc.Ready(at=0, incarnation=1))
    story.feed(lc.Ended(at=1, incarnation=1, reason="clean-exit", detail="its window was closed"))
    assert (story.life.state, story.life.reason) == (State.STOPPED, "clean-exit")


@pytest.mark.parametrize("state", State)
def test_who_exceeds_a_limit_is_ended_with_that_reason_while_it_lives(state):
    life = Life(policy=POLICY, state=state, incarnation=1, settled=True)
    event = lc.Exceeded(at=1, incarnation=1, reason="memory-limit", detail="it used 2 MB, and its limit is 1 MB")
    after, actions = lc.step(life, event)
    assert after is life
    assert actions == ((lc.End("memory-limit", event.detail),) if state in LIVE else ())


def test_a_stop_during_a_restart_wins():
    story = _launched()
    story.feed(lc.Ready(at=0, incarnation=1))
    story.feed(lc.RestartAsked(at=1, by="a test", grace=5, timeout=30))
    story.feed(lc.StopAsked(at=1, by="a test", grace=5))
    story.feed(lc.Ended(at=2, incarnation=1, reason="clean-exit", detail=""))
    assert story.life.state is State.STOPPED


def test_a_restart_during_a_stop_wins():
    story = _launched()
    story.feed(lc.Ready(at=0, incarnation=1))
    story.feed(lc.StopAsked(at=1, by="a test", grace=5))
    story.feed(lc.RestartAsked(at=1, by="a test", grace=5, timeout=30))
    story.feed(lc.Ended(at=2, incarnation=1, reason="clean-exit", detail=""))
    assert (story.life.state, story.life.incarnation, story.life.restarts) == (State.STARTING, 2, 1)


def _recycled():
    life, _ = lc.step(Life(), lc.Launched(at=0, policy=POLICY, timeout=30))
    life, _ = lc.step(life, lc.Ready(at=1, incarnation=1))
    return lc.step(life, lc.Recycled(at=5, incarnation=1, why="too large", grace=2))


@pytest.mark.parametrize("reason", ["clean-exit", "killed", "crashed"])
def test_a_recycled_app_comes_back_at_once_however_its_old_process_ends(reason):
    life, actions = _recycled()
    assert (life.state, life.recycling) == (State.STOPPING, True)
    assert [type(action) for action in actions] == [lc.Disarm, lc.Close, lc.Arm]
    life, actions = lc.step(life, lc.Ended(at=6, incarnation=1, reason=reason, detail="d"))
    assert (life.state, life.incarnation, life.recycling) == (State.STARTING, 2, True)
    assert lc.Place() in actions
    life, _ = lc.step(life, lc.Ready(at=7, incarnation=2))
    assert (life.state, life.recycling, life.recycles, life.restarts) == (State.RUNNING, False, 1, 0)
    assert (life.detail, life.failures) == ("too large", ())


def test_a_stop_goes_before_a_recycle():
    life, _ = _recycled()
    life, _ = lc.step(life, lc.StopAsked(at=5.5, by="a test", grace=5))
    life, _ = lc.step(life, lc.Ended(at=6, incarnation=1, reason="clean-exit", detail=""))
    assert (life.state, life.recycling, life.recycles) == (State.STOPPED, False, 0)


def test_a_recycled_app_that_does_not_come_up_is_judged_like_any_other():
    life, _ = _recycled()
    life, _ = lc.step(life, lc.Ended(at=6, incarnation=1, reason="clean-exit", detail=""))
    life, _ = lc.step(life, lc.Ended(at=7, incarnation=2, reason="crashed", detail="d"))
    assert (life.state, life.recycling, len(life.failures)) == (State.CRASHED, False, 1)


# --- a supervisor that takes a lost one's place -----------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("start_again", [False, True])
def test_what_was_wanted_of_a_lost_supervisor_starts_again(state, start_again):
    found = Life(
        policy=POLICY,
        state=state,
        incarnation=4,
        restarts=2,
        settled=True,
        recycling=True,
        start_again=start_again,
        failures=(1.0, 2.0),
        reason="crashed",
        detail="before",
    )
    after, actions = lc.step(Life(), lc.Resumed(at=5, life=found, reason="killed", detail="lost"))
    over = state in (State.STOPPED, State.CRASHED, State.FAILED) or (state is State.STOPPING and not start_again)
    assert not after.recycling and not after.start_again
    assert (after.policy, after.failures, after.settled) == (POLICY, found.failures, True)
    if over:
        assert (after.state, actions) == (State.FAILED if state is State.FAILED else State.STOPPED, ())
        assert (after.incarnation, after.restarts, after.reason) == (4, 2, "crashed")
    else:
        assert (after.state, after.incarnation, after.restarts) == (State.STARTING, 5, 3)
        assert lc.Place() in actions
        # One that backed off had ended before.
        assert after.reason == ("crashed" if state is State.BACKING_OFF else "killed")
