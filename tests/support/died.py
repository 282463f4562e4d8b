"""Crash reports as they may come, made by hand: one of a leak, to be changed by those who need another."""

from __future__ import annotations

from typing import Any

import msgspec

from labplatform import messages as m
from labplatform.manifest import ResourceLimits

AT = 1_700_000_000.5
MB = 1e6
JPEG = b"\xff\xd8\xff\xe0 no picture, but nobody decodes it here \xff\xd9"


def figures(memory: list[float | None], *, step: float = 1.0, heap: list[float | None] | None = None) -> m.Recalled:
    """Figures in MB, the last a second before the end; all growth is in the renderer."""
    count = len(memory)
    times = tuple(AT - step * (count - index) for index in range(count))
    whole = tuple(None if value is None else value * MB for value in memory)
    page = tuple(None if value is None else value - 20 * MB for value in whole)
    nothing = (None,) * count
    columns = {
        "at": times,
        "memory": whole,
        "cpu": (12.0,) * count,
        "js_heap": tuple(value and value * MB for value in heap) if heap else nothing,
        "page_lag": (0.002,) * count,
        "gui_lag": nothing,
        "incarnation": (2.0,) * count,
    }
    rows = [(4712, "host", (20 * MB,) * count), (4713, "renderer", page)]
    processes = tuple(
        m.RecalledProcess(
            pid=pid, created=AT - 100, role=role, columns={"at": times, "memory": values, "cpu": (6.0,) * count}
        )
        for pid, role, values in rows
    )
    return m.Recalled(columns=columns, processes=processes)


def brief(**changes: Any) -> m.CrashBrief:
    """Of an app that went over its memory limit, and is back."""
    known = m.CrashBrief(
        number=3,
        place="tickers",
        app_id="tickers",
        title="Tickers",
        color="#0072B2",
        at=AT,
        incarnation=2,
        pid=4712,
        reason="memory-limit",
        sentence="Its memory reached its limit of 350 MB.",
        detail="it reached its limit of 350 MB, and the kernel killed a process (cgroup-v1)",
        uptime=70.0,
        back_after=0.8,
        back_pid=4831,
        complete=True,
    )
    return msgspec.structs.replace(known, **changes)


def report(*, head: dict[str, Any] | None = None, **changes: Any) -> m.CrashReport:
    """The same with its evidence. `head`: changes to the brief."""
    known = m.CrashReport(
        brief=brief(**(head or {})),
        created=AT - 71,
        ready_at=AT - 70,
        exit=m.ReportedExit(process="host", pid=4712, signal="SIGKILL", by="kernel, for the limit"),
        tier="cgroup-v1",
        limits=ResourceLimits(max_memory=350_000_000),
        limit=350_000_000,
        seen=350_000_000,
        figures=figures([100 + 4 * second for second in range(60)], heap=[20 + 4 * second for second in range(60)]),
        messages=(
            m.ReportedMessage(
                at=AT - 2,
                out=False,
                peers=("news",),
                type="broadcastEvent",
                channel="fdc3.channel.2",
                context_type="fdc3.instrument",
                size=200,
            ),
            m.ReportedMessage(at=AT - 1, out=True, peers=("news",), type="intentEvent", intent="ViewNews", size=300),
        ),
        console=(m.ReportedLine(at=AT - 3, level="warning", text="history is long", source="app://tickers/a.js:3"),),
        stderr="a line of its host\n",
        picture=m.ReportedPicture(data=JPEG, width=420, height=300, at=AT - 2.1),
        restored=m.Restored(after="memory-limit", age=0.4, version=3),
        state_size=1234,
        channel="fdc3.channel.2",
        bounds=m.Bounds(left=0, top=0, width=400, height=300),
        evidence=(m.Evidence(at=AT, text="its control group counts oom_kill: 1", level="error"),),
        noticed_after=0.011,
        noticed="from the notice of its limit until its end was known",
        neighbours=(
            m.ReportedNeighbour(place="news", title="News", color="#009E73", felt="answered", lag=0.0036),
            m.ReportedNeighbour(place="details", title="Details", felt="answered", lag=0.001),
        ),
        lab="0.1.0",
    )
    return msgspec.structs.replace(known, **changes)
