"""What a process map shows of a platform at one moment: hosts, renderers and pages, who is gone and why. Pure; kernel.

Nothing in it is invented: where a figure is not known there is none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import messages as m
from .story import Fate, Harm, Story
from .talk import NOTEBOOK, Talk
from .words import ending_in_words, lag_in_words, own_ending_in_words, rate_in_words, size_in_words, time_in_words

if TYPE_CHECKING:
    from ..app import App
    from ..platform import Platform

STAYS = 6.0
"""Seconds for which a change of PID, and how long the app was gone, are shown."""
NEAR = 0.8
"""Part of a memory limit from which on an app is near it."""
LAGS_KEPT = 120.0
"""Seconds for which lags are kept, to tell what an app's neighbours felt."""
TAKEN = "Taken along"

_GONE = ("crashed", "backing-off", "failed", "stopped")
_UP = ("running", "unresponsive", "stopping")
_OWN = ("host", "renderer")
"""Roles that have a box of their own."""
_TITLES: dict[m.Isolation, tuple[str, str]] = {
    "process": ("One process per app", "a host and a renderer each"),
    "shared-process": ("One shared process", "one host, a renderer each"),
    "shared-renderer": ("One shared renderer", "one host, one renderer for all"),
}


class Cell(NamedTuple):
    """Of the notebook's kernel: its pid, its private memory (bytes), and the number of the cell that runs, if one does.

    `number` is 0 for a cell that has none, `None` where it is not known whether one runs.
    """

    pid: int
    memory: int | None
    running: bool | None = None
    number: int = 0


class Lags:
    """How late each app's loops were at worst, sample by sample."""

    def __init__(self) -> None:
        self._of: dict[str, deque[tuple[float, float]]] = {}
        self._felt: tuple[float, list[str], float | None] = (0.0, [], None)

    def take(self, apps: Iterable[App]) -> None:
        """Note the present samples, those that are new."""
        for app in apps:
            metrics = app.metrics
            if metrics is None or metrics.lag is None:
                continue
            kept = self._of.setdefault(app.name, deque())
            if not kept or kept[-1][0] < metrics.at:
                kept.append((metrics.at, metrics.lag))
            while kept[0][0] < metrics.at - LAGS_KEPT:
                kept.popleft()

    def worst(self, apps: Iterable[str], since: float, until: float) -> float | None:
        """The worst of these apps between two times; `None` unless there are samples of each over all of that time."""
        found: list[float] = []
        for app in apps:
            kept = self._of.get(app, ())
            # A sample tells of the time since the one before it.
            last = next((at for at, _ in kept if at >= until), None)
            if last is None or kept[0][0] > since:
                return None
            found += [lag for at, lag in kept if since < at <= last]
        return max(found, default=None)

    def felt(self, harm: Harm, alive: list[str]) -> tuple[list[str], float | None]:
        """Who ran on while others were gone, and their worst lag; `alive`: who runs now. It stays as it was known."""
        at, apps, worst = self._felt
        if at != harm.at:
            apps, worst = alive, None
        apps = [app for app in apps if app not in harm.apps]  # of those, there may have come more
        if worst is None and harm.over:
            worst = self.worst(apps, harm.at, harm.at + harm.longest)
        self._felt = (harm.at, apps, worst)
        return apps, worst


class Look(NamedTuple):
    """All that facts are made from. `supervisor`: the pid it had when there was one."""

    platform: Platform
    story: Story
    talk: Talk | None
    lags: Lags
    cell: Cell
    now: float
    supervisor: int | None = None


def facts(look: Look) -> dict[str, Any]:
    """As JSON values. `hosts`: one a host process, each with its renderers and the names in them; `apps`, by name."""
    platform = look.platform
    apps = list(platform.apps)
    total, rates = look.talk.rates(look.now) if look.talk else (None, {})
    hosts = [_host(look, key, tenants) for key, tenants in _by_host(apps).items()]
    metrics = platform.metrics
    lost = platform.state in ("lost", "stopped")
    found: dict[str, Any] = {
        "state": platform.state,
        "isolation": platform.isolation,
        "problem": platform.problem,
        "hosts": hosts,
        "apps": {app.name: _app(look, app, rates.get(app.name, 0.0)) for app in apps},
        "supervisor": {
            "pid": platform.supervisor_pid or look.supervisor,
            "guardian": platform.guardian_pid,
            "gone": lost,
            "memory": metrics.supervisor.memory if metrics and not lost else None,
            "words": _supervisor_words(look, total),
        },
        "kernel": {
            "pid": look.cell.pid,
            "memory": look.cell.memory,
            "words": _cell_words(look.cell),
            "rate": rate_in_words(rates[NOTEBOOK]) if NOTEBOOK in rates else "",
        },
        "finding": _finding(look, apps),
    }
    found["heading"] = _heading(platform.isolation, apps, found)
    found["summary"] = _summary(platform, found)
    return found


def next_change(apps: Iterable[App], story: Story, now: float) -> float | None:
    """In how many seconds facts will be others by time alone; `None` if they will not."""
    ready = [fate.ready_at for fate in (story.fate(app.name) for app in apps) if fate.back and fate.ready_at]
    return min((at + STAYS - now for at in ready if at + STAYS > now), default=None)


# --- processes


def _by_host(apps: list[App]) -> dict[str, list[App]]:
    hosts: dict[str, list[App]] = {}
    for app in apps:
        hosts.setdefault(app.placement.host or f"app:{app.name}", []).append(app)
    return hosts


def is_gone(app: App) -> bool:
    """Whether what it ran in is gone, and is not back: on its way back after a fault it is gone still."""
    ending = ending_in_words(app.state, app.reason, app.detail)
    return app.state in _GONE or (app.state == "starting" and ending != "")


def _host(look: Look, key: str, tenants: list[App]) -> dict[str, Any]:
    now = next((pid for app in tenants for pid in (app.pid, app.placement.pid) if pid), None)
    former = next((app.former_pid for app in tenants if app.former_pid), None)
    all_gone = all(is_gone(app) for app in tenants)
    outlived = now is not None and now == former
    gone = all_gone and not outlived
    fates = [look.story.fate(app.name) for app in tenants]
    processes = next((app.processes for app in tenants if app.processes), ())
    if gone:
        processes = ()
    memory = {process.pid: process.memory for process in processes}
    helpers = [process for process in processes if process.role not in _OWN]
    pages = [app for app in tenants if app.has_page]
    renderers = [_renderer(look, some, memory) for some in _by_renderer(pages)]
    return {
        "key": key,
        "pid": former if gone and former else now,
        "was": former if not gone and former != now and any(_just_back(look, fate) for fate in fates) else None,
        "gone": gone,
        "harm": gone and any(_harmed(app) for app in tenants),
        "signal": next(filter(None, (_signal(app.detail) for app in tenants)), "") if gone else "",
        "memory": memory.get(now) if now else None,
        "helpers": len(helpers),
        "roles": _roles(helpers),
        "renderers": renderers,
        "services": [app.name for app in tenants if not app.has_page],
    }


def _by_renderer(pages: list[App]) -> list[list[App]]:
    """Pages that are in one process together; of those that have none at the moment, as they are to be."""
    groups: list[list[App]] = []
    for app in pages:
        for group in groups if app.placement.isolation == "shared-renderer" else ():
            pids = {other.renderer for other in group if other.renderer}
            if not pids or app.renderer is None or app.renderer in pids:
                group.append(app)
                break
        else:
            groups.append([app])
    return groups


def _renderer(look: Look, pages: list[App], memory: dict[int, int]) -> dict[str, Any]:
    now = next((app.renderer for app in pages if app.renderer), None)
    former = next((app.former_renderer for app in pages if app.former_renderer), None)
    gone = all(is_gone(app) for app in pages)
    back = any(_just_back(look, look.story.fate(app.name)) for app in pages)
    return {
        "pid": former if gone and former else now,
        "was": former if not gone and former != now and back else None,
        "gone": gone,
        "memory": memory.get(now) if now and not gone else None,
        "apps": [app.name for app in pages],
    }


def _roles(processes: list[m.ProcessInfo]) -> str:
    """ "2 zygotes and 2 sandbox processes, 17 MB", or nothing."""
    if not processes:
        return ""
    names = {"zygote": "zygote", "sandbox": "sandbox process", "helper": "helper process"}
    counts: dict[str, int] = {}
    for process in processes:
        name = names.get(process.role, process.role)
        counts[name] = counts.get(name, 0) + 1
    words = [f"{count} {_plural(name, count)}" for name, count in counts.items()]
    return f"{_listed(words)}, {size_in_words(sum(process.memory for process in processes))}"


def _signal(detail: str) -> str:
    return next(iter(re.findall(r"\bSIG[A-Z]+\b", detail)), "")


# --- one app


def _harmed(app: App) -> bool:
    ending = ending_in_words(app.state, app.reason, app.detail)
    return app.state in ("crashed", "backing-off", "failed", "starting") or ending == "Supervisor lost"


def _just_back(look: Look, fate: Fate) -> bool:
    return bool(fate.back) and fate.ready_at is not None and look.now - fate.ready_at < STAYS


def _app(look: Look, app: App, rate: float) -> dict[str, Any]:
    gone, page = is_gone(app), app.has_page
    stalled = app.state == "unresponsive"
    lines, kind = _lines(look, app, gone, rate)
    metrics, limit = app.metrics, app.limits.max_memory if _held(app) else None
    used = _memory(app)
    waiting, senders = look.talk.waiting.get(app.name, (0, [])) if look.talk and stalled else (0, [])
    return {
        "state": app.state,
        "page": page,
        "gone": gone,
        "stalled": stalled,
        "lines": lines,
        "kind": kind,
        "waiting": waiting,
        "senders": senders,
        "shared": len(app.shared_with),
        "memory": used,
        "limit": limit,
        "cpu": round(metrics.cpu, 1) if metrics else None,
        "lag": lag_in_words(metrics.lag) if metrics else "",
        "rate": rate_in_words(rate) if look.talk else "",
        "restarts": app.restarts,
        "recycles": app.recycles,
        "why": app.detail if gone or _just_back(look, look.story.fate(app.name)) else "",
    }


def _held(app: App) -> bool:
    """Whether anything holds it to its limits."""
    return app._status.tier not in ("", "off")


def _memory(app: App) -> int | None:
    if app.metrics is None:
        return None
    return app.usage.memory or app.metrics.memory


def _lines(look: Look, app: App, gone: bool, rate: float) -> tuple[list[str], str]:
    """Two lines below its name, and what the first is: "harm", "strong" or nothing special."""
    fate = look.story.fate(app.name)
    ending = ending_in_words(app.state, app.reason, app.detail)
    if gone and app.state == "stopped":
        return [ending or "Stopped", ""], "harm" if _harmed(app) else ""
    if gone:
        after = {"starting": "starting again", "failed": "stays down"}.get(app.state, "will start again")
        taken = look.story.taken_by(app.name)
        if taken:
            return [TAKEN, f"with {taken}"], "harm"
        harm = look.story.last
        if harm and harm.cause == app.name and app.reason:
            ending = own_ending_in_words(app.reason, app.detail)
        return [ending, after], "harm"
    if app.state == "unresponsive":
        waits = look.story.waits_for(app.name, app.placement)
        count = look.talk.waiting.get(app.name, (0, []))[0] if look.talk else 0
        second = f"waits for {waits}" if waits else f"{count} waiting" if count else ""
        return ["Stalled", second], "harm"
    if app.state in ("starting", "stopping"):
        return [app.state.capitalize(), ""], ""
    lag = f"lag {lag_in_words(app.metrics.lag)}" if app.metrics and app.metrics.lag is not None else ""
    told = rate_in_words(rate) if look.talk else ""
    first, kind = lag, ""
    if _just_back(look, fate):
        first = f"{'fresh' if fate.back == 'recycled' else 'back'} in {time_in_words(fate.took)}"
    elif near := _near(app):
        first, kind = near, "strong"
    else:
        figures = (lag, told) if app.has_page else (told, lag)
        return [line for line in figures if line] or ["Running"], ""
    return [first, lag or told], kind


def _near(app: App) -> str:
    limit, used = app.limits.max_memory, _memory(app)
    if not limit or not used or not _held(app) or used < NEAR * limit:
        return ""
    return f"{100 * used / limit:.0f} % of its limit"


# --- the rest


def _supervisor_words(look: Look, total: float | None) -> str:
    platform = look.platform
    if platform.state == "lost":
        return "Supervisor lost"
    if platform.state != "running":
        return {"new": "Not started yet", "let-go": "Runs on, and is not seen from here"}.get(
            platform.state, platform.state.capitalize()
        )
    if total is None:
        return ""
    half = look.talk.half_within(look.now) if look.talk else None
    count = f"{total:.0f}" if total >= 9.95 or total == 0 else f"{total:.1f}"
    words = f"{count} messages/s"
    return words if half is None else f"{words}, half of them passed on within {lag_in_words(half)}"


def _cell_words(cell: Cell) -> list[str]:
    if cell.running is None:
        return []
    if not cell.running:
        return ["no cell is running"]
    return [f"cell [{cell.number}] is running" if cell.number else "a cell is running", "controls stay live"]


def _finding(look: Look, apps: list[App]) -> list[list[Any]]:
    """One sentence on the last harm, in pieces: [words, whether they are strong]."""
    harm = look.story.last
    if harm is None or not harm.apps:
        return []
    cause = harm.cause or (harm.apps[0] if len(harm.apps) == 1 else None)
    pieces = _what_happened(harm, cause)
    names = {app.name for app in apps}
    alive, worst = look.lags.felt(harm, [app.name for app in apps if app.name not in harm.apps and app.state in _UP])
    if not alive or not names.issuperset(harm.apps):
        return pieces
    ran = "ran on" if harm.over else "runs on" if len(alive) == 1 else "run on"
    who = alive[0] if len(alive) == 1 else f"The {len(alive)} others"
    pieces.append([f" {who} {ran}", False])
    if worst is not None:
        pieces += [["; worst lag meanwhile ", False], [lag_in_words(worst), True]]
    return [*pieces, [".", False]]


def _what_happened(harm: Harm, cause: str | None) -> list[list[Any]]:
    count = len(harm.apps)
    if cause is None:
        words = ending_in_words("crashed", *harm.why[harm.apps[0]])
        start = f"{count} apps ended together ({_lower(words)})"
        if not harm.over:
            return [[f"{start}.", False]]
        return [[f"{start} and were gone for ", False], [time_in_words(harm.longest), True], [".", False]]
    words = _lower(own_ending_in_words(*harm.why[cause]))
    if count == 1:
        if not harm.over:
            return [[f"{cause} ({words}) is gone.", False]]
        return [[f"{cause} ({words}) was back in ", False], [time_in_words(harm.longest), True], [".", False]]
    along = f"{cause} ({words}) took {count - 1} {_plural('app', count - 1)} along"
    if not harm.over:
        return [[f"{along}.", False]]
    return [[f"{along}: all {count} were gone, for ", False], [time_in_words(harm.longest), True], [".", False]]


def _heading(isolation: m.Isolation, apps: list[App], found: dict[str, Any]) -> dict[str, str]:
    kinds = {app.placement.isolation for app in apps} or {isolation}
    title, words = _TITLES[kinds.pop()] if len(kinds) == 1 else ("Some apps share a process", "others have their own")
    gone = [app for app in apps if found["apps"][app.name]["kind"] == "harm" and is_gone(app)]
    stalled = [app for app in apps if app.state == "unresponsive"]
    count = len(apps)
    harm = ""
    if gone:
        harm = f"{len(gone)} of {count} {_plural('app', count)} gone"
    elif stalled:
        harm = f"{len(stalled)} of {count} {_plural('app', count)} stalled"
    return {"title": title, "words": words, "harm": harm}


def _summary(platform: Platform, found: dict[str, Any]) -> str:
    """The map in two sentences, for who does not see it."""
    apps = found["apps"]
    hosts = len(found["hosts"])
    shown = [
        f"{len(apps)} {_plural('app', len(apps))} in {hosts} host {_plural('process', hosts)}",
        f"placed as {found['heading']['title'].lower()}",
    ]
    states: dict[str, list[str]] = {}
    for name, app in apps.items():
        state = app["lines"][0].lower() if app["kind"] == "harm" else app["state"]
        states.setdefault(state, []).append(name)
    if set(states) == {"running"}:
        said = "all running"
    else:
        said = "; ".join(f"{_listed(names)}: {state}" for state, names in states.items())
    supervisor = found["supervisor"]
    watched = f"supervisor {supervisor['pid']}" if supervisor["pid"] else "no supervisor"
    words = f", {supervisor['words']}" if supervisor["words"] else ""
    return f"{', '.join(shown)}{': ' + said if apps else ''}. {watched.capitalize()}{words}."


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}es" if word.endswith("s") else f"{word}s"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
