"""`App`: one place on a platform, as a notebook holds it. Kernel.

It stays the same object while processes come and go in it; `incarnation` counts them. Its values change as the
supervisor reports, and can be observed (traitlets); they are never asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import traitlets

from .. import messages as m
from ..errors import LabTimeout, NotRunning
from ..manifest import ResourceLimits
from .growth import SETTLING, Trend
from .history import History
from .observers import Observable
from .picture import Screenshot

if TYPE_CHECKING:
    from .platform import Platform

State = Literal["starting", "running", "unresponsive", "stopping", "stopped", "crashed", "backing-off", "failed"]


class Keep(Enum):
    """What stands for "as it is" where `None` means "none at all"."""

    KEEP = "keep"


KEEP = Keep.KEEP

_OVER = ("stopped", "failed")
"""States that an app does not leave by itself."""


def _one_of(value: Any, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}; not {value!r}")


class App(Observable):
    """One app. Made by `Platform.launch`; never by hand."""

    state = traitlets.Unicode("starting", read_only=True, help="Where it stands: " + ", ".join(get_args(State)) + ".")
    instance_id = traitlets.Unicode("", read_only=True, help="FDC3 instanceId of the present incarnation.")
    incarnation = traitlets.Int(0, read_only=True, help="How many times this place has been filled, from 1.")
    pid = traitlets.Int(None, allow_none=True, read_only=True, help="Its host process; None while it has none.")
    renderer = traitlets.Int(
        None, allow_none=True, read_only=True, help="The process its page runs in; None while it has none."
    )
    recycles = traitlets.Int(0, read_only=True, help="How often it was given a fresh process.")
    restarts = traitlets.Int(0, read_only=True, help="How often it was started again, by policy or by hand.")
    reason = traitlets.Unicode(
        None,
        allow_none=True,
        read_only=True,
        help="Why it ended last: clean-exit, abnormal-exit, killed, crashed, oom, launch-failed, unresponsive, "
        "memory-limit, process-limit, memory-eviction (by the machine's own out-of-memory killer).",
    )
    detail = traitlets.Unicode("", read_only=True, help="The same in one clause for people.")
    shared_with = traitlets.Tuple(read_only=True, help="Names of the apps that live in the same host process.")
    former_pid = traitlets.Int(
        None, allow_none=True, read_only=True, help="The host process it had before; None until it has had another."
    )
    former_renderer = traitlets.Int(None, allow_none=True, read_only=True, help="The same of its page's process.")
    processes = traitlets.Tuple(
        read_only=True,
        help="Its OS processes, host first: pid, created (seconds since the epoch), role, memory (bytes), cpu (percent "
        "of one core).",
    )
    limits = traitlets.Instance(
        ResourceLimits,
        (),
        read_only=True,
        help="What it may use; None in a field means no limit. How far that holds, `enforcement` says.",
    )
    metrics = traitlets.Instance(
        m.AppMetrics,
        allow_none=True,
        read_only=True,
        help="Its figures at the last sample: memory (bytes), cpu (percent of one core), js_heap (bytes), lag "
        "(seconds) and more; None while it has no process.",
    )
    dialog = traitlets.Unicode(None, allow_none=True, read_only=True, help="What an open dialog asks, if one is open.")
    url = traitlets.Unicode(None, allow_none=True, read_only=True, help="The page it shows.")

    def __init__(self, platform: Platform, status: m.AppStatus) -> None:
        super().__init__()
        self._platform = platform
        self._status = status
        self._changed = threading.Condition()
        self._trend = Trend()
        self._observers = None
        self._take(status)
        self._observers = platform._observers

    # --- what it is

    @property
    def name(self) -> str:
        """Its name on the platform: the app id, and a number from the second instance on."""
        return self._status.place

    @property
    def app_id(self) -> str:
        """Which app it is: the manifest's `uuid`."""
        return self._status.app_id

    @property
    def title(self) -> str:
        """Its name for people."""
        return self._status.title

    @property
    def color(self) -> str | None:
        """Its one colour, `#rrggbb`."""
        return self._status.color

    @property
    def has_page(self) -> bool:
        """Whether it shows a page; a service does not. True where its manifest is not known here, too."""
        manifest = self._platform.manifests.get(self.app_id)
        return manifest is None or manifest.has_page

    @property
    def uptime(self) -> float | None:
        """Seconds since its present incarnation was ready; `None` while it is not up."""
        status = self._status
        if status.ready_at is None or status.state not in ("running", "unresponsive"):
            return None
        return max(0.0, time.time() - status.ready_at)

    @property
    def since(self) -> float:
        """When it came into its present state, in seconds since the epoch."""
        return self._status.since

    @property
    def growth(self) -> float | None:
        """Bytes a second that its memory has grown by over the last dozen seconds; 0 where it does not clearly grow or
        shrink, `None` before that is known.
        """
        return self._trend.growth

    @property
    def full_in(self) -> float | None:
        """Seconds until it reaches its memory limit if it goes on growing so; `None` if it does not, or has no limit
        that holds.
        """
        growth, metrics, limit = self.growth, self.metrics, self.limits.max_memory
        if not growth or growth < 0 or metrics is None or limit is None or self.enforcement.tier == "off":
            return None
        return max(0.0, limit - metrics.memory) / growth

    @property
    def sandbox(self) -> m.SandboxInfo:
        """What Chromium's sandbox really gives its renderer, read from the running process."""
        return self._status.sandbox

    @property
    def placement(self) -> m.Placement:
        """Which host it belongs in, and with how much of its own; also while it has no process."""
        return self._status.placement

    @property
    def usage(self) -> m.Usage:
        """What it uses of its limits, as they are counted (see `enforcement`); a sampling period old at most."""
        return self._status.usage

    @property
    def enforcement(self) -> m.Enforcement:
        """How its limits are enforced, how memory is counted for them, and what cannot be promised here."""
        platform = self._platform.enforcement
        if self._status.tier != "off" or platform.tier == "off":
            return platform
        return m.Enforcement(tier="off", why=("it is placed in a process that apps share, and limits hold for one",))

    @property
    def events(self) -> list[m.Entry]:
        """Its lines of the platform's event log, oldest first."""
        return [entry for entry in self._platform.events if entry.place == self.name]

    def history(self, seconds: float = 600.0, timeout: float = 5.0) -> History:
        """Its figures over the last `seconds`, of all its incarnations and processes: arrays, and tables for pandas.

        A day is kept, and comes back with a platform whose supervisor was lost; where the platform's store cannot be
        used, ten minutes. `timeout`: seconds to wait for them.
        """
        deadline = time.monotonic() + timeout
        parts = [self._ask(m.Recall, m.Recalled, timeout, span=seconds)]
        while parts[-1].more:
            after = parts[-1].columns["at"][-1]
            parts.append(self._ask(m.Recall, m.Recalled, max(0.1, deadline - time.monotonic()), after=after))
        return History(parts)

    def state_aside(self, timeout: float = 5.0) -> m.StateAside | None:
        """What it had saved, where that was put aside: where it crashed again and again, each time soon after it had
        been given it back. It came back without then, as the log says. `None` where that has not happened. The last
        one stays until the platform ends. `timeout`: seconds. Raises `LabTimeout`, and `StoreError` where it cannot be
        read.
        """
        return self._ask(m.RecallAside, m.StateAside | None, timeout)

    # --- what it does

    def evaluate_js(self, code: str, timeout: float = 5.0) -> Any:
        """Run JavaScript in its page and return the value; a promise is awaited.

        `timeout`: seconds. Returns JSON values (None, bool, int, float, str, list, dict), as `JSON.stringify` makes
        them. Raises `JavaScriptError` when the code throws or its value has no JSON form, `LabTimeout`, `NotRunning`,
        `AppGone` if it ends meanwhile.
        """
        return self._ask(m.Evaluate, Any, timeout, code=code, timeout=timeout)

    def crash(self, how: m.CrashKind = "abort", timeout: float = 30.0) -> None:
        """Break it, for real, and return once the platform has noticed.

        `how`: "abort", "segfault", "exit" end its host process from inside, "kill" by SIGKILL from outside; "renderer"
        crashes its page's renderer process, "renderer-kill" ends that by SIGKILL, "oom" fills its JavaScript heap until
        V8 gives up; "hang" blocks its page for ever, "hang-gui" the thread that serves its window, and "freeze" stops
        its host process (SIGSTOP). Whoever shares the process or renderer is struck as well. Raises `NotRunning`,
        `BadRequest` where a page is needed and there is none, and `LabTimeout` if it takes longer than `timeout`
        seconds to show.
        """
        _one_of(how, get_args(m.CrashKind), "how")
        self._ask(m.Crash, m.AppStatus, timeout, how=how, timeout=timeout)

    def stop(self, timeout: float = 5.0) -> None:
        """Close it and return when its processes are gone; after `timeout` seconds it is killed."""
        self._ask(m.Stop, m.AppStatus, timeout, timeout=timeout)

    def kill(self) -> None:
        """End its processes by SIGKILL, now; it does not start again by itself."""
        self._ask(m.Kill, m.AppStatus, 5.0)

    def restart(self, timeout: float = 30.0) -> None:
        """Stop it if it runs, start it again, return when its page is ready. Raises `LaunchError`."""
        self._ask(m.Restart, m.AppStatus, timeout, timeout=timeout)

    def recycle(self, timeout: float = 30.0) -> None:
        """Give it a fresh process, begun while the old one runs, and return when it is ready in it.

        Its window stays where it is and its FDC3 instanceId the same; to other apps it looks like a page that is loaded
        anew. Raises `NotRunning`, `BadRequest` where it shares its process with others, `LabTimeout`, `AppGone`.
        """
        self._ask(m.Recycle, m.AppStatus, timeout + 1, timeout=timeout)

    def set_resource_limits(
        self,
        max_memory: int | str | Keep | None = KEEP,
        max_cpu: float | Keep | None = KEEP,
        max_processes: int | Keep | None = KEEP,
        js_heap: int | str | Keep | None = KEEP,
        timeout: float = 5.0,
    ) -> ResourceLimits:
        """Change what it may use while it runs; what is not named stays, `None` lifts a limit. Returns what holds now.

        `max_memory`: bytes, or text such as "350MB"; `max_cpu`: percent of one core; both over all of its processes,
        and in force within a tenth of a second. Below what it uses at present it is over its limit at once.
        `max_processes`: how many it may have. `js_heap`: bytes or text, from its next process on, for V8 is told at its
        start. The limits stay when it is restarted. One that failed is given them for its next `restart`. Raises
        `ValueError` for what is no limit at all, and `LimitError`, with the figure, for one that cannot be had here;
        what held before holds on then. `NotRunning` if it was stopped.
        """
        named = {"max_memory": max_memory, "max_cpu": max_cpu, "max_processes": max_processes, "js_heap": js_heap}
        given = {name: value for name, value in named.items() if value is not KEEP}
        changes = ResourceLimits(**given)
        lifted = tuple(name for name, value in given.items() if value is None)
        status = self._ask(m.SetLimits, m.AppStatus, timeout, changes=changes, lifted=lifted)
        self._platform._adopt(status)
        return status.limits

    def screenshot(self, path: str | Path | None = None, timeout: float = 5.0) -> Screenshot:
        """A picture of its window, shown by a notebook; saved as PNG if a path is given. Waits `timeout` seconds."""
        picture = self._ask(m.Capture, m.Picture, timeout, timeout=timeout)
        shot = Screenshot(picture, f"{self.title}, PID {self.pid}")
        if path is not None:
            shot.save(path)
        return shot

    def picture(self, width: int = 420, timeout: float = 5.0) -> bytes:
        """A small picture of its window: JPEG bytes, scaled down to `width` pixels. Waits `timeout` seconds."""
        return self._ask(m.Capture, m.Picture, timeout, format="jpeg", max_width=width, timeout=timeout).data

    def open_devtools(self, timeout: float = 20.0) -> None:
        """Show Chromium's developer tools for its page, in a window beside its own; it goes with the app.

        They need a screen: where apps draw off screen, `BadRequest` says so. While they are open a page that stands
        still, as at a breakpoint, is not taken for one that hangs, and what they use counts for the app.
        """
        self._ask(m.OpenDevtools, type(None), timeout + 1, timeout=timeout)

    def wait_for(self, state: State | Iterable[State], timeout: float = 30.0) -> App:
        """Wait until it is in this state, or in one of these; returns itself.

        Raises `LabTimeout` after `timeout` seconds, with the states it went through instead, and `NotRunning` at once
        when it has stopped or failed and will not get there by itself.
        """
        wanted = {state} if isinstance(state, str) else set(state)
        if not wanted:
            raise ValueError("wait_for() needs a state to wait for")
        for one in wanted:
            _one_of(one, get_args(State), "state")
        self._platform._observers.refuse_here(f"{self.name}.wait_for()")
        words = " or ".join(sorted(wanted))
        deadline = time.monotonic() + timeout
        seen: list[str] = []
        with self._changed:
            while self.state not in wanted:
                if not seen or seen[-1] != self.state:
                    seen.append(self.state)
                coming_back = self._platform._recovery.under_way
                if self.state in _OVER and not coming_back:
                    raise NotRunning(
                        f"{self.name} is {self.state} ({self.reason}: {self.detail}) and will not be {words} "
                        "by itself; restart() starts it",
                        app=self.name,
                    )
                if not coming_back:
                    self._platform._refuse_if_over()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LabTimeout(
                        f"waited {timeout:g} s for {self.name} to be {words}; it was {', '.join(seen)}", app=self.name
                    )
                self._changed.wait(min(left, 1.0))
        return self

    def send_input(self, *inputs: m.Input) -> None:
        """Let its window have what a person does with mouse, wheel and keyboard, in order. Does not wait.

        An app that does not run, or does not answer just now, takes no notice. Raises `ValueError` for what is no
        input, and for more than 64 at once.
        """
        try:
            checked = msgspec.convert(msgspec.to_builtins(inputs), m.Inputs)
        except (msgspec.ValidationError, TypeError) as error:
            raise ValueError(f"not an input: {error}") from None
        self._platform._tell(m.SendInput, place=self.name, inputs=checked)

    def view(self, rate: float = 8.0, width: int = 420, interactive: bool = True) -> Any:
        """Its window, live in a notebook cell: at most `rate` pictures a second, `width` pixels wide.

        Pictures flow only while the cell is on somebody's screen. Mouse, wheel and keyboard go to the app once somebody
        has clicked on the picture or come to it by Tab, until Shift+Escape or a click elsewhere; not if `interactive`
        is false.
        """
        from .widgets.view import AppView

        return AppView(self, rate=rate, width=width, interactive=interactive)

    def watch_pictures(
        self, callback: Callable[[m.Frame], None], rate: float = 5.0, width: int = 420
    ) -> Callable[[], None]:
        """Call `callback(frame)` with new JPEG pictures of its window; returns the function that ends it.

        At most `rate` a second, scaled down to `width` pixels; a picture equal to the last one is left out. Runs on the
        observers' thread.
        """
        return self._platform._watch_pictures(self.name, callback, rate, width)

    def __repr__(self) -> str:
        return f"<App {self.name}: {self.state}>"

    # --- what the supervisor reports

    def _take(self, status: m.AppStatus) -> None:
        """A new status; on the connection's thread."""
        with self._changed:
            if status.incarnation != self._status.incarnation or status.metrics is None:
                self._trend.clear()
            settled = status.state in ("running", "unresponsive") and status.ready_at is not None
            if settled and status.metrics and status.metrics.at - status.ready_at > SETTLING:
                self._trend.add(status.metrics.at, status.metrics.memory)
            self._status = status
            for name, former, value in (
                ("pid", "former_pid", status.pid),
                ("renderer", "former_renderer", status.renderer),
            ):
                if getattr(self, name) not in (None, value):
                    self.set_trait(former, getattr(self, name))
            for name, value in (
                ("instance_id", status.instance),
                ("incarnation", status.incarnation),
                ("pid", status.pid),
                ("renderer", status.renderer),
                ("restarts", status.restarts),
                ("recycles", status.recycles),
                ("reason", status.reason),
                ("detail", status.detail),
                ("shared_with", status.shared_with),
                ("limits", status.limits),
                ("processes", status.processes),
                ("metrics", status.metrics),
                ("dialog", status.dialog),
                ("url", status.url),
                ("state", status.state),
            ):
                if getattr(self, name) != value:
                    self.set_trait(name, value)
            self._changed.notify_all()

    def _ask(self, kind: type, answer: Any, seconds: float, **fields: Any) -> Any:
        return self._platform._ask(kind, answer, seconds, place=self.name, **fields)
