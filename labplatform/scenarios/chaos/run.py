"""A plan carried out on a platform: faults at their times, what is felt beside them, and what came of each. Kernel.

Everything runs on the caller's own thread, in small steps, so that Ctrl-C finds it between two of them: what is done so
far is returned then, and what was set up for the faults under way is undone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ... import messages as m
from ...connection import Connection
from ...errors import LabError, SupervisorLost
from ...kernel.app import App
from ...kernel.platform import Platform
from .injection import Injection
from .plan import DEFAULT, FAULTS, SUPERVISOR, Planned, plan, possible
from .report import ChaosReport

LOOK_EVERY = 0.02
"""Seconds between two steps."""
CALM_SAMPLES = 2
"""Samples of every app that are taken before the first fault, for comparison."""
SHOWN = 40
"""Faults of a plan that are said before it begins; of more, how many."""
OVERHEARD = 1000
"""Messages between apps that the supervisor keeps for this run, if it has to wait."""


def run(
    platform: Platform,
    seed: int,
    duration: float,
    faults: Sequence[str] | None,
    apps: Sequence[App | str] | None,
    count: int | None,
    at_once: int,
    timeout: float,
    say: Callable[[str], None],
) -> ChaosReport:
    """What `Platform.chaos` does; `say` takes a line for the person. Raises `ValueError`, `UnknownApp`."""
    wanted = tuple(faults or DEFAULT)
    if unknown := [fault for fault in wanted if fault not in FAULTS]:
        raise ValueError(f"no fault is called {unknown[0]!r}; there are: {', '.join(FAULTS)}")
    if not 0 < duration <= 86_400 or not 0 < timeout <= 3600:
        raise ValueError("duration and timeout are seconds: more than 0, a day and an hour at most")
    count = max(1, round(duration / 5)) if count is None else count
    if count < 1 or at_once < 1:
        raise ValueError("count and at_once are 1 or more")
    named = list(apps if apps is not None else [app for app in platform.apps if app.state not in ("stopped", "failed")])
    struck = [platform[app if isinstance(app, str) else app.name] for app in named]
    if not struck:
        raise ValueError("there is no app to strike: launch some first")
    choices = {app.name: _possible(platform, app, wanted) for app in struck}
    planned = plan(seed, duration, count, choices, SUPERVISOR in wanted)
    colors = {app.name: app.color for app in struck if app.color}
    report = ChaosReport(seed, platform.isolation, planned, colors)
    return _Run(platform, report, at_once, timeout, say).carry_out()


def _possible(platform: Platform, app: App, wanted: tuple[str, ...]) -> tuple[str, ...]:
    alone = platform.isolation == "process" and not app.shared_with
    return possible(wanted, app.url is not None, alone, app.enforcement.tier != "off")


class _Run:
    """One run."""

    def __init__(
        self, platform: Platform, report: ChaosReport, at_once: int, timeout: float, say: Callable[[str], None]
    ) -> None:
        self._platform, self._report = platform, report
        self._at_once, self._timeout, self._say = at_once, timeout, say
        self._seen = platform.events[-1].seq if platform.events else 0
        self._under_way: list[Injection] = []
        self._waiting: list[Injection] = []
        self._felt = _Felt(platform)
        self._overheard = _Overheard(platform)

    def carry_out(self) -> ChaosReport:
        report = self._report
        self._tell_plan()
        began = time.time()
        try:
            self._overheard.listen()
            self._wait_for_calm()
            began = time.time()
            self._inject(began)
        except KeyboardInterrupt:
            report.interrupted = True
        except SupervisorLost as error:
            report.problem = error.message
        finally:
            for injection in [*self._waiting, *self._under_way]:
                if not injection.over:
                    injection.note(problem="the run ended before")
                injection.leave()
                self._enter(injection)
            self._overheard.close()
            report.seconds = time.time() - began
            self._mend()
        return report

    def _tell_plan(self) -> None:
        planned = self._report.planned
        count = f"{len(planned)} fault{'s' * (len(planned) != 1)}"
        self._say(f"chaos with seed {self._report.seed}: {count} in {planned[-1].at:.0f} s, or as long as it takes")
        for one in planned[:SHOWN]:
            self._say(f"  {one}")
        if len(planned) > SHOWN:
            self._say(f"  and {len(planned) - SHOWN} more")

    def _wait_for_calm(self) -> None:
        """Take a few samples of what all feel while nothing happens."""
        began, enough = time.time(), self._felt.seconds(CALM_SAMPLES + 1)
        while time.time() < began + enough:
            self._felt.look(())
            time.sleep(LOOK_EVERY)
        self._report.calm = self._felt.worst(began, time.time(), ())[0]

    def _inject(self, began: float) -> None:
        to_come = list(self._report.planned)
        number = 0
        while to_come or self._under_way or self._waiting:
            while to_come and time.time() - began >= to_come[0].at and self._may_begin(to_come[0]):
                number += 1
                self._begin(Injection(self._platform, to_come.pop(0), number, began, self._timeout))
            self._hear()
            for injection in list(self._under_way):
                injection.step()
                if injection.over:
                    self._under_way.remove(injection)
                    self._waiting.append(injection)
            broken = [injection for injection in [*self._under_way, *self._waiting] if injection.broken]
            self._felt.look(_struck(broken))
            for injection in list(self._waiting):
                # What its neighbours felt until it was back is in the sample after that.
                if self._felt.complete(injection.ended, injection.planned.app):
                    self._waiting.remove(injection)
                    self._enter(injection)
            self._look_whether_it_is_lost()
            time.sleep(LOOK_EVERY)

    def _look_whether_it_is_lost(self) -> None:
        """Nothing more can be done where the platform is gone, and neither a fault of this run's brings it back nor it
        itself. Raises `SupervisorLost`.
        """
        platform = self._platform
        ours = any(one.planned.fault == SUPERVISOR for one in self._under_way)
        if platform.state in ("lost", "stopped") and not ours and not platform._recovery.under_way:
            raise SupervisorLost(platform.problem or f"the platform is {platform.state}")

    def _begin(self, injection: Injection) -> None:
        for other in self._under_way:
            other.beside.add(injection.planned.app)
            injection.beside.add(other.planned.app)
        self._under_way.append(injection)

    def _may_begin(self, planned: Planned) -> bool:
        """One fault at a time for an app, and the supervisor's alone."""
        busy = self._under_way
        if len(busy) >= self._at_once or any(one.planned.fault == SUPERVISOR for one in busy):
            return False
        if planned.fault == SUPERVISOR:
            return not busy
        return all(one.planned.app != planned.app for one in busy)

    def _hear(self) -> None:
        new: list[m.Entry] = []
        for entry in reversed(self._platform.events):
            if entry.seq <= self._seen:
                break
            new.append(entry)
        if new:
            self._seen = new[0].seq
            for injection in [*self._under_way, *self._waiting]:
                injection.hear(new[::-1])
        self._overheard.renew()

    def _enter(self, injection: Injection) -> None:
        """Its row is whole."""
        row, report = injection.row, self._report
        if injection.since:
            until = injection.ended or time.time()
            along = row.along or tuple(name for name in injection.along() if name not in injection.beside)
            gap, neighbour = self._felt.worst(injection.since, until, (row.app, *along))
            missed = self._overheard.missed(row.app, injection.since, until)
            injection.note(along=along, gap=gap, neighbour=neighbour, missed=missed)
            row = injection.row
        report.rows = (*report.rows, row)
        self._say(f"{len(report.rows)} of {len(report.planned)}  {row}")

    def _mend(self) -> None:
        """Start again, without waiting for it, what a fault of the run has left down and the policy leaves so."""
        connection = self._platform._connection
        for name in {row.app for row in self._report.rows if row.app and row.back is None}:
            app = self._platform._by_name.get(name)
            if connection and app is not None and app.state in ("stopped", "failed"):
                connection.tell(m.Restart, place=name, timeout=self._timeout)


def _struck(injections: Iterable[Injection]) -> set[str]:
    return {name for one in injections for name in (one.planned.app, *one.along())}


class _Felt:
    """How late every app ran, from the samples that the platform takes of it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._samples: dict[str, list[tuple[float, float | None]]] = defaultdict(list)

    def seconds(self, samples: int) -> float:
        """How long so many samples take."""
        return samples * self._platform._sampling

    def look(self, struck: Iterable[str]) -> None:
        """Take what samples have come. What a struck app feels is not counted: that is no neighbour's."""
        for app in self._platform.apps:
            metrics, samples = app.metrics, self._samples[app.name]
            if metrics is None or (samples and samples[-1][0] >= metrics.at):
                continue
            up = app.state == "running" and app.name not in struck
            samples.append((metrics.at, metrics.lag if up else None))
            del samples[: -int(120 / self._platform._sampling)]

    def complete(self, at: float, but: str) -> bool:
        """Whether every app that runs, but for this one, has been looked at since then, or it takes too long."""
        if time.time() > at + self.seconds(3):
            return True
        wanted = [app.name for app in self._platform.apps if app.state == "running" and app.name != but]
        return all(self._samples[name] and self._samples[name][-1][0] > at for name in wanted)

    def worst(self, since: float, until: float, but: Sequence[str]) -> tuple[float | None, str]:
        """The longest lag of any app but these within a time, and whose it was."""
        worst: tuple[float | None, str] = (None, "")
        for name, samples in self._samples.items():
            if name in but:
                continue
            before: float | None = None
            for at, lag in samples:
                # A sample is of the time since the one before it; the first after a fault of its own is that fault's.
                covered = at - self._platform._sampling < until and at > since
                if covered and lag is not None and before is not None and (worst[0] is None or lag > worst[0]):
                    worst = (lag, name)
                before = lag
        return worst


class _Overheard:
    """What apps said to each other, over a connection of this run's own: whose messages did somebody miss?"""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._connection: Connection | None = None
        self._to: Any = None
        self._messages: list[m.RoutedMessage] = []

    def listen(self) -> None:
        """From now on."""
        self._to = self._platform._connection
        if self._to is not None:
            self._connection = Connection(*self._platform._address, on_overheard=self._take)
            self._connection.tell(m.Overhear, most=OVERHEARD)

    def renew(self) -> None:
        """Listen again where there is another supervisor than before."""
        if self._platform._connection not in (None, self._to):
            self.close()
            try:
                self.listen()
            except LabError:
                pass

    def close(self) -> None:
        """No longer."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _take(self, overheard: m.Overheard) -> None:
        # On the connection's thread; the list is replaced, never changed.
        self._messages = [*self._messages, *overheard.messages][-10 * OVERHEARD :]

    def missed(self, place: str, since: float, until: float) -> int:
        """How many messages went over channels meanwhile on which this app had been heard to listen, and not to it."""
        messages = self._messages
        known = {one.channel for one in messages if one.channel and one.time < since and _to(one, place)}
        return sum(
            since <= one.time <= until and one.channel in known and not _to(one, place) and str(one.sender) != place
            for one in messages
        )


def _to(message: m.RoutedMessage, place: str) -> bool:
    return any(one.place == place for one in message.receivers)
