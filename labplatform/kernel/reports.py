"""`platform.crash_reports`: why apps died, newest last, observable. Kernel.

A report is here in brief as soon as the supervisor knows of an end. All the evidence is fetched when somebody wants to
see it; from the store where the platform is gone by then.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import traitlets

from .. import __version__
from .. import messages as m
from ..errors import BadRequest, LabError, PlatformError
from ..manifest import size_in_words
from ..reports import archive
from ..reports import page as pages
from ..reports import text as texts
from .observers import Observable

if TYPE_CHECKING:
    from ..connection import Connection


def checked_reporting(wish: m.Reporting) -> m.Reporting:
    """The same, if it is one. Raises `ValueError`."""
    try:
        return m.decode(m.encode(wish), m.Reporting)
    except msgspec.ValidationError as error:
        raise ValueError(f"reporting is a labplatform.Reporting: {error}") from None


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

    def text(self, timeout: float = 5.0) -> str:
        """All of it as one reads it in a terminal; in brief, and why, where the rest cannot be had."""
        return texts.text(self._shown(timeout))

    def to_html(self, path: str | Path, timeout: float = 5.0) -> Path:
        """Write it as a page, in one file that needs nothing else; returns its path. Raises as `full` does."""
        path = Path(path)
        path.write_text(pages.document(self.full(timeout)), encoding="utf-8")
        return path

    def to_json(self, path: str | Path, timeout: float = 5.0) -> Path:
        """Write all of it as JSON, the picture in base64; returns the file's path. Raises as `full` does."""
        path = Path(path)
        path.write_bytes(msgspec.json.format(m.encode(self.full(timeout))) + b"\n")
        return path

    def _shown(self, seconds: float = 5.0) -> m.CrashReport:
        try:
            return self.full(seconds)
        except LabError as error:
            missing = m.Evidence(text=f"the evidence cannot be had: {error.message}", level="error")
            return m.CrashReport(brief=self.brief, evidence=(missing,))

    def _repr_html_(self) -> str:
        return pages.page(self._shown())

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<CrashReport {self.number}: {self.app or 'the platform'}, {self.reason}>"


class _Known:
    """What is known of one report: shared by all objects of it."""

    def __init__(self, platform: Reported, brief: m.CrashBrief) -> None:
        self.brief = brief
        self._platform = platform
        self.all: m.CrashReport | None = None

    def full(self, seconds: float) -> m.CrashReport:
        if self.all is None or not self.all.brief.complete:
            self.all = self._platform._fetch_report(self.brief.number, self.all, seconds)
        return self.all


class Reported(Observable):
    """The part of a `Platform` that has crash reports."""

    crash_reports = traitlets.Tuple(read_only=True, help="Why its apps died (`CrashReport`), oldest first.")

    _connection: Connection | None
    _order: m.SupervisorOrder | None
    metrics: m.PlatformMetrics | None
    isolation: m.Isolation
    supervisor_pid: int | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known_reports: dict[int, _Known] = {}
        self._reports_lock = threading.Lock()

    def _take_reports(
        self, briefs: Iterable[m.CrashBrief], whole: Mapping[int, m.CrashReport] = MappingProxyType({})
    ) -> None:
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
                known.all = whole.get(brief.number, known.all)
                # Another object, for observers are told of a tuple that is another.
                shown[brief.number] = CrashReport(known)
            self.set_trait("crash_reports", tuple(shown[number] for number in sorted(shown)))

    def _recall_reports(self, connection: Connection, seconds: float) -> None:
        """Those that were there before this connection."""
        self._take_reports(connection.ask(m.RecallBriefs, list[m.CrashBrief], seconds))

    def _report_loss(self, at: float, why: str, apps: list[str]) -> m.CrashReport:
        """The report of this platform's own end, which nobody else can make any more."""
        supervisor = self.metrics.supervisor if self.metrics else None
        evidence = [m.Evidence(at=at, text=why, level="error")]
        if supervisor:
            figures = f"{size_in_words(supervisor.memory)}, {supervisor.cpu:.0f} % of a core"
            evidence.insert(0, m.Evidence(at=self.metrics.at, text=f"supervisor {supervisor.pid}: {figures}"))
        brief = m.CrashBrief(
            number=max(self._known_reports, default=0) + 1,
            place="",
            app_id="",
            title="The platform",
            at=at,
            pid=self.supervisor_pid,
            reason=m.SUPERVISOR_LOST,
            sentence="Its supervisor ended, and every app with it.",
            detail=why,
            isolation=self.isolation,
            uptime=at - supervisor.created if supervisor else None,
        )
        report = m.CrashReport(
            brief=brief,
            created=supervisor.created if supervisor else None,
            evidence=tuple(evidence),
            apps=tuple(apps),
            lab=__version__,
        )
        self._take_reports([brief], {brief.number: report})
        return report

    def _file_report(self, report: m.CrashReport) -> None:
        """Keep it, for a platform that nobody brings back as well."""
        order = self._order
        if order is not None and order.store:
            with contextlib.suppress(LabError):
                archive.write(Path(order.store), order.session, report)

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
            order = self._order
            found = archive.read(Path(order.store), order.session, number) if order and order.store else None
        except LabError as error:
            found, gone = None, gone or error
        if found or so_far:
            return found or so_far
        raise gone or LabError(f"crash report {number} is not kept any more")
