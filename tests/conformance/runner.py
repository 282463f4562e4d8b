"""Drives the suite's own page, which runs the tests in mocha, and takes their results from it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labplatform import App

PACE = "LABPLATFORM_FDC3_PACE"
"""Environment variable: how many times slower the runner's clock goes; 1 if unset.

The suite gives an app one second to be launched, do its work and report. A machine that cannot start a process with a
browser in that time, or has other work, would fail by its speed alone. The tests stay as they are, and so do the apps
that they open: it is only the runner's page that lives in slower time.
"""
BETWEEN_LOOKS = 1.0
"""Seconds between two looks at the results so far."""

# Before any script of the page: mocha keeps what it finds.
_SLOWER = """<script>((factor) => {
    const RealDate = Date, {now} = RealDate, began = now(), ticks = performance.now.bind(performance);
    const slowed = () => Math.round(began + (now() - began) / factor);
    window.Date = class extends RealDate {
        constructor(...parts) { parts.length ? super(...parts) : super(slowed()); }
    };
    Date.now = slowed;
    performance.now = () => ticks() / factor;
    for (const name of ["setTimeout", "setInterval"]) {
        const real = window[name];
        window[name] = (call, delay, ...rest) => real(call, (delay || 0) * factor, ...rest);
    }
})(%s)</script>"""

_WATCH = """(() => {
    window.report = {total: 0, done: false, results: []};
    const run = mocha.run.bind(mocha);
    mocha.run = (...rest) => {
        const runner = run(...rest);
        const note = (test, problem) => report.results.push([test.titlePath().join(" > "), problem]);
        report.total = runner.total;
        runner.on("pass", (test) => note(test, ""));
        runner.on("pending", (test) => note(test, "it was left out"));
        runner.on("fail", (test, error) => note(test, String(error?.message ?? error) || "no reason given"));
        runner.on("end", () => { report.done = true; });
        return runner;
    };
})()"""

_START = """((pack) => {
    const menu = document.getElementById("testSuite");
    menu.value = pack;
    if (menu.value !== pack) throw new Error(`the suite has no pack ${pack}`);
    document.getElementById("runButton").click();
})"""


class Result(NamedTuple):
    """One test, or a hook of mocha's that failed. `problem` is empty for one that passed."""

    title: str
    problem: str


def pace() -> float:
    """See `PACE`."""
    return float(os.environ.get(PACE, "1"))


def slow_down(page: Path, factor: float) -> None:
    """Give a page a slower clock."""
    page.write_text(_SLOWER % json.dumps(factor) + page.read_text(encoding="utf-8"), encoding="utf-8")


def run(app: App, pack: str, seconds: float) -> Iterator[Result]:
    """Run a pack of the suite's in the page that is its runner, and yield each result when it is there.

    Raises `AssertionError` if the whole is not done after `seconds`, or if results are missing.
    """
    app.evaluate_js(_WATCH, timeout=20)
    app.evaluate_js(f"{_START}({json.dumps(pack)})", timeout=20)
    deadline = time.monotonic() + seconds
    seen = tests = 0
    while True:
        report = app.evaluate_js("report", timeout=20)
        for title, problem in report["results"][seen:]:
            tests += " hook" not in title
            yield Result(title, problem)
        seen = len(report["results"])
        if report["done"]:
            break
        assert time.monotonic() < deadline, f"only {seen} of {report['total']} were done after {seconds:g} s"
        time.sleep(BETWEEN_LOOKS)
    assert tests == report["total"], f"{tests} of {report['total']} tests have a result"
