"""`platform.crash_reports`: why apps died, newest last, observable. Kernel.

A report is here in brief as soon as the supervisor knows of an end. All the evidence is fetched when somebody wants to
see it; from the store where the platform is gone by then.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from .. import messages as m
from ..errors import BadRequest, LabError, PlatformError
from ..reports import archive
from .observers import Observable

if TYPE_CHECKING:
    from ..connection import Connection


class CrashReport:
    """Why one app died, at one time. Made by the platform; never by hand.

    What it says at once is known already; `full` fetches the rest. When something is added (`back_after`, say), every
    object of this report has it, and `Platform.crash_reports` changes.
    """

    def __init__(self, known: _Known) -> None:
        self._known = known

    @property
    def brief(self) -> m.CrashBrief:
        """All that is known at once, as a message."""
        return self._known.brief

    @property
    def number(self) -> int:
        """Its number on this platform, from 1."""
        return self.brief.number

    @property
    def app(self) -> str:
        """The app's name on the platform; empty where the platform itself was lost."""
        return self.brief.place

    @property
    def title(self) -> str:
        """The app's name for people."""
        return self.brief.title

    @property
    def color(self) -> str | None:
        """The app's colour, `#rrggbb`."""
        return self.brief.color

    @property
    def at(self) -> float:
        """When its end was known, in seconds since the epoch."""
        return self.brief.at

    @property
    def reason(self) -> str:
        """Why it ended, in one word: as in `App.reason`, or "supervisor-lost"."""
        return self.brief.reason

    @property
    def sentence(self) -> str:
        """The same in one plain sentence."""
        return self.brief.sentence

    @property
    def detail(self) -> str:
        """The same in the platform's own words, with the evidence."""
        return self.brief.detail

    @property
    def pid(self) -> int | None:
        """Its host process."""
        return self.brief.pid

    @property
    def incarnation(self) -> int:
        """Which of the processes that filled its place."""
        return self.brief.incarnation

    @property
    def uptime(self) -> float | None:
        """Seconds from its readiness to its end; `None` if it never was ready."""
        return self.brief.uptime

    @property
    def shared_with(self) -> tuple[str, ...]:
        """Names of the apps that were in the same process."""
        return self.brief.shared_with

    @property
    def back_after(self) -> float | None:
        """Seconds from its end until it ran again; `None` until it does."""
        return self.brief.back_after

    def full(self, timeout: float = 5.0) -> m.CrashReport:
        """All the evidence, as far as it is known now. Waits `timeout` seconds. Raises `LabError` where it is gone."""
        return self._known.full(timeout)

    def __repr__(self) -> str:
        return f"<CrashReport {self.number}: {self.app or 'the platform'}, {self.reason}>"


class _Known:
    """What is known of one report: shared by all objects of it."""

    def __init__(self, platform: Reported, brief: m.CrashBrief) -> None:
        self.brief = brief
        self._platform = platform
        self._all: m.CrashReport | None = None

    def full(self, seconds: float) -> m.CrashReport:
        if self._all is None or not self._all.brief.complete:
            self._all = self._platform._fetch_report(self.brief.number, self._all, seconds)
        return self._all


class Reported(Observable):
    """The part of a `Platform` that has crash reports."""

    crash_reports = traitlets.Tuple(read_only=True, help="Why its apps died (`CrashReport`), oldest first.")

    _connection: Connection | None
    _order: m.SupervisorOrder | None
    _store: Path

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known_reports: dict[int, _Known] = {}
        self._reports_lock = threading.Lock()

    def _take_reports(self, briefs: tuple[m.CrashBrief, ...] | list[m.CrashBrief]) -> None:
        """New ones, or ones to which something was added; on the connection's thread, or its starter's."""
        with self._reports_lock:
            shown = {report.number: report for report in self.crash_reports}
            for brief in briefs:
                known = self._known_reports.get(brief.number)
                if known is None:
                    known = self._known_reports[brief.number] = _Known(self, brief)
                elif known.brief == brief or (known.brief.complete and not brief.complete):
                    continue
                known.brief = brief
                # Another object, for observers are told of a tuple that is another.
                shown[brief.number] = CrashReport(known)
            self.set_trait("crash_reports", tuple(shown[number] for number in sorted(shown)))

    def _recall_reports(self, connection: Connection, seconds: float) -> None:
        """Those that were there before this connection."""
        self._take_reports(connection.ask(m.RecallBriefs, list[m.CrashBrief], seconds))

    def _fetch_report(self, number: int, so_far: m.CrashReport | None, seconds: float) -> m.CrashReport:
        if self._observers is not None:
            self._observers.refuse_here("CrashReport.full()")
        gone: LabError | None = None
        if connection := self._connection:
            try:
                return connection.ask(m.RecallReport, m.CrashReport, seconds, number=number)
            except (PlatformError, BadRequest) as error:
                gone = error
        try:
            found = archive.read(self._store, self._order.session, number) if self._order else None
        except LabError as error:
            found, gone = None, gone or error
        if found or so_far:
            return found or so_far
        raise gone or LabError(f"crash report {number} is not kept any more")
