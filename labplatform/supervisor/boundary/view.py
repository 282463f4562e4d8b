"""What of the machine's files an app host has to see, and what it may write. Supervisor.

Everything else is not there for it: other apps' profiles, the controller's connection file, the person's home.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import msgspec
from platformdirs import user_data_path

from ... import machine

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store")
"""Programs, libraries, fonts and settings of the machine; the same for every user."""
KERNEL = ("/sys",)
"""Chromium asks it which CPUs and GPUs there are."""
OF_THE_PERSON = (".fonts", ".local/share/fonts", ".config/fontconfig", ".cache/fontconfig", ".pki/nssdb")
"""Folders below the home that a page's look, and its trust in a company's certificates, may depend on."""
FONTS = ("/var/cache/fontconfig",)
"""What fontconfig knows of the fonts, here and below the home; else it reads all of them at each start, which takes a
tenth of a second."""
RESOLVER = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager")
"""Where `/etc/resolv.conf` may be a link to."""
GRAPHICS = ("/dev/dri", "/dev/nvidiactl", "/dev/nvidia0")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Existing paths: `readable`, with those below them; `hidden`, which are not, though they may be below a readable
    one; `writable`, which may be below a hidden one; `devices`; `sockets` of display servers.
    """

    readable: tuple[str, ...]
    hidden: tuple[str, ...]
    writable: tuple[str, ...]
    devices: tuple[str, ...]
    sockets: tuple[str, ...]
    home: str
    runtime: str


def view_for(folder: str | None, profile: str) -> View:
    """For an app whose files are in `folder` and whose cookies and storage are in `profile`."""
    home = Path.home()
    readable = [*SYSTEM, *KERNEL, *FONTS, *RESOLVER, *_python(), *(str(home / name) for name in OF_THE_PERSON)]
    if folder:
        readable.append(folder)
    return View(
        readable=_existing(readable),
        hidden=_existing([str(machine.runtime_folder()), str(user_data_path("labplatform"))]),
        writable=(profile,),
        devices=_existing(GRAPHICS),
        sockets=_existing(_displays()),
        home=str(home),
        runtime=os.environ.get("XDG_RUNTIME_DIR", ""),
    )


def _python() -> Iterable[str]:
    """Where this interpreter and all that it imports come from."""
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).parent.parent))
    yield str(Path(os.path.realpath(sys.executable)).parent.parent)
    yield from sysconfig.get_paths().values()
    yield from (path for path in sys.path if path)
    if sys.pycache_prefix:
        yield sys.pycache_prefix
    # The package itself, where it is a checkout that a .pth file or an import hook leads to.
    yield str(Path(__file__).resolve().parents[3])


def _displays() -> Iterable[str]:
    yield "/tmp/.X11-unix"
    if authority := os.environ.get("XAUTHORITY"):
        yield authority
    else:
        yield str(Path.home() / ".Xauthority")
    runtime, wayland = os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("WAYLAND_DISPLAY")
    if runtime and wayland:
        yield os.path.join(runtime, wayland)


def _existing(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that are there, each once, none below another that is there as well; never the root itself."""
    found: dict[str, None] = {}
    for path in paths:
        if os.path.isabs(path) and os.path.exists(path) and os.path.realpath(path) != "/":
            found[os.path.normpath(path)] = None
    return tuple(path for path in found if not any(path.startswith(f"{other}/") for other in found))
