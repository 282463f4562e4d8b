"""`labplatform run`: a platform in the foreground, followed line by line until it ends. CLI process.

This process is the platform's controller, so whatever ends it ends the platform; unless it is to be detached, and is
followed only until its apps are up.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from .. import directory
from .. import messages as m
from ..errors import LabError, LaunchError, ManifestError, UnknownApp
from ..kernel.launching import WARNINGS_SAID
from ..kernel.platform import Platform
from ..manifest import Manifest
from ..resources import manifests_folder
from . import OK, PROBLEM, Terminated, Usage, complain, words

_OVER = ("stopped", "failed")
_LIKE_ADDRESS = re.compile(
    r"\w+://|(localhost|[\w-]+(\.[\w-]+)*\.(?!json\b)[a-z]{2,}|[\d.]{7,})(:\d+)?(/|$)", re.IGNORECASE
)
"""What people may write who mean a web address: another scheme, or none."""


def main(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    if options.detach and options.duration is not None:
        raise Usage("--detach goes without --for: `labplatform stop` ends a platform that goes on by itself")
    chosen = choose(options.apps)
    for remark in () if options.json else chosen.remarks[:WARNINGS_SAID]:
        complain(remark)
    if not chosen.wanted:
        raise chosen.failed[0][1]
    platform = Platform(
        *chosen.known,
        isolation=options.isolation,
        display=options.display,
        theme=options.theme,
        quiet=options.json,
        detached=options.detach,
        name=options.name,
    )
    one = Foreground(platform, chosen, options)
    return one.begin() if options.detach else one.follow()


def _terminated(*_: object) -> None:
    raise Terminated


class Chosen(NamedTuple):
    """`wanted`: the apps to start, in order. `known`: all that a platform with them has to know. `remarks`: about what
    was passed over. `failed`: addresses that could not be read, and why.
    """

    wanted: list[Manifest]
    known: list[Manifest]
    remarks: list[str]
    failed: list[tuple[str, ManifestError]]


def choose(names: list[str]) -> Chosen:
    """What these names mean: a bare one is a sample app before it is a file. Raises `UnknownApp`, `ManifestError`.

    An address that cannot be read is a failure of its own, like an app that does not start, and no error of them all.
    """
    samples = directory.load(manifests_folder()).manifests
    places = [name for name in dict.fromkeys(names) if name not in samples]
    far = [name for name in places if directory.is_address(name) or directory.is_qualified(name)]
    near = [name for name in places if name not in far]
    for name in near:
        if _LIKE_ADDRESS.match(name) and not Path(name).exists():
            raise UnknownApp(
                f"{name}: there is no such file or folder; the address of a page or directory begins with https:// or "
                "http://",
                app=name,
            )
        if "/" not in name and not name.endswith(".json") and not Path(name).exists():
            raise UnknownApp(
                f"no sample app is called {name!r}, and there is no such file or folder; "
                f"sample apps: {', '.join(sorted(samples))}",
                app=name,
            )
    found = directory.load(*near, beside=samples)
    own, remarks = dict(found.manifests), list(found.remarks)
    held = {name: [own[app_id] for app_id in ids] for name, ids in zip(near, found.of_place, strict=True)}
    failed: list[tuple[str, ManifestError]] = [(name, _empty(name)) for name in near if not held[name]]
    for name in far:
        try:
            found = directory.load(name, beside=samples | own)
        except ManifestError as error:
            failed.append((name, error))
            continue
        if not found.manifests:
            failed.append((name, _empty(name)))
        own |= found.manifests
        remarks += found.remarks
        held[name] = list(found.manifests.values())
    held |= {name: [sample] for name, sample in samples.items()}
    # What one requires is found among one's own apps first, then among the samples.
    known = [*own.values(), *(sample for app_id, sample in samples.items() if app_id not in own)]
    return Chosen([one for name in names for one in held.get(name, ())], known, remarks, failed)


def _empty(name: str) -> ManifestError:
    """The error for an app directory without apps: whoever names one means some."""
    return ManifestError(f"{name}: is an app directory without a record", file=name, where="$", expected="a record")


class Foreground:
    """A platform and what is printed about it. Everything is printed from the main thread."""

    def __init__(self, platform: Platform, chosen: Chosen, options: argparse.Namespace) -> None:
        self._platform = platform
        self._wanted = chosen.wanted
        self._unread = chosen.failed
        self._options = options
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._seen = 0
        self._outstanding = len(chosen.wanted)
        self._apps: dict[str, Manifest] = {}
        self._states: dict[str, str] = {}
        self._fresh: set[str] = set()
        self._failed = False

    def follow(self) -> int:
        """Start, print until it is over, stop. Returns the exit code."""
        try:
            with self._platform:
                self._launch()
                self._loop()
        except KeyboardInterrupt:
            self._say("stopped", text="interrupted: everything was stopped")
            raise
        self._say("stopped", text="everything was stopped")
        failed = self._failed or any(self._states.get(name) == "failed" for name in self._apps)
        return PROBLEM if failed else OK

    def begin(self) -> int:
        """Start, print until every app is up or has failed, and let it go on. Returns the exit code."""
        platform = self._platform
        up: list[str] = []
        try:
            platform.start()
            self._launch()
            self._loop()
            up = [app.name for app in platform.apps if app.state not in _OVER]
        except KeyboardInterrupt:
            self._say("stopped", text="interrupted: everything was stopped")
            raise
        finally:
            if not up:
                platform.stop()
        if not up:
            self._say("stopped", text="no app is up, so the platform was stopped")
            return PROBLEM
        pid, file = platform.supervisor_pid, platform.connection_file
        platform.detach()
        self._say(
            "detached",
            f"platform {pid} goes on by itself with {words.several(len(up), 'app')}",
            platform=pid,
            name=platform.name,
            connection_file=str(file),
            apps=up,
        )
        if not self._options.json:
            which = repr(platform.name) if platform.name else str(pid)
            rows = [
                ("see it", "labplatform ps"),
                ("join it", f"Platform.attach({which})  in a notebook or script"),
                ("end it", f"labplatform stop --platform {pid}"),
            ]
            print("\n".join(words.table(rows, indent=" " * 10)), flush=True)
        return PROBLEM if self._failed else OK

    def _launch(self) -> None:
        platform = self._platform
        count = words.several(len(self._wanted), "app")
        status = platform.describe()
        self._say(
            "started",
            f"platform {platform.supervisor_pid}: starting {count} (isolation {platform.isolation}) …",
            platform=platform.supervisor_pid,
            isolation=platform.isolation,
            display=status.display,
        )
        platform.observe(lambda _: self._news.put("events"), "events")
        platform.observe(lambda change: self._news.put(change.new), "state")
        for name, error in self._unread:
            self._not_launched(name, error)
        for manifest in self._wanted:
            threading.Thread(target=self._launch_one, args=(manifest,), daemon=True).start()

    def _launch_one(self, manifest: Manifest) -> None:
        try:
            self._news.put((manifest, self._platform.launch(manifest, timeout=self._options.timeout).name))
        except LabError as error:
            self._news.put((manifest, error))

    def _loop(self) -> None:
        deadline = None
        while not self._over():
            if deadline is None and self._options.duration is not None and not self._outstanding:
                deadline = time.monotonic() + self._options.duration
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                news = self._news.get(timeout=left)
            except queue.Empty:
                return
            match news:
                case (manifest, LabError() as error):
                    self._outstanding -= 1
                    self._not_launched(manifest.uuid, error)
                case (manifest, str(name)):
                    self._outstanding -= 1
                    self._apps[name] = manifest
                case "lost" | "stopped":
                    self._entries()
                    if not self._over():
                        raise LaunchError(f"platform {self._platform.supervisor_pid} was ended from outside")
                    return
            self._entries()

    def _over(self) -> bool:
        """Whether nothing is left to follow: every app with a window has ended (without one: every app)."""
        if self._outstanding or self._options.detach:
            return not self._outstanding
        shown = [name for name, manifest in self._apps.items() if manifest.page_url] or list(self._apps)
        return all(self._states.get(name) in _OVER for name in shown)

    # --- what is printed

    def _entries(self) -> None:
        """Print what is new in the platform's log."""
        for entry in self._platform.events:
            if entry.seq > self._seen:
                self._seen = entry.seq
                self._entry(entry)

    def _entry(self, entry: m.Entry) -> None:
        if entry.place is None or entry.state is None:
            if entry.level != "info":
                name = f"{entry.place}: " if entry.place else ""
                self._say("remark", at=entry.time, text=f"{name}{entry.text}", app=entry.place, level=entry.level)
            return
        if entry.state == entry.was:
            return
        first = entry.place not in self._states
        self._states[entry.place] = entry.state
        if first and entry.state == "starting":
            self._fresh.add(entry.place)
            return
        pid = self._pid_of(entry.place) if entry.state == "running" else None
        # What everybody expects of a start needs no arrow; a failed one is told when its launch returns.
        fresh = entry.place in self._fresh
        self._fresh.discard(entry.place)
        if fresh and entry.state == "failed" and self._is_wanted(entry.place) and not self._options.json:
            return
        change = "running" if fresh and entry.state == "running" else f"{entry.was} {words.arrow()} {entry.state}"
        reason = f"  {entry.text}" if entry.text else ""
        self._say(
            "state",
            f"{entry.place:<{self._width}}  {change:<24}{f'  pid {pid}' if pid else ''}{reason}",
            at=entry.time,
            app=entry.place,
            pid=pid,
            was=entry.was,
            state=entry.state,
            text=entry.text,
        )

    def _is_wanted(self, place: str) -> bool:
        """Whether somebody asked for it, and it is not there only because another app requires it."""
        return any(place == one.uuid or place.startswith(f"{one.uuid}-") for one in self._wanted)

    @property
    def _width(self) -> int:
        return max(len(name) for name in [*self._states, *(manifest.uuid for manifest in self._wanted)])

    def _pid_of(self, place: str) -> int | None:
        # Asked, for the log may be ahead of the statuses that come along with it.
        try:
            return next((app.pid for app in self._platform.describe().apps if app.place == place), None)
        except LabError:
            return None

    def _not_launched(self, name: str, error: LabError) -> None:
        self._failed = True
        if self._options.json:
            self._say("failed", app=name, text=error.message)
        complain(error.message)

    def _say(self, event: str, line: str = "", /, at: float | None = None, **fields: Any) -> None:
        """One line: for people `line`, or the text where there is none; with --json all fields."""
        at = time.time() if at is None else at
        if self._options.json:
            print(json.dumps({"time": at, "event": event, **fields}), flush=True)
        else:
            clock = time.strftime("%H:%M:%S", time.localtime(at))
            print(f"{clock}  {words.printable(line or fields['text'])}", file=sys.stdout, flush=True)
