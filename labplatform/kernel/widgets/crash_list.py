"""`CrashList`: the crash reports, newest first: open one, put two beside each other, take one along. Kernel; its
page side is `static/crash_list.js`.

What a report says comes from `Platform.crash_reports`; all the evidence is fetched when somebody opens one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import traitlets

from ... import messages as m
from ...colours import NOBODY, shades
from ...reports import page as pages
from ..reports import CrashReport
from .page_side import page_side
from .part import Part
from .table_still import table_still

if TYPE_CHECKING:
    from ..platform import Platform

MOST_LISTED = 200
"""Reports that are listed, the newest."""
FETCH_SECONDS = 10.0
"""Seconds that the evidence may take."""
IN_STILL = 12
"""Reports in the still picture."""


class CrashList(Part):
    """Why apps died, one line each. Made by `Platform.crash_list`."""

    _esm = page_side("crash_list.js")
    _css = page_side("crash_list.css")

    OF_PLATFORM = ("state", "apps", "crash_reports")

    count = traitlets.Int(0, help="How many reports there are; on the page too.").tag(sync=True)

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._count_all(None)
        # The tab that holds it says how many there are, whether anybody sees the list or not.
        platform.observe(self._count_all, names=["crash_reports"])

    def close(self) -> None:
        """Stop counting, and take it off the page."""
        self._platform.unobserve(self._count_all, names=["crash_reports"])
        super().close()

    def _count_all(self, _: Any) -> None:
        with self._guard:
            if self.comm is not None:
                self.count = len(self._platform.crash_reports)

    def _facts(self) -> dict[str, Any]:
        reports = self._platform.crash_reports
        return {"reports": [listed(report) for report in reversed(reports[-MOST_LISTED:])], "all": len(reports)}

    def _still(self) -> str:
        reports = self._platform.crash_reports[-IN_STILL:]
        rows = [
            [time.strftime("%H:%M:%S", time.localtime(one.at)), one.title, one.sentence, back_in_words(one)]
            for one in reversed(reports)
        ]
        columns = [("Time", 80), ("App", 150), ("Why", 420), ("", 110)]
        return table_still(
            "Crash reports", columns, rows, [one.color for one in reversed(reports)], f"{len(rows)} of {self.count}"
        )

    # --- what a person asks for

    def do_open(self, number: int) -> dict[str, str]:
        """One report as a page, and what it is called."""
        report = self._report(number)
        return {"html": pages.page(report.full(FETCH_SECONDS)), "title": f"{report.title}: {report.sentence}"}

    def do_export(self, number: int, kind: str) -> dict[str, str]:
        """One report as a file: `kind` is "html" or "json"."""
        report = self._report(number)
        if kind not in ("html", "json"):
            raise ValueError(f'a report is exported as "html" or "json", not {kind!r}')
        full = report.full(FETCH_SECONDS)
        text = pages.document(full) if kind == "html" else msgspec.json.format(m.encode(full)).decode()
        at = time.strftime("%Y%m%d-%H%M%S", time.localtime(report.at))
        return {"text": text, "name": f"crash-{report.app or 'platform'}-{at}.{kind}"}

    def _report(self, number: int) -> CrashReport:
        for report in self._platform.crash_reports:
            if report.number == number:
                return report
        raise ValueError(f"there is no crash report {number}")


def listed(report: CrashReport) -> dict[str, Any]:
    """A report as a line of the list."""
    return {
        "number": report.number,
        "at": report.at,
        "app": report.app,
        "title": report.title,
        "color": report.color or "",
        "shades": shades(report.color or NOBODY),
        "sentence": report.sentence,
        "reason": report.reason,
        "back": back_in_words(report),
    }


def back_in_words(report: CrashReport) -> str:
    """How long its app was gone, if it is back."""
    return "" if report.back_after is None else f"back in {report.back_after:.1f} s"
