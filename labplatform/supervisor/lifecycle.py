"""An app's life as a pure function: `step(life, event) -> (life, actions)`. No clock, no process, no socket.

Runs in the supervisor. Time comes in with each event (`at`, seconds since the epoch), and what is to be done goes out
as actions that the supervisor carries out. The same events, written to the log, replay to the same states. Everything
the operating system or Qt says about an end has become one `Ended` before it arrives here (see `endings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ..manifest import RestartPolicy


class State(StrEnum):
    """Where an app stands."""

    STARTING = "starting"
    RUNNING = "running"
    UNRESPONSIVE = "unresponsive"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CRASHED = "crashed"
    BACKING_OFF = "backing-off"
    FAILED = "failed"


S = State

LEGAL: dict[State, frozenset[State]] = {
    S.STARTING: frozenset({S.RUNNING, S.STOPPING, S.STOPPED, S.CRASHED, S.FAILED}),
    S.RUNNING: frozenset({S.UNRESPONSIVE, S.STOPPING, S.STOPPED, S.CRASHED}),
    S.UNRESPONSIVE: frozenset({S.RUNNING, S.STOPPING, S.STOPPED, S.CRASHED}),
    S.STOPPING: frozenset({S.STOPPED, S.STARTING}),
    S.STOPPED: frozenset({S.STARTING, S.BACKING_OFF, S.FAILED}),
    S.CRASHED: frozenset({S.BACKING_OFF, S.FAILED}),
    S.BACKING_OFF: frozenset({S.STARTING, S.STOPPED}),
    S.FAILED: frozenset({S.STARTING, S.STOPPED}),
}
"""Every transition there is. `step` refuses any other."""

LIVE = frozenset({S.STARTING, S.RUNNING, S.UNRESPONSIVE, S.STOPPING})
"""States in which the app has, or is about to have, a process or page."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what happens next to one app.

    `settled`: it has been ready once, so a failing start is a crash and not a failed launch. `failures`: when it ended
    so that its policy starts it again, within the longer of that policy's windows. `streak`: such ends since it was
    last stable; sets the back-off. `stable`: its present incarnation has been up for as long as that takes. `relapses`:
    ends in a row of incarnations that had been given back what was saved, and were not stable. `recycling`: from the
    end of a bloated process to the readiness of the fresh one; the app keeps its FDC3 identity over it.
    """

    policy: RestartPolicy = RestartPolicy()
    state: State = State.STOPPED
    incarnation: int = 0
    restarts: int = 0
    settled: bool = False
    start_again: bool = False
    recycling: bool = False
    recycles: int = 0
    launch_timeout: float = 30.0
    failures: tuple[float, ...] = ()
    streak: int = 0
    stable: bool = False
    relapses: int = 0
    reason: str | None = None
    detail: str = ""


# --- events -----------------------------------------------------------------------------------------------------------


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """`at`: seconds since the epoch."""

    at: float


class Launched(_Event, frozen=True, tag="launched"):
    """Somebody asked for the app. `timeout`: seconds a start may take."""

    policy: RestartPolicy
    timeout: float


class Ready(_Event, frozen=True, tag="ready"):
    """Its page is loaded, or its service runs."""

    incarnation: int


class Silent(_Event, frozen=True, tag="silent"):
    """`what` (page, GUI thread) left `missed` pings in a row unanswered."""

    incarnation: int
    what: str
    missed: int


class Answered(_Event, frozen=True, tag="answered"):
    """It answers again."""

    incarnation: int


class HangExpired(_Event, frozen=True, tag="hang-expired"):
    """It has been silent for longer than it may."""

    incarnation: int
    what: str
    missed: int


class Exceeded(_Event, frozen=True, tag="exceeded"):
    """It went over a limit for which it is ended. `reason`: `memory-limit` or `process-limit`."""

    incarnation: int
    reason: str
    detail: str


class Ended(_Event, frozen=True, tag="ended"):
    """Its process or page is gone. `reason`: one of the words in `endings`. `chance`: 0 to 1, for the back-off.
    `restored`: it had been given back what was saved of the one before.
    """

    incarnation: int
    reason: str
    detail: str
    chance: float = 0.0
    restored: bool = False


class BackedOff(_Event, frozen=True, tag="backed-off"):
    """The policy lets it start again, after `delay` seconds."""

    delay: float


class GaveUp(_Event, frozen=True, tag="gave-up"):
    """The policy does not let it start again."""

    detail: str


class StopAsked(_Event, frozen=True, tag="stop-asked"):
    """`by` somebody; it has `grace` seconds to close."""

    by: str
    grace: float


class KillAsked(_Event, frozen=True, tag="kill-asked"):
    """`by` somebody; at once, and for good."""

    by: str


class RestartAsked(_Event, frozen=True, tag="restart-asked"):
    """`by` somebody; close it if it runs, then start it. A failed app gets a clean slate."""

    by: str
    grace: float
    timeout: float


class Recycled(_Event, frozen=True, tag="recycled"):
    """A fresh process waits to take this one's place. `why`: too much memory, too old, or who asked."""

    incarnation: int
    why: str
    grace: float


class Resumed(_Event, frozen=True, tag="resumed"):
    """A supervisor that takes a lost one's place has found this `life`, which ended with that one."""

    life: Life
    reason: str
    detail: str


class TimerFired(_Event, frozen=True, tag="timer-fired"):
    """A timer that an `Arm` action asked for."""

    timer: str
    incarnation: int


Event = (
    Launched
    | Ready
    | Silent
    | Answered
    | HangExpired
    | Exceeded
    | Ended
    | BackedOff
    | GaveUp
    | StopAsked
    | KillAsked
    | RestartAsked
    | Recycled
    | Resumed
    | TimerFired
)

# --- actions ----------------------------------------------------------------------------------------------------------


class SetAside(msgspec.Struct, frozen=True):
    """Put away what was saved, `why` in words: the new incarnation comes without."""

    why: str


class Place(msgspec.Struct, frozen=True):
    """Find or make a host for the new incarnation and open it there."""


class Close(msgspec.Struct, frozen=True):
    """Ask it to close its window."""


class End(msgspec.Struct, frozen=True):
    """Kill what it runs in; the `Ended` that follows carries this reason and detail."""

    reason: str
    detail: str


class Arm(msgspec.Struct, frozen=True):
    """Send `TimerFired(timer)` after `seconds`; replaces a timer of the same name."""

    timer: str
    seconds: float


class Disarm(msgspec.Struct, frozen=True):
    """Forget these timers."""

    timers: tuple[str, ...]


class Follow(msgspec.Struct, frozen=True):
    """Feed this event next, before any other."""

    event: Event


Action = SetAside | Place | Close | End | Arm | Disarm | Follow
Step = tuple[Life, tuple[Action, ...]]

ALL_TIMERS = ("launch", "stop", "stable", "back-off")


class IllegalTransition(AssertionError):
    """A bug in this file: a handler led where `LEGAL` does not go."""


# --- the function -----------------------------------------------------------------------------------------------------


def step(life: Life, event: Event) -> Step:
    """What `event` makes of `life`, and what is to be done. An event that no longer matters changes nothing."""
    if getattr(event, "incarnation", life.incarnation) != life.incarnation:
        return life, ()
    after, actions = _HANDLERS[type(event)](life, event)
    if after.state is not life.state and after.state not in LEGAL[life.state]:
        raise IllegalTransition(f"{life.state} -> {after.state} on {event}")
    return after, actions


def _to(life: Life, state: State, **changes) -> Life:
    return msgspec.structs.replace(life, state=state, **changes)


def _start(life: Life, recycling: bool = False, **changes) -> Step:
    incarnation = life.incarnation + 1
    after = _to(
        life, S.STARTING, incarnation=incarnation, start_again=False, recycling=recycling, stable=False, **changes
    )
    set_aside: tuple[Action, ...] = ()
    if 0 < life.policy.restore_attempts <= after.relapses:
        why = f"{after.relapses} ends in a row, each right after it was restored"
        detail = f"{after.detail}; what it had saved was put aside: {why}"
        after, set_aside = msgspec.structs.replace(after, relapses=0, detail=detail), (SetAside(why),)
    return after, (Disarm(ALL_TIMERS), Arm("launch", after.launch_timeout), *set_aside, Place())


def _launched(life: Life, event: Launched) -> Step:
    if life.state not in (S.STOPPED, S.FAILED):
        return life, ()
    # Nothing of what filled this place before counts, or the launch of something else there would be judged by it.
    fresh = {"failures": (), "streak": 0, "settled": False, "restarts": 0, "recycles": 0, "relapses": 0}
    return _start(life, policy=event.policy, launch_timeout=event.timeout, **fresh)


def _ready(life: Life, event: Ready) -> Step:
    if life.state is not S.STARTING:
        return life, ()
    after = _to(life, S.RUNNING, settled=True, recycling=False)
    return after, (Disarm(("launch",)), Arm("stable", life.policy.stable_after))


def _silent(life: Life, event: Silent) -> Step:
    return (_to(life, S.UNRESPONSIVE), ()) if life.state is S.RUNNING else (life, ())


def _answered(life: Life, event: Answered) -> Step:
    return (_to(life, S.RUNNING), ()) if life.state is S.UNRESPONSIVE else (life, ())


def _hang_expired(life: Life, event: HangExpired) -> Step:
    if life.state is not S.UNRESPONSIVE:
        return life, ()
    return life, (End("unresponsive", f"its {event.what} left {event.missed} pings in a row unanswered"),)


def _exceeded(life: Life, event: Exceeded) -> Step:
    return (life, (End(event.reason, event.detail),)) if life.state in LIVE else (life, ())


def _ended(life: Life, event: Ended) -> Step:
    if life.state not in LIVE:
        return life, ()
    told = {"reason": event.reason, "detail": event.detail}
    if life.state is S.STOPPING:
        if life.recycling and life.start_again:
            # Whatever its end was like, it was wanted, and why is known already.
            return _start(life, recycling=True, recycles=life.recycles + 1)
        life = msgspec.structs.replace(life, **told)
        if life.start_again:
            return _start(life, restarts=life.restarts + 1)
        return _to(life, S.STOPPED, recycling=False), (Disarm(ALL_TIMERS),)
    life = msgspec.structs.replace(life, recycling=False)
    if life.state is S.STARTING and not life.settled:
        return _to(life, S.FAILED, **told), (Disarm(ALL_TIMERS),)
    clean, policy = event.reason == "clean-exit", life.policy
    if clean and policy.when != "always":
        return _to(life, S.STOPPED, **told), (Disarm(ALL_TIMERS),)
    relapses = life.relapses if clean else life.relapses + 1 if event.restored and not life.stable else 0
    kept = max(policy.within_seconds, policy.slow_within_seconds)
    failures = (*(at for at in life.failures if event.at - at < kept), event.at)
    counts = {"failures": failures, "streak": life.streak + 1, "relapses": relapses}
    after = _to(life, S.STOPPED if clean else S.CRASHED, **counts, **told)
    if refusal := _refusal(policy, failures, event.at):
        verdict: Event = GaveUp(at=event.at, detail=refusal)
    else:
        # The exponent is bounded so that a long streak cannot overflow a float.
        delay = min(policy.backoff * 2.0 ** min(life.streak, 60), policy.max_backoff)
        verdict = BackedOff(at=event.at, delay=delay * (1 - policy.jitter * event.chance))
    return after, (Disarm(ALL_TIMERS), Follow(verdict))


def _refusal(policy: RestartPolicy, failures: tuple[float, ...], now: float) -> str:
    """Why an app that ended at these times, the last of them now, is not started again; empty if it is."""
    if policy.when == "never":
        return "its policy is never to start it again"
    for most, seconds in (
        (policy.max_restarts, policy.within_seconds),
        (policy.slow_max_restarts, policy.slow_within_seconds),
    ):
        count = sum(now - at < seconds for at in failures)
        if count > most:
            return f"{count} ends within {seconds:g} s; {most} are allowed"
    return ""


def _waits_for_verdict(life: Life) -> bool:
    return life.state is S.CRASHED or (life.state is S.STOPPED and life.policy.when == "always")


def _backed_off(life: Life, event: BackedOff) -> Step:
    if not _waits_for_verdict(life):
        return life, ()
    return _to(life, S.BACKING_OFF), (Arm("back-off", event.delay),)


def _gave_up(life: Life, event: GaveUp) -> Step:
    return (_to(life, S.FAILED), ()) if _waits_for_verdict(life) else (life, ())


def _stop_asked(life: Life, event: StopAsked) -> Step:
    if life.state is S.STOPPING:
        return msgspec.structs.replace(life, start_again=False), ()
    if life.state in LIVE:
        return _to(life, S.STOPPING, recycling=False), (Disarm(ALL_TIMERS), Close(), Arm("stop", event.grace))
    if life.state in (S.BACKING_OFF, S.FAILED):
        return _to(life, S.STOPPED), (Disarm(ALL_TIMERS),)
    return life, ()


def _kill_asked(life: Life, event: KillAsked) -> Step:
    if life.state in LIVE:
        end = End("killed", f"killed by {event.by}")
        return _to(life, S.STOPPING, start_again=False, recycling=False), (Disarm(ALL_TIMERS), end)
    if life.state in (S.BACKING_OFF, S.FAILED):
        return _to(life, S.STOPPED), (Disarm(ALL_TIMERS),)
    return life, ()


def _restart_asked(life: Life, event: RestartAsked) -> Step:
    fresh = {"launch_timeout": event.timeout, "failures": (), "streak": 0}
    if life.state is S.STOPPING:
        return msgspec.structs.replace(life, start_again=True, **fresh), ()
    if life.state in LIVE:
        after = _to(life, S.STOPPING, start_again=True, recycling=False, **fresh)
        return after, (Disarm(ALL_TIMERS), Close(), Arm("stop", event.grace))
    if life.state in (S.STOPPED, S.FAILED, S.BACKING_OFF):
        return _start(life, restarts=life.restarts + 1, **fresh)
    return life, ()


def _recycled(life: Life, event: Recycled) -> Step:
    if life.state not in (S.RUNNING, S.UNRESPONSIVE):
        return life, ()
    after = _to(life, S.STOPPING, start_again=True, recycling=True, reason="clean-exit", detail=event.why)
    return after, (Disarm(ALL_TIMERS), Close(), Arm("stop", event.grace))


def _resumed(life: Life, event: Resumed) -> Step:
    if life.incarnation or life.state is not S.STOPPED:
        # This supervisor has filled the place already.
        return life, ()
    found = event.life
    wanted = found.state in LIVE and (found.state is not S.STOPPING or found.start_again)
    if not wanted and found.state is not S.BACKING_OFF:
        over = S.FAILED if found.state is S.FAILED else S.STOPPED
        return _to(found, over, start_again=False, recycling=False), ()
    # One that backed off had ended before, and for a reason of its own.
    told = {"reason": event.reason, "detail": event.detail} if wanted else {}
    return _start(found, restarts=found.restarts + 1, **told)


def _timer_fired(life: Life, event: TimerFired) -> Step:
    if event.timer == "launch" and life.state is S.STARTING:
        return life, (End("launch-failed", f"it was not ready after {life.launch_timeout:g} s"),)
    if event.timer == "stop" and life.state is S.STOPPING:
        return life, (End("killed", "it did not close in time, so the platform killed it"),)
    if event.timer == "stable" and life.state is S.RUNNING:
        return msgspec.structs.replace(life, streak=0, stable=True, relapses=0), ()
    if event.timer == "stable" and life.state is S.UNRESPONSIVE:
        # It may come to itself again, and is to be stable for as long as others from then on.
        return life, (Arm("stable", life.policy.stable_after),)
    if event.timer == "back-off" and life.state is S.BACKING_OFF:
        return _start(life, restarts=life.restarts + 1)
    return life, ()


_HANDLERS = {
    Launched: _launched,
    Ready: _ready,
    Silent: _silent,
    Answered: _answered,
    HangExpired: _hang_expired,
    Exceeded: _exceeded,
    Ended: _ended,
    BackedOff: _backed_off,
    GaveUp: _gave_up,
    StopAsked: _stop_asked,
    KillAsked: _kill_asked,
    RestartAsked: _restart_asked,
    Recycled: _recycled,
    Resumed: _resumed,
    TimerFired: _timer_fired,
}


def replay(events: Iterable[Event], life: Life | None = None) -> list[Life]:
    """The lives that these events lead through, one for each. What `Follow` led to is in the log as events as well."""
    life = life or Life()
    lives = []
    for event in events:
        life, _ = step(life, event)
        lives.append(life)
    return lives
