"""Whether this machine can run the platform, check by check, each with its remedy. Runs in the CLI or in a notebook.

Every line is something that was looked at, never something concluded from something else. What the sandbox of a
running page is can only be read from one: `report` takes a function that starts one, `labplatform doctor --launch`
has it. What the single facts mean is `machine`'s; here they become sentences.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from . import __version__, machine, messages, network, resources
from .errors import LabError, PlatformError
from .messages import SandboxInfo

State = Literal["ok", "warning", "problem"]

REUSED_AFTER = 10.0
"""Seconds by which a process may seem younger than its connection file says and still be the one that wrote it."""


class Check(msgspec.Struct, frozen=True):
    """One thing looked at, and what to do about it. `warning`: works, but less well; `problem`: does not work."""

    name: str
    state: State
    found: str
    remedy: str = ""


class Report(msgspec.Struct, frozen=True):
    """All checks, in the order in which a person would mend them."""

    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """The worst of the checks."""
        states = {check.state for check in self.checks}
        return "problem" if "problem" in states else "warning" if "warning" in states else "ok"

    @property
    def exit_code(self) -> int:
        """1 if there is a problem, 0 otherwise."""
        return int(self.state == "problem")


def report(probe: Callable[[], SandboxInfo] | None = None) -> Report:
    """Look at everything. `probe` starts an app, and returns the sandbox of the process that draws its page."""
    checks = [_system(), _python(), *_packages()]
    if machine.supported()[0]:
        display = machine.choose_display()
        checks += [_libraries(display), _fonts(), _display(display)]
        checks += [_user_namespaces(), _sandbox(probe), _shared_memory(), _home(), *_runtime_folder()]
        checks += [_cgroups(), *_limits(), _boundary()]
    checks += [*_network(network.survey()), _sample_data(), _page_agent()]
    return Report(tuple(checks))


# --- the checks -------------------------------------------------------------------------------------------------------


def _system() -> Check:
    fine, found = machine.supported()
    if fine:
        return Check("system", "ok", found)
    said, _, remedy = found.partition("; ")
    return Check("system", "problem", said, remedy)


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    return Check("Python", "ok", found)


# Distribution names of what the platform cannot do without.
_NEEDED = (
    "PySide6-Essentials",
    "PySide6-Addons",
    "pywebview",
    "QtPy",
    "msgspec",
    "httpx",
    "websockets",
    "psutil",
    "platformdirs",
    "setproctitle",
    "jeepney",
    "traitlets",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "jupyterlab",
    "bokeh",
    "bokeh-sampledata",
)


def _packages() -> Iterator[Check]:
    versions: dict[str, str] = {}
    absent = []
    for name in _NEEDED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        yield Check(
            "packages",
            "problem",
            f"not installed: {', '.join(absent)}",
            f"{sys.executable} -m pip install {' '.join(absent)}",
        )
    else:
        named = ("PySide6-Addons", "pywebview", "ipykernel", "jupyterlab", "bokeh")
        yield Check("packages", "ok", ", ".join(f"{name} {versions[name]}" for name in named))
    yield from known_bad(versions)


def known_bad(versions: dict[str, str], python: tuple[int, ...] = sys.version_info[:2]) -> Iterator[Check]:
    """Versions that are known not to do, by distribution name; `python` is the version they run on."""
    essentials, addons = versions.get("PySide6-Essentials"), versions.get("PySide6-Addons")
    if essentials and addons and essentials != addons:
        yield Check(
            "PySide6",
            "problem",
            f"its two parts differ: PySide6-Essentials {essentials}, PySide6-Addons {addons}",
            f'pip install "PySide6-Essentials=={addons}"',
        )
    if "6.12.0" in (essentials, addons) and python <= (3, 11):
        yield Check(
            "PySide6",
            "problem",
            "6.12.0 aborts on Python 3.11 and older after some 500 signals: apps die for no reason of their own",
            'pip install "PySide6-Essentials!=6.12.0" "PySide6-Addons!=6.12.0"',
        )
    numbers = [int(number) for number in re.findall(r"\d+", versions.get("ipykernel", ""))[:2]]
    if numbers and not [7, 1] <= numbers < [7, 4]:
        yield Check(
            "ipykernel",
            "warning",
            f"with {versions['ipykernel']} a click in the notebook waits until the running cell ends",
            'pip install "ipykernel>=7.1,<7.4", then restart the kernel',
        )


def _libraries(display: machine.Display) -> Check:
    name = "system libraries"
    plugin = display.qt_platform
    try:
        missing = machine.missing_libraries(plugin)
    except PlatformError as error:
        return Check(name, "problem", error.message)
    if not missing:
        return Check(name, "ok", f"all that QtWebEngine and Qt's {plugin} plugin need")
    known = machine.package_names(missing)
    remedies = [machine.install_line(known)] if known else []
    unknown = [library for library, package in missing.items() if not package]
    if any(library.startswith("GLIBC") for library in unknown):
        remedies.append("the wheel of PySide6 is made for a newer system: use Ubuntu 24.04 or newer")
    elif unknown:
        remedies.append(f"find the packages that bring {', '.join(unknown)}")
    return Check(name, "problem", f"missing: {', '.join(missing)}", "; ".join(remedies))


def _fonts() -> Check:
    if machine.has_font():
        return Check("fonts", "ok", "at least one is there")
    return Check("fonts", "problem", "none: pages show no letters", machine.install_line([machine.FONT_PACKAGE]))


def _display(display: machine.Display) -> Check:
    wanted = [name for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    if display.qt_platform == "offscreen" and wanted and not os.environ.get("QT_QPA_PLATFORM"):
        return Check("display", "warning", display.why, f"start the display server, or unset {' and '.join(wanted)}")
    return Check("display", "ok", display.why)


def _user_namespaces() -> Check:
    granted, found = machine.user_namespaces()
    if granted:
        return Check("user namespaces", "ok", found)
    return Check("user namespaces", "warning", found, _namespace_remedy())


def _namespace_remedy() -> str:
    """The switch that is really off, where the kernel names it."""
    for switch, off, on in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "10000"),
    ):
        try:
            value = Path("/proc/sys", switch).read_text().strip()
        except OSError:
            continue
        if value == off:
            return f"sudo sysctl {switch.replace('/', '.')}={on}"
    return "in a container: start it with a seccomp profile that allows user namespaces"


def _sandbox(probe: Callable[[], SandboxInfo] | None) -> Check:
    flags, reasons = machine.chromium_flags()
    reason = next((why for flag, why in zip(flags, reasons, strict=True) if flag == "--no-sandbox"), "")
    remedy = "run it as an ordinary user" if os.geteuid() == 0 else "see user namespaces, above"
    if probe is None:
        if reason:
            return Check("sandbox", "warning", reason, remedy)
        return Check(
            "sandbox", "ok", "pages are started with it; `labplatform doctor --launch` reads it from a real one"
        )
    try:
        info = probe()
    except LabError as error:
        return Check("sandbox", "problem", f"no app came up to read it from: {error.message}")
    found = f"the page that was started for this has: {info}"
    if info.holds:
        return Check("sandbox", "ok", found)
    if info.seccomp is None or info.pid_namespace is None:
        return Check("sandbox", "warning", found)
    return Check("sandbox", "warning", f"{found}. {reason}".rstrip(" ."), remedy if reason else "")


def _shared_memory() -> Check:
    size = machine.shared_memory()
    remedy = "in Docker: --shm-size=1g"
    if size is None:
        return Check("/dev/shm", "warning", "missing or not writable: pages share memory through files", remedy)
    found = f"{size >> 20} MiB"
    if size < machine.SHARED_MEMORY_NEEDED:
        return Check("/dev/shm", "warning", f"{found}, which is little: pages share memory through files", remedy)
    return Check("/dev/shm", "ok", found)


def _home() -> Check:
    home = Path.home()
    if os.access(home, os.W_OK | os.X_OK):
        return Check("home folder", "ok", str(home))
    return Check("home folder", "problem", f"{home} is missing or not writable", "set HOME to a folder of your own")


def _runtime_folder() -> Iterator[Check]:
    try:
        folder = machine.runtime_folder()
    except PlatformError as error:
        found, _, remedy = error.message.partition(". ")
        yield Check("runtime folder", "problem", found, remedy)
        return
    yield Check("runtime folder", "ok", str(folder))
    live, stale, exposed = [], [], []
    for file in sorted(folder.glob("platform-*.json")):
        try:
            facts = file.lstat()
            about = messages.decode(file.read_bytes(), messages.ConnectionFile)
        except FileNotFoundError:
            continue  # its platform ended this moment
        except (OSError, msgspec.DecodeError):
            stale.append(file)
            continue
        (live if _runs(about) else stale).append(file)
        if stat.S_IMODE(facts.st_mode) & 0o077:
            exposed.append(file)
    if exposed:
        names = " ".join(map(str, exposed))
        yield Check("connection files", "problem", f"readable by others: {names}", f"chmod 600 {names}")
    elif stale:
        yield Check(
            "connection files",
            "warning",
            f"{len(stale)} of platforms that are gone; they stop nothing from starting",
            f"rm {' '.join(map(str, stale))}",
        )
    else:
        running = f"{len(live)} running platform{'s' * (len(live) != 1)}"
        yield Check("connection files", "ok", f"{running}, no file left behind")


def _runs(about: messages.ConnectionFile) -> bool:
    try:
        created = psutil.Process(about.pid).create_time()
    except psutil.Error:
        return False
    # Both reckon from the boot time, which moves when the clock is set.
    return abs(created - about.created) < REUSED_AFTER


def _cgroups() -> Check:
    """Only what is mounted; which way to limit apps works with it is tried in `_limits`."""
    found = []
    first: list[str] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup2":
            place = fields.split()[4]
            try:
                controllers = Path(place, "cgroup.controllers").read_text().split()
            except OSError:
                controllers = []
            found.append(f"v2 at {place}, controllers: {' '.join(controllers) or 'none'}")
        elif kind == "cgroup":
            first += [option for option in options.split(",") if option in ("cpu", "memory", "freezer", "pids")]
    if first:
        found.insert(0, f"v1 controllers: {' '.join(dict.fromkeys(first))}")
    return Check("cgroups", "ok", "; ".join(found) or "none mounted")


def _network(found: network.Survey) -> Iterator[Check]:
    """The way to the web, for pages and for what is fetched from app directories."""
    way = found.network
    through = [
        f"{kind} through {network.without_secret(proxy)}" for kind in ("http", "https") if (proxy := getattr(way, kind))
    ]
    if through:
        said = f"{', '.join(through)}; direct: {', '.join(('this machine', *way.direct))}"
    elif os.environ.get("XDG_CURRENT_DESKTOP"):
        said = "none in the environment; pages go by the desktop's own settings"
    else:
        said = "none: the web is asked directly"
    wrong = [problem for problem in found.problems if "_PROXY" in problem.upper().partition(" ")[0]]
    if wrong:
        yield Check("proxy", "warning", f"{'; '.join(wrong)}. {said}", "mend or unset the variable")
    else:
        yield Check("proxy", "ok", said)
    more = [f"{count} more of {where}" for where, count in found.trusted.items()]
    said = ", ".join(["Mozilla's list", *more])
    wrong = [problem for problem in found.problems if problem not in wrong]
    if wrong:
        yield Check("certificates", "warning", f"{'; '.join(wrong)}. {said}", "mend or unset the variable")
    elif more and not _pages_can_trust():
        remedy = 'pip install "PySide6-Essentials>=6.10,!=6.12.0" "PySide6-Addons>=6.10,!=6.12.0"'
        yield Check("certificates", "warning", f"{said}; with this Qt, pages trust Mozilla's list only", remedy)
    else:
        yield Check("certificates", "ok", said)


def _pages_can_trust() -> bool:
    """Whether this Qt takes certificates beside the browser's own; Qt 6.10 was the first."""
    try:
        numbers = re.findall(r"\d+", importlib.metadata.version("PySide6-Addons"))
    except importlib.metadata.PackageNotFoundError:
        return False
    return [int(number) for number in numbers[:2]] >= [6, 10]


def _boundary() -> Check:
    """The boundary between apps, tried by the supervisor's own code."""
    command = [sys.executable, "-P", "-m", "labplatform.supervisor.boundary"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=machine.PROBE_DEADLINE, check=True, cwd="/")
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Check("boundary", "problem", f"what stands between apps could not be tried: {error}")
    why = "; ".join(found["why"])
    remedy = "install bubblewrap" if "not installed" in why else ""
    if found["kind"] == "bubblewrap":
        return Check("boundary", "ok", "each app is in a bubblewrap sandbox of its own")
    if found["kind"] == "landlock":
        said = "each app is confined by Landlock, which keeps it from no socket in the file system"
        return Check("boundary", "ok", f"{said}; no better, for {why}", remedy)
    return Check("boundary", "warning", f"apps of one user can read one another: {why}", remedy)


def _limits() -> Iterator[Check]:
    """Which tier works is tried by the supervisor's own code, in a process of its own."""
    command = [sys.executable, "-P", "-m", "labplatform.supervisor.limits"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=machine.PROBE_DEADLINE, check=True, cwd="/")
        held = messages.decode(done.stdout, messages.Enforcement)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        words = getattr(error, "stderr", None) or b""
        said = words.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
        yield Check("limits", "problem", f"how they could be enforced was not found out: {said[0]}")
        return
    yield Check("limits", "ok", f"of apps are enforced by {held.tier}; memory is {held.counts}")
    if held.why:
        yield Check("limits, not by", "ok", "; ".join(held.why))
    yield Check("limits, but", "ok", "; ".join(held.cannot))


def _sample_data() -> Check:
    package = importlib.util.find_spec("bokeh_sampledata")
    if package and package.origin and (Path(package.origin).parent / "_data" / "stocks.csv.gz").is_file():
        return Check("sample data", "ok", "the stock prices of bokeh_sampledata")
    return Check(
        "sample data",
        "problem",
        "the stock prices of bokeh_sampledata are not installed",
        f"{sys.executable} -m pip install bokeh_sampledata",
    )


def _page_agent() -> Check:
    file = resources.page_agent()
    if file.is_file():
        return Check("page agent", "ok", f"built, {file.stat().st_size / 1000:.0f} kB")
    return Check(
        "page agent",
        "problem",
        "not built; a wheel brings it, a checkout has to make it",
        f"in the checkout: {sys.executable} -m pip install -e .",
    )


# --- as people and scripts read it ------------------------------------------------------------------------------------

_ICONS = {"ok": "✓", "warning": "!", "problem": "✗"}
_PLAIN_ICONS = {"ok": "+", "warning": "!", "problem": "x"}
_COLORS = {"ok": "32", "warning": "33", "problem": "31"}


def as_text(report: Report, *, color: bool | None = None, width: int | None = None) -> str:
    """The report for a terminal. `color`: only on a terminal, unless told; `width`: columns, the terminal's own."""
    if color is None:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    if width is None:
        width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    try:
        "✓✗→".encode(sys.stdout.encoding or "utf-8")
        icons, arrow = _ICONS, "→"
    except UnicodeEncodeError:
        icons, arrow = _PLAIN_ICONS, "->"
    names = max(len(check.name) for check in report.checks)
    margin = 2 + 2 + 9 + names + 2
    lines = [f"labplatform {__version__} on this machine", ""]
    for check in report.checks:
        head = f"{icons[check.state]} {check.state:<9}"
        if color:
            head = f"\x1b[{_COLORS[check.state]}m{head}\x1b[0m"
        body = _wrapped(check.found, width - margin)
        if check.remedy:
            # A line to be copied stays whole, however long it is.
            body.append(f"{arrow} {check.remedy}")
        lines.append(f"  {head}{check.name:<{names}}  {body[0]}")
        lines += [" " * margin + line for line in body[1:]]
    return "\n".join([*lines, "", _verdict(report)])


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 30), break_long_words=False, break_on_hyphens=False) or [""]


def _verdict(report: Report) -> str:
    problems = sum(check.state == "problem" for check in report.checks)
    warnings = sum(check.state == "warning" for check in report.checks)
    said = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((problems, "problem"), (warnings, "warning")) if n]
    if problems:
        return f"{' and '.join(said)}. Mend the problems before you start the platform."
    return f"{said[0].capitalize()}; the platform runs here." if said else "All is well; the platform runs here."


def as_json(report: Report) -> str:
    """The report for scripts: `{"state": …, "checks": [{"name", "state", "found", "remedy"}, …]}`."""
    return json.dumps({"state": report.state, "checks": msgspec.to_builtins(report.checks)}, indent=2)
