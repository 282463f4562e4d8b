"""Why an app died, in brief; and how more of it is asked for. Supervisor and controllers.

Every end that nobody wanted makes a report. It is numbered at once; what only time can show (that the app is back, what
its neighbours felt) is added within seconds under the same number.
"""

from __future__ import annotations

import msgspec

from .words import Isolation, Message

SUPERVISOR_LOST = "supervisor-lost"
"""The reason of the one report that is about the platform itself: its supervisor ended, and every app with it."""


class CrashBrief(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a report: cheap to tell, and told again with the same `number` when something is added.

    `number` counts from 1 over a platform's whole life, its supervisor's losses included. `place`, `app_id`, `title`,
    `color`: which app; `place` is empty where the platform itself was lost. `at`: when its end was noticed, in seconds
    since the epoch. `incarnation`, `pid`: which of its processes. `reason`: as in `AppStatus`, or `SUPERVISOR_LOST`.
    `sentence`: the cause in one plain sentence; `detail`: the platform's own clause, with the evidence. `isolation`,
    `shared_with`: how its process was placed, and who else was in it. `uptime`: seconds from its readiness to its end;
    `None` if it never was ready. `fault`: how it was broken on purpose just before, by `App.crash`. `back_after`:
    seconds until the app ran again, as `back_pid`; `None` until it does. `gave_up`: why it will not by itself; empty
    while that is open. `complete`: nothing will be added any more.
    """

    number: int
    place: str
    app_id: str
    title: str
    color: str | None = None
    at: float
    incarnation: int = 0
    pid: int | None = None
    reason: str
    sentence: str
    detail: str = ""
    isolation: Isolation = "process"
    shared_with: tuple[str, ...] = ()
    uptime: float | None = None
    fault: str = ""
    back_after: float | None = None
    back_pid: int | None = None
    gave_up: str = ""
    complete: bool = False

    @property
    def placement(self) -> str:
        """How its process was placed, in words."""
        return {"process": "own process", "shared-process": "shared process"}.get(self.isolation, "shared renderer")


class RecallBriefs(Message, frozen=True, tag="recall-briefs"):
    """Answer with what is known in brief of every report of this platform that is kept: `list[CrashBrief]`."""

    id: int


class RecallReport(Message, frozen=True, tag="recall-report"):
    """Answer with the `CrashReport` of this number, as far as it is known. Refused as `BadRequest` if there is none."""

    id: int
    number: int
