"""`labplatform ps`: every platform of this user and its apps, told by the supervisors themselves. CLI process."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import msgspec
import psutil

from .. import discovery
from .. import messages as m
from . import OK, PROBLEM, complain, words


def main(options: argparse.Namespace) -> int:
    seen = discovery.look(discovery.running())
    if options.json:
        print(json.dumps([_as_data(one) for one in seen], indent=2))
    elif not seen:
        print("no platform is running")
    else:
        print("\n\n".join("\n".join(_as_text(one, options.all)) for one in seen))
    silent = [one for one in seen if one.status is None]
    for one in silent:
        complain(one.problem)
    return PROBLEM if silent else OK


def uptime(app: m.AppStatus) -> float | None:
    """Seconds since an app was ready; `None` while it is not up."""
    if app.ready_at is None or app.state not in ("running", "unresponsive"):
        return None
    return max(0.0, time.time() - app.ready_at)


# --- for people -------------------------------------------------------------------------------------------------------


def _as_text(seen: discovery.Seen, every_process: bool) -> list[str]:
    about, status = seen.platform.about, seen.status
    age = words.duration(time.time() - about.created)
    name = f"   {words.printable(about.name)}" if about.name else ""
    heading = f"platform {about.pid}{name}   isolation {about.isolation}   {seen.platform.owner}   up {age}"
    if status is None:
        return [heading, "  does not answer"]
    if every_process:
        return [heading, *_processes(status)]
    if not status.apps:
        return [heading, "  no apps"]
    rows = [("APP", "PID", "STATE", "UPTIME", "MEMORY", "CPU", "RESTARTS")]
    for app in status.apps:
        up = uptime(app)
        mark = "*" if app.shared_with else ""
        rows.append(
            (
                app.place,
                f"{app.pid}{mark}" if app.pid else "-",
                words.state(app.state, app.reason),
                "-" if up is None else words.duration(up),
                f"{_memory(app)}{mark}" if app.processes else "-",
                f"{_cpu(app)}{mark}" if app.processes else "-",
                str(app.restarts),
            )
        )
    lines = [heading, *words.table(rows, right=(1, 3, 4, 5, 6))]
    return lines + _sharing(status)


def _memory(app: m.AppStatus) -> str:
    """What it has, and where that is limited of how much; then as its limit counts it."""
    limit = app.limits.max_memory if app.tier != "off" else None
    if limit is None:
        return words.size(sum(one.memory for one in app.processes))
    return f"{words.size(app.usage.memory)} of {words.size(limit)}"


def _cpu(app: m.AppStatus) -> str:
    limit = app.limits.max_cpu if app.tier != "off" else None
    used = words.share(sum(one.cpu for one in app.processes))
    return used if limit is None else f"{used} of {words.share(limit)}"


def _sharing(status: m.PlatformStatus) -> list[str]:
    """A line for each process that several apps live in: its figures are theirs together."""
    hosts: dict[int, list[str]] = {}
    for app in status.apps:
        if app.shared_with and app.pid:
            hosts.setdefault(app.pid, []).append(app.place)
    return [
        f"  * one process, {pid}, holds {', '.join(names)}: its memory and CPU are theirs together"
        for pid, names in hosts.items()
    ]


def _processes(status: m.PlatformStatus) -> list[str]:
    """Every process once; a host that apps share stands under all their names."""
    rows = [("PID", "ROLE", "APP", "MEMORY", "CPU", "AGE")]
    trees: dict[int, tuple[list[str], tuple[m.ProcessInfo, ...]]] = {}
    for app in status.apps:
        if app.processes:
            trees.setdefault(app.processes[0].pid, ([], app.processes))[0].append(app.place)
    if guardian := _guardian(status.guardian_pid):
        rows.append(_row(guardian, "-"))
    rows.append(_row(status.metrics.supervisor, "-"))
    for names, processes in trees.values():
        rows += [_row(process, ", ".join(names)) for process in processes]
    return words.table(rows, right=(0, 3, 4, 5))


def _row(process: m.ProcessInfo, app: str) -> tuple[str, ...]:
    age = words.duration(time.time() - process.created)
    return (str(process.pid), process.role, app, words.size(process.memory), words.share(process.cpu), age)


def _guardian(pid: int) -> m.ProcessInfo | None:
    """The guardian is outside the supervisor's own tree, so it is looked at from here. It sleeps all its life."""
    try:
        process = psutil.Process(pid)
        memory = process.memory_info()
        busy = sum(process.cpu_times()[:2])
        created = process.create_time()
    except psutil.Error:
        return None
    return m.ProcessInfo(
        pid=pid,
        created=created,
        role="guardian",
        memory=max(0, memory.rss - memory.shared),
        cpu=100 * busy / max(1.0, time.time() - created),
    )


# --- for scripts ------------------------------------------------------------------------------------------------------


def _as_data(seen: discovery.Seen) -> dict[str, Any]:
    """Bytes, seconds, percent of one core. Never the token."""
    about, status = seen.platform.about, seen.status
    guardian = _guardian(status.guardian_pid) if status else None
    supervisor = status.metrics.supervisor if status else None
    return {
        "pid": about.pid,
        "name": about.name,
        "detached": about.detached,
        "controller_pid": about.controller_pid,
        "guardian_pid": status.guardian_pid if status else None,
        "isolation": about.isolation,
        "uptime": max(0.0, time.time() - about.created),
        "display": status.display if status else None,
        "enforcement": msgspec.to_builtins(status.enforcement) if status else None,
        "answers": status is not None,
        "problem": seen.problem,
        "processes": msgspec.to_builtins([one for one in (guardian, supervisor) if one]),
        "apps": [_app_as_data(app) for app in status.apps] if status else [],
    }


def _app_as_data(app: m.AppStatus) -> dict[str, Any]:
    return {
        "app": app.place,
        "app_id": app.app_id,
        "title": app.title,
        "pid": app.pid,
        "state": app.state,
        "reason": app.reason,
        "detail": app.detail,
        "incarnation": app.incarnation,
        "uptime": uptime(app),
        "memory": sum(one.memory for one in app.processes),
        "cpu": sum(one.cpu for one in app.processes),
        "restarts": app.restarts,
        "limits": msgspec.to_builtins(app.limits),
        "enforced_by": app.tier,
        "usage": msgspec.to_builtins(app.usage),
        "shared_with": list(app.shared_with),
        "processes": msgspec.to_builtins(app.processes),
    }
