"""A plugin of pytest's for a run inside a guest: each test's outcome as a line of JSON, on the line to the outside.

LABPLATFORM_REPORTS=/dev/ttyS1 python -m pytest -p support.reports …
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

_run = os.environ.get("LABPLATFORM_RUN", "")


def _tell(**words: Any) -> None:
    with open(os.environ["LABPLATFORM_REPORTS"], "a") as file:
        file.write(json.dumps({"run": _run, **words}) + "\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line for the test itself, and one for whatever went wrong around it."""
    if report.when == "call" or not report.passed:
        _tell(
            test=report.nodeid,
            outcome=report.outcome,
            seconds=round(report.duration, 2),
            words=report.longreprtext[-8000:] if not report.skipped else str(report.longrepr),
            figures=dict(report.user_properties),
        )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The last line: pytest's own status."""
    _tell(status=int(exitstatus), collected=session.testscollected)
