"""`Platform`: the user's handle on one platform. Kernel (or any Python script).

It starts a supervisor on first use, shows what that reports as observable values, and passes on what the user asks.
Nothing that must stay responsive lives here: user code may hold the kernel's interpreter for as long as it likes.
"""

from __future__ import annotations

import atexit
import os
import secrets
import sys
import threading
import time
import weakref
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
from ..errors import LabError, LabTimeout, PlatformError, PlatformStopped, StartError, SupervisorLost, UnknownApp
from ..manifest import Manifest, PageTransport, parse_size
from ..resources import manifests_folder
from . import attaching, shell_requests
from .app import App
from .desktop_agent import NotebookAgent, title
from .ending import Ending
from .launching import Launching
from .observers import ObserverThread
from .overhearing import Overhearing
from .panel import Panel
from .recovery import Recovery
from .reports import Reported, checked_reporting
from .resolving import Resolver, Resolving
from .saying import say
from .start import Held, SupervisorProcess
from .watching import Watching
from .workspaces import Workspaces

if TYPE_CHECKING:
    from ..scenarios.chaos import ChaosReport

EVENTS_KEPT = 10_000
"""Log entries kept in the kernel; the supervisor keeps as many."""
STOP_SECONDS = 5.0
"""Seconds beyond those that its apps get in which a supervisor has to do its stop."""
_present: weakref.WeakSet[Platform] = weakref.WeakSet()


class Platform(Overhearing, Reported, Launching, Watching, Workspaces, Ending, Panel):
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

    @classmethod
    def attach(
        cls,
        which: int | str | Path | None = None,
        timeout: float = 10.0,
        *,
        resolver: Resolver | None = None,
        messages_kept: int = 1000,
        watch_messages: bool = False,
        auto_recover: bool = False,
        quiet: bool = False,
    ) -> Platform:
        """Take part in a platform of yours that runs already: a detached one, or another notebook's.

        `which`: its supervisor's PID, its name, or the path of its connection file; the only one if there is just one.
        `timeout`: seconds in which it has to answer. The other arguments are as those of `Platform`.

        What one side does the other sees, and both may do all that a platform can. `stop` stops it for everybody,
        `detach` and the end of this process only let go of it. One that is not detached ends with the process that
        started it; this one then says so. Raises `PlatformError` with a list of those that run where it is not clear
        which one is meant or there is none, `LabTimeout` where its supervisor does not answer.
        """
        supported, remedy = machine.supported()
        if not supported:
            raise StartError(remedy)
        deadline = time.monotonic() + timeout
        there = attaching.find(which, timeout)
        order, status = there.order(max(0.1, deadline - time.monotonic()))
        platform = cls.__new__(cls)
        Overhearing.__init__(platform, messages_kept, watch_messages)
        platform._take_over(order)
        platform._set_up(quiet, auto_recover, resolver)
        platform._observers = ObserverThread()
        platform.set_trait("state", "starting")
        held = attaching.hold(there, status)
        try:
            platform._connect(held, there.about.token, max(1.0, deadline - time.monotonic()))
        except BaseException:
            platform._let_go(on=True)
            raise
        _present.add(platform)
        platform.set_trait("state", "running")
        platform._look_whether_it_ended()
        return platform

    def _take_over(self, order: m.SupervisorOrder) -> None:
        """Be to this platform what the one is that started it."""
        self._order = order
        self.detached, self.attached, self.name = order.detached, True, order.name
        self.isolation, self.page_transport = order.isolation, order.page_transport
        self._manifests, self._remarks = order.manifests, order.remarks
        self._max_message, self._store = order.max_message, Path(order.store)
        self._alongside = True

    # --- start and stop

    def start(self, timeout: float = 15.0) -> Platform:
        """Start the supervisor, if it does not run yet; `launch` and all else do this by themselves. Returns itself.

        Raises `StartError` after `timeout` seconds, `PlatformStopped` if it was stopped before: make a new one then.
        """
        with self._lock:
            if self.state == "running":
                return self
            self._refuse_if_over()
            supported, remedy = machine.supported()
            if not supported:
                raise StartError(remedy)
            if not self._alongside:
                self._replace_former()
            self.set_trait("state", "starting")
            try:
                self._start(timeout)
            except BaseException:
                self._let_go()
                self.set_trait("state", "new")
                raise
            _present.add(self)
            self.set_trait("state", "running")
        self._look_whether_it_ended()
        return self

    def _start(self, timeout: float) -> None:
        attaching.refuse_taken(self.name)
        order = self._order = self._new_order()
        if order.qt_platform == "offscreen" and not self._quiet:
            say(f"labplatform: {order.display}")
        self._observers = ObserverThread()
        self._connect(SupervisorProcess(order, timeout), order.token, timeout)

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

    def _connect(self, held: Held, token: str, timeout: float) -> None:
        """Be a controller of this supervisor, and know what is there. Raises `LabError` after `timeout` seconds."""
        self._process = held
        self._address = (held.ready.port, token)
        self._connection = Connection(
            *self._address,
            on_news=self._take_news,
            on_frame=self._take_frame,
            on_question=self._resolving.opened,
            on_answer=self._resolving.closed,
            on_overheard=self._take_messages,
            on_end=self._connection_ended,
        )
        so_far = self._connection.ask(m.Subscribe, list[m.Entry], timeout)
        status = self._connection.ask(m.Describe, m.PlatformStatus, timeout)
        self._enforcement = status.enforcement
        with self._news_lock:
            # News may have come before this answer was taken, with entries that are in it as well.
            known = {entry.seq: entry for entry in [*so_far, *self._entries]}
            self._entries = deque((known[seq] for seq in sorted(known)), maxlen=EVENTS_KEPT)
            self.set_trait("events", tuple(self._entries))
            there = {app.place for app in status.apps}
            for app in status.apps:
                self._app_for(app)
            for name in [name for name in self._by_name if name not in there]:
                del self._by_name[name]
            self.set_trait("apps", tuple(self._by_name.values()))
        self._recall_reports(self._connection, timeout)
        self._resolving.connected()
        self._begin_to_overhear()

    def _connected_again(self) -> None:
        """What this side of a lost platform had asked for is asked for once more."""
        self._look_whether_it_ended()
        for place in list(self._watchers):
            self._renew_watch(place)
        self._agent.come_back()

    def restart(self, timeout: float = 60.0) -> Platform:
        """Bring a lost platform back, with the apps that were up, where they were and with what they had kept.

        The `App`s stay the same objects; their incarnations and the numbers of the log go on counting. Where another
        notebook has brought it back already, this one takes part in that. Does nothing on a platform that runs. An
        interrupt leaves it lost, and nothing running. Returns itself. Raises `LaunchError` where not all of its apps
        came back, `LabTimeout` after `timeout` seconds, `StartError`, and `PlatformStopped` on one that was stopped.
        """
        self._refuse_in_observer("Platform.restart()")
        self._refuse_in_fork()
        with self._lock:
            if self.state == "lost":
                self._recovery.restart(timeout)
                return self
        return self.start(timeout)

    def stop(self, timeout: float = 5.0) -> None:
        """Stop every app and the supervisor; nothing is left when this returns.

        That is for everybody who takes part in it, one that is detached or belongs to another notebook included;
        `detach` only lets go. Apps get `timeout` seconds to close and are killed then, and so is a supervisor that does
        not answer. Does nothing on a platform that is not running.
        """
        self._stop(timeout, _who())

    def _stop(self, timeout: float, by: str) -> None:
        if os.getpid() != self._pid:
            return
        self._refuse_in_observer("Platform.stop()")
        self._recovery.give_up()
        with self._lock:
            if self.state == "new":
                self._why_over = "this platform was stopped before it started"
                self.set_trait("state", "stopped")
            if self.state != "lost" and self._process is None:
                return
            if self.state == "running":
                self._why_over = "this platform was stopped; make a new Platform() to go on"
                self.set_trait("state", "stopped")
                pid, others = self.supervisor_pid, not self._quiet and (self.attached or self.detached)
                try:
                    self._connection.ask(m.Shutdown, type(None), timeout + STOP_SECONDS, timeout=timeout, by=by)
                except LabTimeout:
                    self._process.end()
                except LabError:
                    pass
                finally:
                    # Also when interrupted: it has been asked to, and this process's own ends by being let go of.
                    self._let_go()
                if others:
                    say(f"labplatform: platform {pid} was stopped, for everybody who took part in it")
            else:
                if self.state == "lost":
                    self._why_over = "this platform was lost and then stopped; make a new Platform() to go on"
                    self.set_trait("state", "stopped")
                self._let_go()
            _present.discard(self)

    def detach(self) -> None:
        """Let go of the platform, and let it go on: one that is detached, or that `attach` has taken part in.

        `Platform.attach` takes part in it again. What this one shows stays as it was last. Raises `PlatformError` for a
        platform that would end with this process.
        """
        if os.getpid() != self._pid:
            return
        self._refuse_in_observer("Platform.detach()")
        if not self._goes_on:
            raise PlatformError(
                "this platform ends with the process that started it, and that is this one; Platform(detached=True) "
                "makes one that goes on"
            )
        self._recovery.give_up()
        with self._lock:
            if self.state != "running":
                self._stop(0, "")
                return
            pid = self.supervisor_pid
            self._why_over = f"platform {pid} was let go of here, and goes on; Platform.attach({pid}) takes part again"
            self.set_trait("state", "let-go")
            self._let_go(on=True)
            _present.discard(self)

    @property
    def _goes_on(self) -> bool:
        """Whether it does not end with this process."""
        return self.detached or self.attached

    def _let_go(self, on: bool = False) -> None:
        """End connections, supervisor (unless it is to go `on`) and observers, in that order."""
        if self.state != "starting":
            self._agent.close()
        process, self._process = self._process, None
        self._hang_up()
        if process and on:
            process.release()
        elif process and process.close() is None:
            print(
                f"labplatform: the guardian (PID {process.guardian_pid}) is still ending this platform's processes",
                file=sys.stderr,
            )
        self._resolving.ended()
        if self._observers:
            self._observers.stop()
        self._wake_all()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _wake_all(self) -> None:
        """Let those who wait for an app look at what the platform is now."""
        for app in list(self._by_name.values()):
            with app._changed:
                app._changed.notify_all()

    def _replace_former(self) -> None:
        for former in list(_present):
            if former is self or former._alongside or (former.detached and not self.detached):
                continue
            if former.state in ("lost", "stopped"):
                # Its guardian and its threads are still this process's to let go of.
                former.stop()
            elif former.state == "running":
                count = sum(app.state not in ("stopped", "failed") for app in former.apps)
                if not self._quiet:
                    say(f"labplatform: replacing the platform started before ({count} of its apps were up)")
                former.stop()

    def __enter__(self) -> Platform:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        if self._goes_on:
            self.detach()
        else:
            self.stop()

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


def _who() -> str:
    """This process, as others are told of it."""
    name = title() or "a notebook"
    return f"{'a script' if name.startswith('-') else name} (process {os.getpid()})"


@atexit.register
def _stop_all() -> None:
    for platform in list(_present):
        if platform._goes_on:
            platform.detach()
        else:
            platform._stop(1.0, f"the end of {_who()}")
