"""A platform comes and goes by what is done here: start, attach, restart, detach, stop, and this process's end. Kernel.

How it ends by others is in `ending`.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any, Self

from .. import machine
from .. import messages as m
from ..connection import Connection
from ..errors import LabError, LabTimeout, PlatformError, StartError
from . import attaching
from .app import App
from .desktop_agent import NotebookAgent, title
from .observers import ObserverThread
from .overhearing import Overhearing
from .recovery import Recovery
from .resolving import Resolver, Resolving
from .saying import say
from .start import Held, SupervisorProcess

EVENTS_KEPT = 10_000
"""Log entries kept in the kernel; the supervisor keeps as many."""
STOP_SECONDS = 5.0
"""Seconds beyond those that its apps get in which a supervisor has to do its stop."""
_present: weakref.WeakSet[Lifecycle] = weakref.WeakSet()


class Lifecycle:
    """How a `Platform` comes and goes."""

    state: str
    apps: tuple[App, ...]
    supervisor_pid: int | None

    # What the rest of the platform gives.
    _agent: NotebookAgent
    _alongside: bool
    _app_for: Any
    _begin_to_overhear: Any
    _by_name: dict[str, App]
    _connection: Connection | None
    _connection_ended: Any
    _enforcement: m.Enforcement | None
    _entries: deque[m.Entry]
    _lock: Any
    _look_whether_it_ended: Any
    _new_order: Any
    _news_lock: Any
    _observers: ObserverThread | None
    _pid: int
    _process: Held | None
    _quiet: bool
    _recall_reports: Any
    _recovery: Recovery
    _refuse_if_over: Any
    _refuse_in_fork: Any
    _refuse_in_observer: Any
    _renew_watch: Any
    _resolving: Resolving
    _set_up: Any
    _take_frame: Any
    _take_messages: Any
    _take_news: Any
    _watchers: dict[str, Any]
    _why_over: str
    set_trait: Any

    # --- to come

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
    ) -> Self:
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

    def start(self, timeout: float = 15.0) -> Self:
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

    # --- to be there again

    def restart(self, timeout: float = 60.0) -> Self:
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

    # --- to go

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

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        if self._goes_on:
            self.detach()
        else:
            self.stop()


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
