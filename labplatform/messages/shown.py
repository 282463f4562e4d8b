"""What everybody shows: an app, its processes, its sandbox, the platform, a line of its log. Any process."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..capacity import Capacity
from ..manifest import ResourceLimits
from .words import Isolation


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One OS process of an app's tree, by the pid that the machine's `ps` shows.

    `created`: seconds since the epoch; a pid alone is reused. `memory`: bytes resident and not shared (`statm`).
    `rss`: bytes resident, shared ones too. `cpu`: percent of one core over the last sampling period. `role`: host,
    zygote, renderer, helper, sandbox, supervisor. `pss`, `uss`: proportional and unique bytes (`smaps_rollup`), which
    take a hundred times as long to read and so are read in turn: `measured` says when, in seconds since the epoch;
    `None` before the first time, and where the system does not let them be read.
    """

    pid: int
    created: float
    role: str
    memory: int
    cpu: float
    rss: int = 0
    threads: int = 0
    pss: int | None = None
    uss: int | None = None
    measured: float | None = None


class AppMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one app at one moment, over its whole process tree. Sizes are bytes, times seconds.

    In a host that several apps share, everything but `js_heap` and `page_lag` is the whole host's. `at`: seconds since
    the epoch. `memory`: private to the tree, as the tier counts it that limits it. `pss`, `uss`: `None` until every
    process of the tree has been read; `pss_age`: how old the oldest of these readings is. `cpu`: percent of one core.
    `page_lag`: how late the page's event loop was at worst since the sample before (its own timer's drift), or for how
    long it has not answered pings; `gui_lag`: how long the host's GUI thread took to answer them, or has not.
    """

    at: float
    memory: int
    rss: int
    cpu: float
    threads: int
    processes: int
    pss: int | None = None
    uss: int | None = None
    pss_age: float | None = None
    js_heap: int | None = None
    js_heap_limit: int | None = None
    page_lag: float | None = None
    gui_lag: float | None = None

    @property
    def lag(self) -> float | None:
        """The worse of the two lags, in seconds."""
        return max((lag for lag in (self.page_lag, self.gui_lag) if lag is not None), default=None)


class PlatformMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's figures at one moment (`at`, seconds since the epoch), and what is left of the machine.

    `apps_memory`, `apps_cpu`: over all hosts. `supervisor`: its own row. `capacity`: of the machine, or of the
    container where that has less. `machine_cpu`: percent of one core that everything on the machine used together.
    """

    at: float
    apps_memory: int
    apps_cpu: float
    supervisor: ProcessInfo
    capacity: Capacity
    machine_cpu: float = 0.0


class BoundaryInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the system puts between an app and its neighbours of the same user.

    `kind`: "bubblewrap", "landlock" or "none". `processes`: it can neither trace nor read theirs; `files`: nor their
    files and what else it was not given; `signals`: nor signal them; `network`: it has none but the platform's. `why`:
    why it is no more than this.
    """

    kind: str = "none"
    processes: bool = False
    files: bool = False
    signals: bool = False
    network: bool = False
    why: str = ""

    def __str__(self) -> str:
        kept = [name for name in ("processes", "files", "signals", "network") if getattr(self, name)]
        words = f"{self.kind}, which keeps it from others' {', '.join(kept)}" if kept else "none"
        return words + (f" ({self.why})" if self.why else "")


class SandboxInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the running renderer really has, read from `/proc/PID/status` and its namespaces; `None` is "not known".

    `seccomp`: a system-call filter is on. `pid_namespace`, `network_namespace`, `user_namespace`: it has one of its
    own, other than its app host's. `why`: why something is missing, where that is known. `boundary`: what stands around
    the whole app.
    """

    seccomp: bool | None = None
    pid_namespace: bool | None = None
    network_namespace: bool | None = None
    user_namespace: bool | None = None
    why: str = ""
    boundary: BoundaryInfo | None = None

    @property
    def holds(self) -> bool:
        """Whether Chromium's renderer sandbox is on: a filter, and namespaces of its own."""
        return bool(self.seccomp and self.pid_namespace)

    def __str__(self) -> str:
        if self.seccomp is None:
            return f"not known: {self.why}" if self.why else "not known"
        parts = [
            name
            for name, on in (
                ("seccomp filter", self.seccomp),
                ("own PID namespace", self.pid_namespace),
                ("no network of its own", self.network_namespace),
                ("own user namespace", self.user_namespace),
            )
            if on
        ]
        return (", ".join(parts) if parts else "off") + (f" ({self.why})" if self.why else "")


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where an app belongs, whether it runs or not.

    `host`: the name of its host; apps with the same one share a process. `isolation`: how that host keeps its pages
    apart: "process" for an app of its own, "shared-process" with a renderer for each page, "shared-renderer" with one
    for all. `pid`: the host process that holds its place; it may have outlived the app's page. `None` while there is
    none.
    """

    host: str = ""
    isolation: Isolation = "process"
    pid: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole app uses, as its tier of limits counts it.

    `memory`, `peak`: bytes, now and at most so far. `throttled`: how often it has had to wait because it had used up
    its CPU. `processes`: how many there are.
    """

    memory: int = 0
    peak: int = 0
    throttled: int = 0
    processes: int = 0


class Enforcement(msgspec.Struct, frozen=True, kw_only=True):
    """How limits are enforced, in words for people.

    `tier`: "cgroup-v2", "systemd", "cgroup-v1", "watchdog", or "off". `why`: why nothing better, one clause a tier.
    `counts`: what it takes for an app's memory. `cannot`: what it does not promise.
    """

    tier: str
    why: tuple[str, ...] = ()
    counts: str = ""
    cannot: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.tier}: {self.counts}" if self.counts else self.tier]
        return "\n".join(
            [*lines, *(f"  not taken: {reason}" for reason in self.why), *(f"  {no}" for no in self.cannot)]
        )


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where a window is on its screen, and how large what it shows is, in CSS pixels."""

    left: int
    top: int
    width: int
    height: int


class AppStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All that a controller shows of one app. Times are seconds since the epoch, sizes bytes.

    `revision` grows with each status the supervisor gives, so that an older one is told from a newer one. `reason` says
    why the app ended last, in Electron's process-gone words (and `unresponsive`, `memory-limit`, `process-limit`);
    `detail` in plain ones. `limits`: what it is held to, as far as `tier` does; that is "off" in a host that several
    apps share. `usage`: what counts against them.
    """

    revision: int
    place: str
    app_id: str
    title: str
    instance: str
    incarnation: int
    state: str
    pid: int | None
    shared_with: tuple[str, ...]
    restarts: int
    recycles: int
    since: float
    ready_at: float | None
    reason: str | None
    detail: str
    url: str | None
    dialog: str | None
    processes: tuple[ProcessInfo, ...]
    metrics: AppMetrics | None
    limits: ResourceLimits
    tier: str
    usage: Usage
    sandbox: SandboxInfo
    color: str | None
    renderer: int | None = None
    placement: Placement = Placement()


class PlatformStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The platform as a whole."""

    metrics: PlatformMetrics
    enforcement: Enforcement
    guardian_pid: int
    controller_pid: int
    isolation: str
    display: str
    apps: tuple[AppStatus, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the platform's event log: a lifecycle event and what it led to, or a remark.

    `seq` counts from 1 without gaps. `time`: seconds since the epoch. `event`: the lifecycle event as JSON, enough to
    replay the log; empty for a remark. `kind`: the event's name. `was` and `state`: the app's state before and after.
    """

    seq: int
    time: float
    kind: str
    place: str | None = None
    instance: str | None = None
    was: str | None = None
    state: str | None = None
    text: str = ""
    level: Literal["info", "warning", "error"] = "info"
    event: dict[str, Any] = {}
