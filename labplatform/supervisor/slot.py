"""One app on the platform, as the supervisor holds it: its life, and what fills its place at the moment. Supervisor."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
import uuid
from collections import deque
from pathlib import Path

from .. import messages as m
from ..manifest import Manifest, ResourceLimits
from .endings import Ending
from .figures import PageFigures
from .health import Pulse
from .history import History
from .lifecycle import LIVE, Life, State
from .limits.wanted import Lately
from .peer import Peer
from .session import Session
from .spawn import HostProcess

SETTLED = 2.0
"""Seconds after which, and over which, what an app has is taken for what it needs at least."""
CONSOLE_KEPT = 50
"""Lines of a page's console that are kept."""

COMPLAINTS_A_SECOND = 5
"""Errors of an app's own doing, on its page's console or in what it asks of others, that go into the platform's log in
a second; the lines of the console are all kept apart."""
NO_LIMITS = ResourceLimits()
_revisions = itertools.count(1)


class Slot:
    """A place and its present incarnation."""

    def __init__(
        self, name: str, manifest: Manifest, limits: ResourceLimits = NO_LIMITS, wish: m.Isolation | None = None
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.limits = limits
        self.wish = wish
        """How it is to be isolated, if whoever launched it said so."""
        self.tier = ""
        self.setting_limits = asyncio.Lock()
        self.life = Life()
        self.since = 0.0
        self.ended_at = 0.0
        """When its last incarnation ended, in seconds since the epoch; 0 before that."""
        self.silent_at = 0.0
        """When it was called unresponsive last, likewise."""
        self.ready_at: float | None = None
        self.lately = Lately(SETTLED)
        self.console: deque[m.ReportedLine] = deque(maxlen=CONSOLE_KEPT)
        self.processes: tuple[m.ProcessInfo, ...] = ()
        self.history = History()
        self.sandbox = m.SandboxInfo(why="no renderer has been looked at yet")
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.watchers: set[asyncio.Future[None]] = set()
        self.host: HostProcess | None = None
        self.pid: int | None = None
        self.placed: tuple[str, m.Isolation] = (f"app:{name}", "process")
        """The key of the host that it belongs in, and how that isolates its pages."""
        self.shared_with: tuple[str, ...] = ()
        self.url: str | None = None
        self.window_open = False
        self.profile: Path | None = None
        self.persistent = ""
        """The name of the persistent storage that it holds; empty while its storage lasts for the session."""
        self.from_workspace = False
        """Whether it was brought back as a workspace had kept it."""
        self.looked_up = False
        """Whether it is known what is kept for it, beside what it has saved itself."""
        self.service_instance = ""
        self.user_channel = manifest.user_channel
        """Which user channel its next incarnation begins on: the one that the last was on when it ended."""
        self.opened_for = ""
        """The place of the app that opened it, or that opened the one which did; empty if a person launched it."""
        self._complaints: list[float] = []
        self.bounds: m.Bounds | None = None
        """Where its window is, or was."""
        self.new_incarnation()

    def new_incarnation(self) -> None:
        """Forget the former process and page: a new identity, a new token, nothing heard yet.

        A recycled app keeps its identity, as one does whose page is loaded anew. Where its window was is kept.
        """
        if not self.life.recycling:
            self.instance = str(uuid.uuid4())
        self.token = secrets.token_urlsafe(24)
        self.began_at = time.time()
        self.page: Peer | None = None
        self.session: Session | None = None
        self.renderer: int | None = None
        self.loaded = False
        self.dialog: str | None = None
        self.devtools = False
        """Whether its developer tools are open, which may let its page stand still."""
        self.closed_by: str | None = None
        self.doom: Ending | None = None
        self.fault = ""
        """How it was broken on purpose, and the app that this was done to where that is another; empty if it was not.
        """
        self.fault_at = 0.0
        self.exceeded_at = 0.0
        """When it went over a limit, in seconds since the epoch; 0 if it did not."""
        self.silences: tuple[float, float] | None = None
        """Seconds for which it had answered nothing: when it was first called unresponsive, and at the last look."""
        self.metrics: m.AppMetrics | None = None
        self.traceback = ""
        """What its Python side raised, if it did."""
        self.picture: m.ReportedPicture | None = None
        """The last one of its window."""
        self.last_look: tuple[m.ReportedLook, ...] = ()
        """How its processes were when it was ended for its silence."""
        self.restored: m.Restored | None = None
        """What its page was told of the one before it."""
        self.given_back = False
        """Whether its page was given what was saved of the one before it."""
        self.page_figures = PageFigures()
        self.page_pulse = Pulse()
        self.gui_pulse = Pulse()

    @property
    def state(self) -> State:
        """Where the app stands."""
        return self.life.state

    @property
    def live(self) -> bool:
        """Whether it has, or is about to have, a process or page."""
        return self.life.state in LIVE

    @property
    def has_page(self) -> bool:
        """Whether it shows a page at all; a service does not."""
        return self.manifest.has_page

    @property
    def awaited(self) -> str:
        """What an app that starts is still waited for, in words."""
        if self.host is None:
            return "its former process had not ended"
        if self.dialog:
            return f"a dialog is open ({self.dialog})"
        if not self.has_page:
            return f"its Python side, {self.manifest.python}, was still being imported"
        return f"it was still loading {self.manifest.page_url}"

    @property
    def uptime(self) -> float | None:
        """Seconds from its readiness to its end; `None` if this incarnation was never ready."""
        ready = self.ready_at is not None and self.ready_at >= self.began_at
        return max(0.0, self.ended_at - self.ready_at) if ready else None

    def silent_for(self, now: float) -> float:
        """Seconds for which it has answered nothing, by the loop's clock."""
        return max(self.gui_pulse.silent_for(now), self.page_pulse.silent_for(now) if self.has_page else 0.0)

    def may_complain(self) -> bool:
        """Whether one more error of its own doing goes into the platform's log: a few a second at most."""
        now = time.monotonic()
        self._complaints = [at for at in self._complaints if now - at < 1.0]
        if len(self._complaints) >= COMPLAINTS_A_SECOND:
            return False
        self._complaints.append(now)
        return True

    def status(self) -> m.AppStatus:
        """What controllers see of it."""
        return m.AppStatus(
            revision=next(_revisions),
            place=self.name,
            app_id=self.manifest.app_id,
            title=self.manifest.title,
            instance=self.instance,
            incarnation=self.life.incarnation,
            state=str(self.life.state),
            pid=self.pid if self.live else None,
            shared_with=self.shared_with,
            restarts=self.life.restarts,
            recycles=self.life.recycles,
            since=self.since,
            ready_at=self.ready_at,
            reason=self.life.reason,
            detail=self.life.detail,
            url=self.url and self.url[: m.MAX_URL],
            dialog=self.dialog,
            processes=self.processes if self.live else (),
            metrics=self.metrics if self.live else None,
            limits=self.limits,
            tier=self.tier,
            usage=self.host.group.usage() if self.host and self.live else m.Usage(),
            sandbox=self.sandbox,
            color=self.manifest.look.color,
            renderer=self.renderer if self.live else None,
            placement=m.Placement(
                host=self.placed[0],
                isolation=self.placed[1],
                pid=self.host.pid or None if self.host else None,
            ),
        )
