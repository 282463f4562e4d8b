"""`Platform`: the user's handle on one platform. Kernel (or any Python script).

It starts a supervisor on first use, shows what that reports as observable values, and passes on what the user asks.
Nothing that must stay responsive lives here: user code may hold the kernel's interpreter for as long as it likes.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import traitlets
from platformdirs import user_data_path

from .. import directory, machine, network
from .. import messages as m
from ..connection import Connection
from ..errors import PlatformError, PlatformStopped, SupervisorLost, UnknownApp
from ..manifest import Manifest, PageTransport, parse_size
from ..resources import manifests_folder
from . import attaching, shell_requests
from .app import App
from .desktop_agent import NotebookAgent
from .ending import Ending
from .launching import Launching
from .lifecycle import EVENTS_KEPT, Lifecycle
from .overhearing import Overhearing
from .panel import Panel
from .recovery import Recovery
from .reports import Reported, checked_reporting
from .resolving import Resolver, Resolving
from .saying import say
from .start import Held
from .watching import Watching
from .workspaces import Workspaces

if TYPE_CHECKING:
    from ..scenarios.chaos import ChaosReport


class Platform(Lifecycle, Overhearing, Reported, Launching, Watching, Workspaces, Ending, Panel):
    """A multi-process app platform, steered from here.

    `places`: where its apps are found: folders of apps, app folders, manifests (ours or OpenFin's), app directories and
    single records of them, as files or http(s) addresses, and addresses of pages; none for the samples that ship with
    labplatform. What an address holds is fetched here and now, within 10 seconds. `isolation`: "process" gives every
    app its own OS process; "shared-process" puts all of them in one, each with a renderer of its own; "shared-renderer"
    puts all pages in one renderer as well. `display`: "auto" takes the screen if there is one, "offscreen" never does.
    `theme`: "auto", "light" or "dark". `js_heap`: how much JavaScript heap a renderer may fill, in bytes or as text, 64
    MiB to 4 GiB; V8 ends it there. `heartbeat`: how a hang is noticed. `limits`: how the limits of apps are enforced,
    "auto" for the best way that works here, else "cgroup-v2", "systemd", "cgroup-v1", "watchdog" or "off";
    `enforcement` says what came of it. `sampling`: seconds between two readings of memory and CPU, 0.1 to 10.
    `recycle_at_once`: how many apps are recycled at one time; each takes a second process meanwhile.
    `boundary`: what the system puts between apps, "auto" for the strongest that works here, "bubblewrap", "landlock" or
    "off".
    `page_transport`: how pages reach the platform, unless their manifests say: by a "websocket" of their own, through
    their "host" process, or "auto", through it where they can open no WebSocket. `max_message`: how large a message
    between apps may be, in bytes or as text, 16 KiB to 4 MiB. `resolver`: chooses between apps, see
    `Platform.resolver`; `resolver_timeout`: seconds that a choice may take, at most 50. `messages_kept`: how many
    messages between apps `messages` keeps; `watch_messages`: from the start, not only from the first look at them on.
    `store`: the file in which apps' saved states and crash reports are kept, of any number of platforms; by default
    `labplatform/store.db` in the user's data folder. `reporting`: what goes into crash reports, and how long those are
    kept.
    `alongside`: keep the platform this process started before, instead of replacing it. `auto_recover`: bring it back
    by itself when its supervisor is lost, as `restart` does by hand; not after the third loss within a minute.
    `detached`: it outlives this process, until somebody stops it; `attach` takes part in it again. `name`: what it can
    be called then.

    Starts on first use, or as a context manager, which also stops it; one that is detached it lets go of. Raises
    `ManifestError`, `StartError`.
    """

    state = traitlets.Enum(
        ["new", "starting", "running", "stopped", "lost", "let-go"],
        "new",
        read_only=True,
        help="The platform as a whole; lost is one whose supervisor ended and was not asked to: see `restart`; let-go "
        "one that runs on, and is not seen from here any more: see `detach`.",
    )
    problem = traitlets.Unicode(
        "", read_only=True, help="Why it is lost, or was stopped by somebody else, and what can be done; else empty."
    )
    apps = traitlets.Tuple(read_only=True, help="Its apps, in the order of their launch.")
    metrics = traitlets.Instance(
        m.PlatformMetrics,
        allow_none=True,
        read_only=True,
        help="Its figures at the last sample: all apps, the supervisor, and what is left of the machine or container.",
    )
    events = traitlets.Tuple(read_only=True, help="Its event log, oldest first; the last 10 000 entries.")
    questions = traitlets.Tuple(
        read_only=True, help="Choices between apps that wait for a person here (`IntentQuestion`), oldest first."
    )
    last_question = traitlets.Any(
        None, read_only=True, help="The one that ended last: its question, how it ended, and the option chosen."
    )

    def __init__(
        self,
        *places: directory.Place,
        isolation: m.Isolation = "process",
        display: str = "auto",
        theme: m.Theme = "auto",
        js_heap: int | str = "1GiB",
        heartbeat: m.Heartbeat | None = None,
        limits: m.LimitsWish = "auto",
        sampling: float = 1.0,
        recycle_at_once: int = 1,
        page_transport: PageTransport = "auto",
        boundary: m.BoundaryWish = "auto",
        max_message: int | str = m.MAX_MESSAGE,
        resolver: Resolver | None = None,
        resolver_timeout: float = 45.0,
        messages_kept: int = 1000,
        watch_messages: bool = False,
        alongside: bool = False,
        quiet: bool = False,
        store: str | Path | None = None,
        reporting: m.Reporting | None = None,
        auto_recover: bool = False,
        detached: bool = False,
        name: str = "",
    ) -> None:
        super().__init__(messages_kept, watch_messages)
        self.detached, self.attached, self.name = detached, False, attaching.checked_name(name)
        if isolation not in ("process", "shared-process", "shared-renderer"):
            raise ValueError(f'isolation is "process", "shared-process" or "shared-renderer", not {isolation!r}')
        if display not in ("auto", "offscreen"):
            raise ValueError(f'display is "auto" or "offscreen", not {display!r}')
        if theme not in ("auto", "light", "dark"):
            raise ValueError(f'theme is "auto", "light" or "dark", not {theme!r}')
        if page_transport not in ("auto", "websocket", "host"):
            raise ValueError(f'page_transport is "auto", "websocket" or "host", not {page_transport!r}')
        if limits not in get_args(m.LimitsWish):
            raise ValueError(f"limits is one of {', '.join(get_args(m.LimitsWish))}; not {limits!r}")
        self._limits = limits
        self._js_heap = parse_size(js_heap)
        if not 64 << 20 <= self._js_heap <= 4 << 30:
            raise ValueError(f"js_heap is 64 MiB to 4 GiB, not {js_heap!r}")
        self._max_message = parse_size(max_message)
        if not m.LEAST_MESSAGE <= self._max_message <= m.MOST_MESSAGE:
            raise ValueError(f"max_message is 16 KiB to 4 MiB, not {max_message!r}")
        self.isolation = isolation
        found = directory.load(*(places or (manifests_folder(),)))
        self._manifests, self._remarks = found.manifests, found.remarks
        self._display, self._theme = display, theme
        self._heartbeat = _checked(heartbeat or m.Heartbeat())
        self.page_transport = page_transport
        if boundary not in get_args(m.BoundaryWish):
            raise ValueError(f"boundary is one of {', '.join(get_args(m.BoundaryWish))}; not {boundary!r}")
        self._boundary = boundary
        if not 0.1 <= sampling <= 10:
            raise ValueError(f"sampling is 0.1 to 10 seconds, not {sampling!r}")
        self._sampling = float(sampling)
        if isinstance(recycle_at_once, bool) or recycle_at_once not in range(1, m.MOST_RECYCLED + 1):
            raise ValueError(f"recycle_at_once is 1 to {m.MOST_RECYCLED}, not {recycle_at_once!r}")
        self._recycle_at_once = recycle_at_once
        if not 0 < resolver_timeout <= 50:
            raise ValueError(f"resolver_timeout is above 0 and at most 50 seconds, not {resolver_timeout!r}")
        self._resolver_timeout = resolver_timeout
        self._order: m.SupervisorOrder | None = None
        self._store = Path(store).absolute() if store else user_data_path("labplatform", appauthor=False) / "store.db"
        self._reporting = checked_reporting(reporting or m.Reporting())
        self._alongside = alongside
        self._set_up(quiet, auto_recover, resolver)
        self._warn([*self._remarks, *(said for one in self._manifests.values() for said in one.warnings)])

    def _set_up(self, quiet: bool, auto_recover: bool, resolver: Resolver | None) -> None:
        shell_requests.look_after()
        self._quiet = quiet
        self._resolving = Resolving(self)
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._news_lock = threading.Lock()
        self._by_name: dict[str, App] = {}
        self._entries: deque[m.Entry] = deque(maxlen=EVENTS_KEPT)
        self._watchers: dict[str, list[tuple[Callable[[m.Frame], None], float, int]]] = {}
        self._process: Held | None = None
        self._connection: Connection | None = None
        self._end_lock = threading.Lock()
        self._recovery = Recovery(self, auto_recover)
        self._why_over = ""
        self._enforcement: m.Enforcement | None = None
        self._agent = NotebookAgent(self)
        self.resolver = resolver

    def _new_order(self) -> m.SupervisorOrder:
        shown = machine.choose_display({} if self._display == "offscreen" else os.environ)
        flags, _ = machine.chromium_flags()
        way = network.survey()
        return m.SupervisorOrder(
            token=secrets.token_urlsafe(32),
            controller_pid=os.getpid(),
            folder=str(machine.runtime_folder()),
            isolation=self.isolation,
            manifests=self._manifests,
            remarks=(*self._remarks, *way.problems),
            network=way.network,
            qt_platform=shown.qt_platform,
            display=shown.why,
            chromium_flags=flags,
            js_heap=self._js_heap,
            theme=self._theme,
            heartbeat=self._heartbeat,
            page_transport=self.page_transport,
            max_message=self._max_message,
            limits=self._limits,
            sampling=self._sampling,
            recycle_at_once=self._recycle_at_once,
            boundary=self._boundary,
            resolver_timeout=self._resolver_timeout,
            store=str(self._store),
            reporting=self._reporting,
            detached=self.detached,
            name=self.name,
        )

    # --- what there is

    @property
    def manifests(self) -> Mapping[str, Manifest]:
        """The apps that can be launched, by app id."""
        return MappingProxyType(self._manifests)

    @property
    def supervisor_pid(self) -> int | None:
        """The supervisor's process; `None` while there is none."""
        return self._process.ready.pid if self._process else None

    @property
    def guardian_pid(self) -> int | None:
        """The guardian's process, the supervisor's parent; `None` while there is none."""
        return self._process.guardian_pid if self._process else None

    @property
    def connection_file(self) -> Path | None:
        """Where other terminals find this platform; `None` while it does not run."""
        return Path(self._process.ready.connection_file) if self._process else None

    @property
    def enforcement(self) -> m.Enforcement:
        """How the limits of its apps are enforced, and what cannot be promised here. Starts the platform."""
        if self._enforcement is None:
            self.start()
        return self._enforcement

    @property
    def desktop_agent(self) -> NotebookAgent:
        """FDC3's desktop agent for this notebook: broadcast to the other apps, listen, raise and handle intents."""
        return self._agent

    def describe(self) -> m.PlatformStatus:
        """The platform and all its apps, asked of the supervisor now."""
        return self._ask(m.Describe, m.PlatformStatus, 5.0)

    def __getitem__(self, name: str) -> App:
        """The app of this name. Raises `UnknownApp`."""
        try:
            return self._by_name[name]
        except KeyError:
            there = ", ".join(self._by_name) or "none"
            raise UnknownApp(f"no app is called {name!r} on this platform; there are: {there}", app=name) from None

    def __iter__(self) -> Iterator[App]:
        return iter(self.apps)

    def __repr__(self) -> str:
        up = sum(app.state in ("running", "unresponsive") for app in self.apps)
        return f"<Platform {self.isolation}: {self.state}, {up} of {len(self.apps)} apps up>"

    # --- what it does

    def chaos(
        self,
        seed: int | None = None,
        duration: float = 60.0,
        faults: Sequence[str] | None = None,
        apps: Sequence[App | str] | None = None,
        *,
        count: int | None = None,
        at_once: int = 1,
        timeout: float = 60.0,
        quiet: bool = False,
    ) -> ChaosReport:
        """Break apps at random, wait for each to be noticed and back, and return what came of it, a row for a fault.

        `seed`: the same one plans the same faults again; a new one is taken, and said, if none is given. `duration`:
        seconds over which they are spread; it takes longer where apps take longer to come back. `faults`: the kinds to
        choose from, by default all that an app can suffer: those of `App.crash`, and "memory-limit", "window-close",
        "recycle" and "slow", a page that computes and answers again in time; "supervisor" only if it is named. `apps`:
        whom they strike, by default all that are up. `count`: how many faults, by default one every five seconds.
        `at_once`: how many apps may be broken at the same time. `timeout`: seconds that each has to be noticed and to
        be back; what takes longer is an entry of the table, and no error.

        Says what is planned, and a line for each fault, unless `quiet`. Ctrl-C ends it, and what was done so far is
        returned. Raises `ValueError`, `UnknownApp`.
        """
        from ..scenarios.chaos import run

        self._ready_to_ask("chaos()")
        seed = secrets.randbelow(1_000_000) if seed is None else seed
        tell = (lambda line: None) if quiet else say
        return run(self, seed, duration, faults, apps, count, at_once, timeout, tell)

    # --- which app shall handle an intent

    @property
    def resolver(self) -> Resolver | None:
        """A function that chooses where several apps could handle an intent; `None`: people are asked.

        It is called with an `IntentQuestion` and returns one of its `options`, or `None`, which tells the app that
        raised the intent that the user has cancelled. It runs on the observers' thread, where it may take its time: at
        most `resolver_timeout` seconds, in which other observers wait. If it raises, or returns anything else, nobody
        is asked: the intent fails with FDC3's `ResolverUnavailable`, and the log says why.

        Without a function the question goes to every notebook that displays `intent_resolver()`; and unless one of
        those is on somebody's screen, to the window of the app that raised the intent, where windows are on a screen.
        Without any, `ResolverUnavailable`.
        """
        return self._resolving.function

    @resolver.setter
    def resolver(self, function: Resolver | None) -> None:
        self._resolving.function = function

    def intent_resolver(self) -> Any:
        """A widget in which a person chooses where several apps could handle an intent.

        It asks while it is displayed, during a busy cell too. See `resolver` for who else may be asked.
        """
        from .widgets.resolver import IntentResolver

        return IntentResolver(self)

    def choose(self, question: m.IntentQuestion, option: m.IntentOption | None) -> None:
        """Answer one of `questions` by one of its options; `None` cancels it. The first answer counts. Does not wait.

        Raises `ValueError`, `TypeError` for what is none of its options.
        """
        self._resolving.choose(question, option)

    # --- between connection and user

    def _ask(self, kind: type, answer: Any, seconds: float, **fields: Any) -> Any:
        return self._ready_to_ask(f"{kind.__name__.lower()}()").ask(kind, answer, seconds, **fields)

    def _tell(self, kind: type, **fields: Any) -> None:
        """Ask for something and wait for no answer; nothing happens on a platform that is not connected."""
        connection = self._connection
        if connection is not None:
            connection.tell(kind, **fields)

    def _ready_to_ask(self, call: str) -> Connection:
        """The connection, with the platform started if need be. Raises what keeps this call from being made."""
        self._refuse_in_observer(call)
        self._refuse_in_fork()
        self.start()
        connection = self._connection
        if connection is None:
            self._refuse_if_over()
            raise SupervisorLost("the platform is not connected")
        return connection

    def _refuse_in_fork(self) -> None:
        if os.getpid() != self._pid:
            raise PlatformError(
                f"this platform belongs to process {self._pid}, and this is a fork of it; make a Platform() of your own"
            )

    def _refuse_in_observer(self, call: str) -> None:
        if self._observers is not None:
            self._observers.refuse_here(call)

    def _refuse_if_over(self) -> None:
        if self.state in ("stopped", "lost", "let-go"):
            error = SupervisorLost if self.state == "lost" else PlatformStopped
            raise error(self._why_over)

    def _adopt(self, status: m.AppStatus) -> App:
        with self._news_lock:
            return self._app_for(status)

    def _app_for(self, status: m.AppStatus) -> App:
        app = self._by_name.get(status.place)
        if app is None:
            app = self._by_name[status.place] = App(self, status)
            self.set_trait("apps", tuple(self._by_name.values()))
        elif status.revision > app._status.revision:
            app._take(status)
        return app

    def _take_news(self, news: m.News) -> None:
        with self._news_lock:
            if news.entries:
                last = self._entries[-1].seq if self._entries else 0
                self._entries.extend(entry for entry in news.entries if entry.seq > last)
                self.set_trait("events", tuple(self._entries))
            for status in news.apps:
                self._app_for(status)
            for name in news.gone:
                if self._by_name.pop(name, None):
                    self.set_trait("apps", tuple(self._by_name.values()))
            if news.metrics:
                self.set_trait("metrics", news.metrics)
            if news.reports:
                self._take_reports(news.reports)
        for entry in () if self._quiet else news.entries:
            if entry.kind == "capacity" or (entry.kind == "workspace" and self._restoring):
                say(f"labplatform: {entry.text}")


def _checked(heartbeat: m.Heartbeat) -> m.Heartbeat:
    """The same heartbeat, if it is one. Raises `ValueError`."""
    try:
        heartbeat = m.decode(m.encode(heartbeat), m.Heartbeat)
    except msgspec.ValidationError as error:
        raise ValueError(f"heartbeat is a labplatform.Heartbeat: {error}") from None
    if heartbeat.ended_after <= heartbeat.silent_after:
        raise ValueError(
            f"heartbeat: ended_after ({heartbeat.ended_after}) is to be more than silent_after "
            f"({heartbeat.silent_after}), or a hang would never show"
        )
    return heartbeat
