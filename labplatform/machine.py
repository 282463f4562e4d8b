"""What this machine offers a web app: display, libraries, sandbox, shared memory. Any process may ask.

Each answer is read off the running system when it is asked for, in milliseconds, and nothing here imports Qt.
Starting a window to see whether one opens is left to `doctor`.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .errors import PlatformError
from .messages import SandboxInfo

LINUX = sys.platform.startswith("linux")

X_DEADLINE = 0.5
"""Seconds an X server has to accept a connection."""
PROBE_DEADLINE = 10.0
"""Seconds a probe in a process of its own may take."""
SHARED_MEMORY_NEEDED = 256 << 20
"""Bytes of /dev/shm below which Chromium's pages are told to use files instead; Docker gives 64 MiB."""

# --- display ----------------------------------------------------------------------------------------------------------


class Display(NamedTuple):
    """Where windows are drawn: `qt_platform`, Qt's platform plugin ("" is Qt's own choice), and `why`, for people."""

    qt_platform: str
    why: str


def choose_display(environ: Mapping[str, str] = os.environ) -> Display:
    """Qt's platform plugin for this machine, from the environment and from which display servers answer.

    X comes before Wayland even where both are there: under Wayland a client cannot place its own windows.
    """
    if not LINUX:
        return Display("", "native windows")
    if asked := environ.get("QT_QPA_PLATFORM"):
        return Display(asked, f"QT_QPA_PLATFORM asks for {asked}")
    silent = ""
    if name := environ.get("DISPLAY"):
        if _x_answers(name):
            return Display("xcb", f"windows on the X display {name}")
        silent = f" (DISPLAY is {name}, but no X server answers there)"
    if name := environ.get("WAYLAND_DISPLAY"):
        if Path(environ.get("XDG_RUNTIME_DIR", ""), name).is_socket():
            return Display("wayland", f"windows on the Wayland display {name}; the compositor places them")
        silent += f" (WAYLAND_DISPLAY is {name}, but there is no such socket)"
    return Display("offscreen", f"no display{silent}: windows are drawn off screen; app.view() shows them")


def _x_answers(display: str) -> bool:
    match = re.fullmatch(r"(?:unix/?|([^:/]+|\[[^\]]+\]))?:(\d+)(?:\.\d+)?", display)
    if not match:
        return False
    host, number = match[1], int(match[2])
    if host:
        return _accepts(socket.AF_UNSPEC, (host.strip("[]"), 6000 + number))
    path = f"/tmp/.X11-unix/X{number}"
    return _accepts(socket.AF_UNIX, "\0" + path) or _accepts(socket.AF_UNIX, path)


def _accepts(family: int, address: str | tuple[str, int]) -> bool:
    try:
        if isinstance(address, tuple):
            socket.create_connection(address, timeout=X_DEADLINE).close()
        else:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(X_DEADLINE)
                connection.connect(address)
    except (OSError, OverflowError, UnicodeError):
        return False
    return True


# --- libraries and fonts ----------------------------------------------------------------------------------------------

# The shared libraries that PySide6's wheels expect from the system, and the Debian package that brings each.
_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libXcomposite.so.1": "libxcomposite1",
    "libXdamage.so.1": "libxdamage1",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXrandr.so.2": "libxrandr2",
    "libXrender.so.1": "libxrender1",
    "libXtst.so.6": "libxtst6",
    "libasound.so.2": "libasound2",
    "libbrotlicommon.so.1": "libbrotli1",
    "libbrotlidec.so.1": "libbrotli1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libdrm.so.2": "libdrm2",
    "libexpat.so.1": "libexpat1",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgbm.so.1": "libgbm1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libnspr4.so": "libnspr4",
    "libnss3.so": "libnss3",
    "libnssutil3.so": "libnss3",
    "libplc4.so": "libnspr4",
    "libplds4.so": "libnspr4",
    "libsmime3.so": "libnss3",
    "libstdc++.so.6": "libstdc++6",
    "libudev.so.1": "libudev1",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-dri3.so.0": "libxcb-dri3-0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbfile.so.1": "libxkbfile1",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}

# Names that changed with the 64-bit time_t: Ubuntu 24.04 and Debian 13.
_T64 = {"libasound2": "libasound2t64", "libglib2.0-0": "libglib2.0-0t64"}

FONT_PACKAGE = "fonts-dejavu-core"
"""The package to install where `has_font` says no."""

# ld.so's three complaints: a library that is nowhere, one too old for a symbol version, one that is no library.
_NOT_FOUND = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
_TOO_OLD = re.compile(r"version `([^']+)' not found \(required by")
_BROKEN = re.compile(r"error while loading shared libraries: ([^:\n]+): (.*)")

_found_whole: set[str] = set()


def missing_libraries(plugin: str = "offscreen") -> dict[str, str]:
    """Shared libraries that QtWebEngine and Qt's platform plugin need and this machine lacks -> their Debian package.

    An empty package means that none is known: a symbol version such as "GLIBC_2.39" comes with a newer release of the
    system. Asked again until nothing is missing, for a person may install a package meanwhile. Raises `PlatformError`
    if PySide6 is not installed.
    """
    if not LINUX or plugin in _found_whole:
        return {}
    missing: dict[str, str] = {}
    for binary in _qt_binaries(plugin):
        said = _linked(binary)
        names = _NOT_FOUND.findall(said) + _TOO_OLD.findall(said)
        # A broken library elsewhere hides all others; the binary itself is not a library of the system.
        names += [Path(file).name for file, _ in _BROKEN.findall(said) if file != str(binary)]
        missing.update((name, _PACKAGES.get(name, "")) for name in names)
    if not missing:
        _found_whole.add(plugin)
    return missing


def _qt_binaries(plugin: str) -> list[Path]:
    found = importlib.util.find_spec("PySide6")
    if found is None or not found.origin:
        raise PlatformError(
            "PySide6, which draws the windows, is not installed for this Python; run "
            f"{sys.executable} -m pip install labplatform",
            python=sys.executable,
        )
    package = Path(found.origin).parent
    # Qt's own writing: "xcb;wayland" is a list of wishes, "offscreen:key=value" has arguments.
    name = re.split("[;:]", plugin)[0]
    core = [package / "Qt/lib/libQt6WebEngineCore.so.6", package / "Qt/libexec/QtWebEngineProcess"]
    platforms = package / "Qt/plugins/platforms"
    binaries = [file for file in core if file.is_file()]
    binaries += sorted([*platforms.glob(f"libq{name}.so"), *platforms.glob(f"libq{name}-*.so")])
    # A PySide6 from the distribution keeps Qt among the system's libraries: ask through the extension module.
    return binaries or sorted(package.glob("QtWebEngineCore*.so"))


@functools.cache
def _loader() -> str:
    """The dynamic loader that started this Python; `ldd` is only a script around it."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("ld-"):
            return f"/{path}"
    return ""


def _linked(binary: Path) -> str:
    """What the dynamic loader says about a binary's libraries, without running any of its code."""
    command = [_loader(), "--list"] if _loader() else ["ldd"]
    try:
        done = subprocess.run(
            [*command, str(binary)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_DEADLINE,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlatformError(f"{binary}: its libraries cannot be listed: {error}", file=str(binary)) from None
    return done.stdout + done.stderr


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _has_t64(release: Mapping[str, str]) -> bool:
    threshold = {"ubuntu": (24, 4), "debian": (13, 0)}.get(release.get("ID", ""))
    if threshold is None:
        return False
    # Debian testing and unstable have no version: they are newer than any that has.
    numbers = [int(part) for part in re.findall(r"\d+", release.get("VERSION_ID", "9999"))]
    return tuple([*numbers, 0][:2]) >= threshold


def package_names(libraries: Iterable[str], release: Mapping[str, str] | None = None) -> list[str]:
    """Packages that bring these libraries, as this release of Debian or Ubuntu calls them; sorted, each once.

    `release`: the values of os-release, this machine's own if left out.
    """
    newer = _has_t64(_release() if release is None else release)
    names = {_PACKAGES[library] for library in libraries if _PACKAGES.get(library)}
    return sorted(_T64.get(name, name) if newer else name for name in names)


def install_line(packages: Iterable[str]) -> str:
    """The line that a person runs to install these packages."""
    names = " ".join(packages)
    if LINUX and shutil.which("apt-get") is None:
        return f"install, with this system's package manager, what Debian calls: {names}"
    sudo = "" if os.name == "posix" and os.geteuid() == 0 else "sudo "
    # A fresh container has no package lists, and apt-get then says "Unable to locate package".
    update = "" if any(Path("/var/lib/apt/lists").glob("*Packages*")) else f"{sudo}apt-get update && "
    return f"{update}{sudo}apt-get install -y {names}"


def has_font() -> bool:
    """Whether fontconfig's folders hold a font; without one a page shows no letters."""
    if not LINUX:
        return True
    folders = ["/usr/share/fonts", "/usr/local/share/fonts"]
    home = Path.home()
    data = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    folders += [str(home / ".fonts"), f"{data}/fonts"]
    try:
        text = Path(os.environ.get("FONTCONFIG_FILE") or "/etc/fonts/fonts.conf").read_text(errors="replace")
    except OSError:
        text = ""
    folders += [name for name in re.findall(r"<dir>([^<]+)</dir>", text) if name.startswith("/")]
    return any(
        name.lower().endswith((".ttf", ".otf", ".ttc", ".pfb"))
        for folder in dict.fromkeys(folders)
        for _, _, names in os.walk(folder, followlinks=True)
        for name in names
    )


# --- sandbox and shared memory ----------------------------------------------------------------------------------------

# What Chromium's zygote does before it has a sandbox: a user namespace, its maps, then the others inside it. Ubuntu
# lets an unprofiled program make the first and refuses the rest.
_NAMESPACE_PROBE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def unshare(flags, what):
    if libc.unshare(flags):
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
if os.geteuid() == 0:
    try:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    except OSError as error:
        print(f"asked as root, for this process cannot become an ordinary user ({error.strerror})")
uid, gid = os.geteuid(), os.getegid()
libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: changing the user took it away, and with it /proc/self
unshare(0x10000000, "a user namespace")
try:
    for name, text in ("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
except OSError as error:
    sys.exit(f"the maps of a user namespace: {error.strerror}")
unshare(0x20000000 | 0x40000000, "PID and network namespaces inside a user namespace")
"""


@functools.cache
def user_namespaces() -> tuple[bool, str]:
    """Whether an ordinary process may make the namespaces that Chromium's sandbox stands on, and why or why not.

    Tried in a short-lived process (as an ordinary user, where this one is root), once.
    """
    if not LINUX:
        return False, "this system has no Linux namespaces"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _NAMESPACE_PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_DEADLINE,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"could not be tried: {error}"
    root = "; as root Chromium refuses its sandbox all the same" if os.geteuid() == 0 else ""
    if done.returncode == 0:
        note = f" ({done.stdout.strip()})" if done.stdout.strip() else ""
        return True, f"an ordinary process can make them{note}{root}"
    said = (done.stderr.strip().splitlines() or [f"the probe ended with {done.returncode}"])[-1]
    return False, f"this system refuses {said}{root}"


def shared_memory() -> int | None:
    """Bytes /dev/shm can hold in all; `None` if there is none, or none that this user may write."""
    try:
        if not os.access("/dev/shm", os.W_OK | os.X_OK):
            return None
        size = os.statvfs("/dev/shm")
    except (OSError, AttributeError):
        return None
    return size.f_blocks * size.f_frsize


def chromium_flags() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Flags without which Chromium does not run on this machine, and for each the reason, a sentence."""
    if not LINUX:
        return (), ()
    needed: list[tuple[str, str]] = []
    if os.geteuid() == 0:
        needed.append(
            ("--no-sandbox", "Chromium's sandbox is off: this is root, and as root Chromium does not start with it.")
        )
    elif not user_namespaces()[0]:
        needed.append(
            ("--no-sandbox", f"Chromium's sandbox is off: it needs user namespaces, and {user_namespaces()[1]}.")
        )
    size = shared_memory()
    if size is None or size < SHARED_MEMORY_NEEDED:
        found = "/dev/shm is missing or not writable" if size is None else f"/dev/shm holds only {size >> 20} MiB"
        needed.append(("--disable-dev-shm-usage", f"{found}: pages share memory through files instead."))
    return tuple(flag for flag, _ in needed), tuple(reason for _, reason in needed)


def sandbox_of(pid: int, host: int | None = None) -> SandboxInfo:
    """The sandbox that process `pid` really has, read from `/proc`; what cannot be read stays `None`.

    `host`: the process whose namespaces would be none of its own; this one, if it is not said.
    """
    if not LINUX:
        return SandboxInfo(why="this system has no /proc")
    try:
        theirs, ours = _proc_status(pid), _proc_status(host or "self")
    except FileNotFoundError:
        return SandboxInfo(why=f"there is no process {pid}")
    except OSError as error:
        return SandboxInfo(why=f"/proc/{pid}/status cannot be read: {error.strerror}")
    if theirs.get("State", "").startswith("Z"):
        return SandboxInfo(why=f"process {pid} has ended")
    seccomp = theirs.get("Seccomp")
    own: dict[str, bool | None] = {}
    closed = []
    for name in ("pid", "net", "user"):
        try:
            own[name] = os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/{host or 'self'}/ns/{name}")
        except OSError:
            own[name] = None
            closed.append(name)
    depth = len(theirs.get("NSpid", "").split())
    if own["pid"] is None and depth:
        # NSpid lists the process's pid in each namespace from that of this /proc down; everybody may read it. One
        # entry: it has no namespace below. As many as the reader, but more than one: they may be two different ones.
        if depth == 1:
            own["pid"] = False
        elif depth != len(ours.get("NSpid", "").split()):
            own["pid"] = True
    unread = ", ".join(name for name in closed if own[name] is None)
    return SandboxInfo(
        # 2 is a filter; 1, the strict mode, is not what Chromium uses, but it is a stricter filter still.
        seccomp=None if seccomp is None else seccomp != "0",
        pid_namespace=own["pid"],
        network_namespace=own["net"],
        user_namespace=own["user"],
        why=f"its {unread} namespace cannot be read by this user" if unread else "",
    )


def _proc_status(pid: int | str) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


# --- the system as a whole --------------------------------------------------------------------------------------------


def supported() -> tuple[bool, str]:
    """Whether the platform runs on this system; the system's name, or the route to take instead."""
    if LINUX:
        return True, f"{_release().get('PRETTY_NAME', 'Linux')}, {platform.machine()}"
    if sys.platform == "win32":
        return False, (
            "Windows itself is not supported; use WSL2 with Ubuntu 24.04, which shows real windows, "
            "or open the project in its container (.devcontainer/, Ubuntu 24.04)"
        )
    name = {"darwin": "macOS"}.get(sys.platform, sys.platform)
    return False, (
        f"{name} itself is not supported; open the project in its container (.devcontainer/, Ubuntu 24.04), "
        "where windows are drawn off screen and app.view() shows them"
    )


def runtime_folder() -> Path:
    """The user's own folder for connection files, made if missing: 0700, nobody else's, no symbolic link.

    Raises `PlatformError` if another user could read or replace what lies in it.
    """
    import platformdirs  # not needed by those who only ask about the display

    try:
        with warnings.catch_warnings():
            # Newer releases warn of an XDG_RUNTIME_DIR that they cannot use, and use another folder; so do we.
            warnings.simplefilter("ignore")
            folder = platformdirs.user_runtime_path("labplatform", appauthor=False)
    except OSError as error:
        raise _unsafe("the runtime folder", str(error)) from None
    try:
        # The parent may be missing too: /tmp/runtime-UID on a machine without a login session.
        for part in (folder.parent, folder):
            try:
                part.mkdir(mode=0o700, parents=part is not folder)
            except FileExistsError:
                pass
            if os.name == "posix":
                _check_private(part, shared=part is not folder)
    except OSError as error:
        raise _unsafe(folder, f"cannot be used: {error.strerror or error}") from None
    return folder


def _check_private(folder: Path, *, shared: bool) -> None:
    """A folder of this user's own that nobody else may enter; with `shared`, one where others cannot replace ours."""
    found = os.lstat(folder)
    user = os.geteuid()
    if stat.S_ISLNK(found.st_mode):
        raise _unsafe(folder, "is a symbolic link, which somebody else could point elsewhere")
    if not stat.S_ISDIR(found.st_mode):
        raise _unsafe(folder, "is not a folder")
    if found.st_uid != user and not (shared and found.st_uid == 0):
        raise _unsafe(folder, f"belongs to user {found.st_uid}, and this is user {user}")
    open_to_others = found.st_mode & 0o022 if shared else found.st_mode & 0o077
    if not open_to_others or (shared and found.st_mode & stat.S_ISVTX):
        return
    if found.st_uid == user and not shared:
        # Through a descriptor that refuses links, so that nothing else can be meant than what was looked at.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(handle).st_uid == user:
                os.fchmod(handle, 0o700)
                if not os.fstat(handle).st_mode & 0o077:
                    return
        finally:
            os.close(handle)
    raise _unsafe(folder, f"is open to other users (mode {stat.S_IMODE(found.st_mode):o})")


def _unsafe(folder: Path | str, problem: str) -> PlatformError:
    return PlatformError(
        f"{folder}: {problem}; connection files would not be safe there. Remove it, or set XDG_RUNTIME_DIR to a folder "
        "of your own with mode 0700",
        folder=str(folder),
    )
