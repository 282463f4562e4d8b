"""`labplatform stop` and `labplatform kill`: end apps or platforms from any terminal. CLI process.

The supervisor ends apps. Where it hangs, it is killed itself, its guardian ends the rest, and this waits until it has.
"""

from __future__ import annotations

import argparse
import signal

from .. import discovery
from .. import messages as m
from ..errors import AppError, LabError, LabTimeout, PlatformError, UnknownApp
from . import OK, PROBLEM, Usage, complain, words

KILL_GRACE = 0.3
"""Seconds that apps get to close when their platform is killed and its supervisor still answers."""
SWEEP_SECONDS = 25.0
"""Seconds the guardian may take to end what is left; its own sweep gives up after 20."""
AFTER_GUARDIAN = 3.0
"""Seconds that processes may outlive their guardian (killed, or given up) before they are killed from here."""

_LIVE = ("starting", "running", "unresponsive", "stopping", "backing-off")


def main(options: argparse.Namespace) -> int:
    if options.all and (options.apps or options.platform):
        raise Usage(f"--all goes without names and without --platform: labplatform {options.command} --all")
    if options.force and options.apps:
        raise Usage("--force is for whole platforms: labplatform kill --force --platform PID")
    platforms = discovery.running()
    if options.apps:
        if options.platform is not None:
            platforms = [discovery.choose(platforms, options.platform)]
        return _all_of(options, [(platform, app) for app in options.apps for platform in [_holder(platforms, app)]])
    if options.all:
        if not platforms:
            print("no platform is running")
        return _all_of(options, [(platform, None) for platform in platforms])
    if options.platform is not None:
        return _all_of(options, [(discovery.choose(platforms, options.platform), None)])
    if options.command == "kill":
        raise Usage("say whom: labplatform kill APP…, --platform PID, or --all")
    if not platforms:
        raise PlatformError("no platform is running")
    if len(platforms) > 1:
        raise PlatformError(
            f"{len(platforms)} platforms are running: {_named(platforms)}; add --platform PID, or --all for every one"
        )
    return _all_of(options, [(platforms[0], None)])


def _all_of(options: argparse.Namespace, targets: list[tuple[discovery.Running, str | None]]) -> int:
    code = OK
    for platform, app in targets:
        try:
            if app is not None:
                print(_end_app(options, platform, app), flush=True)
            elif options.command == "stop":
                print(_stop_platform(platform, options.timeout), flush=True)
            else:
                print(_kill_platform(platform, options.force), flush=True)
        except LabError as error:
            complain(error.message)
            code = PROBLEM
    return code


# --- one app ----------------------------------------------------------------------------------------------------------


def _holder(platforms: list[discovery.Running], app: str) -> discovery.Running:
    """The platform that an app of this name is on; one on which it lives, if there are several."""
    seen = discovery.look(platforms)
    there = [(one.platform, status) for one in seen if one.status for status in one.status.apps if status.place == app]
    live = [platform for platform, status in there if status.state in _LIVE]
    candidates = live or [platform for platform, _ in there]
    if len(candidates) > 1:
        raise AppError(
            f"{app} is on {len(candidates)} platforms: {_named(candidates)}; add --platform PID to say which",
            app=app,
            platforms=[platform.pid for platform in candidates],
        )
    if candidates:
        return candidates[0]
    for one in seen:
        if one.status is None:
            raise LabTimeout(f"{app} was not found, and {one.problem}", app=app)
    if not seen:
        raise PlatformError(f"no platform is running, so there is no {app}")
    names = sorted({status.place for one in seen if one.status for status in one.status.apps})
    raise UnknownApp(f"no app is called {app!r}; there are: {', '.join(names) or 'none'}", app=app)


def _named(platforms: list[discovery.Running]) -> str:
    return ", ".join(map(discovery.named, platforms))


def _end_app(options: argparse.Namespace, platform: discovery.Running, app: str) -> str:
    connection = platform.connect()
    try:
        status = connection.ask(m.Describe, m.PlatformStatus, discovery.ANSWER_SECONDS)
        before = next((one for one in status.apps if one.place == app), None)
        if before is not None and before.state == "stopped":
            return f"{app} had already stopped ({before.reason or 'no reason known'})"
        if options.command == "stop":
            after = connection.ask(m.Stop, m.AppStatus, options.timeout + 5, place=app, timeout=options.timeout)
        else:
            after = connection.ask(m.Kill, m.AppStatus, 5.0, place=app)
    finally:
        connection.close()
    pid = f" (PID {before.pid})" if before and before.pid else ""
    return f"{app}{pid} on platform {platform.pid} is {words.state(after.state, after.reason)[2:]}"


# --- a whole platform -------------------------------------------------------------------------------------------------


def _stop_platform(platform: discovery.Running, grace: float) -> str:
    with platform.processes() as tree:
        discovery.shut_down(platform, grace, "`labplatform stop`")
        return _gone(platform, tree, "stopped")


def _kill_platform(platform: discovery.Running, force: bool) -> str:
    why = ""
    with platform.processes() as tree:
        if not force:
            try:
                discovery.shut_down(platform, KILL_GRACE, "`labplatform kill`")
                return _gone(platform, tree, "ended")
            except LabError as error:
                why = " (its supervisor did not answer)" if isinstance(error, LabTimeout) else f" ({error.message})"
    # Looked at anew: apps may have started since.
    with platform.processes() as tree:
        # First a word to the guardian that this end is wanted, so that nobody brings the platform back.
        tree.send(signal.SIGTERM, tree.guardian)
        platform.kill()
        # A guardian that somebody has stopped would never sweep.
        tree.send(signal.SIGCONT)
        return _gone(platform, tree, f"killed{why}")


def _gone(platform: discovery.Running, tree: discovery.Tree, how: str) -> str:
    """Wait until nothing of the platform is left. Raises `PlatformError` naming what stays."""
    count = len(tree)
    tree.left(SWEEP_SECONDS, tree.guardian)
    left = tree.left(AFTER_GUARDIAN)
    if left:
        tree.send(signal.SIGKILL, left)
        left = tree.left(AFTER_GUARDIAN)
    if left:
        raise PlatformError(
            f"platform {platform.pid} was {how}, but these processes are still there: {', '.join(map(str, left))}",
            platform=platform.pid,
            pids=left,
        )
    discovery.running(platform.file.parent)  # removes a connection file that no guardian lived to remove
    return f"platform {platform.pid} was {how}; none of its {words.several(count, 'process', 'processes')} is left"
