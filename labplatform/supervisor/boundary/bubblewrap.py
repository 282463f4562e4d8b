"""The boundary made of namespaces: each app host in a bubblewrap sandbox (https://github.com/containers/bubblewrap).

A pid namespace of its own, so that it sees, traces and signals no neighbour; a view of the files that holds what it
needs and nothing else; a /tmp, a /dev/shm and a home of its own; no capabilities; without network, where its manifest
grants none. Works as root and, where user namespaces are allowed, for an ordinary user; Chromium's own sandbox nests
inside. Supervisor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .view import View

PROBE_SECONDS = 5.0


def command(program: str, view: View, network: bool) -> list[str]:
    """The words to put before the app host's own command line."""
    words = [program, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not network:
        words.append("--unshare-net")
    # Not --new-session: the host leads a session already. It ends with its supervisor, whatever becomes of bwrap.
    words += ["--die-with-parent", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm"]
    words += ["--perms", "1777", "--tmpfs", "/tmp"]
    words += ["--perms", "0700", "--dir", view.home]
    if view.runtime:
        words += ["--perms", "0700", "--dir", view.runtime]
    for path in view.readable:
        # A link such as /bin stays one; what it leads to is bound by itself.
        words += ["--symlink", os.readlink(path), path] if _is_root_link(path) else ["--ro-bind", path, path]
    for path in view.sockets:
        words += ["--ro-bind", path, path]
    for path in view.devices:
        words += ["--dev-bind", path, path]
    for path in view.hidden:
        words += ["--tmpfs", path]
    for path in view.writable:
        words += ["--bind", path, path]
    return [*words, "--"]


def _is_root_link(path: str) -> bool:
    return os.path.islink(path) and Path(path).parent == Path("/")


def find() -> tuple[str | None, str]:
    """The program, if a sandbox can be made with it here, and else why not. Takes some 20 ms."""
    program = shutil.which("bwrap")
    if program is None:
        return None, "bubblewrap is not installed (Debian's package `bubblewrap`)"
    nothing = View(readable=("/usr",), hidden=(), writable=(), devices=(), sockets=(), home="/home", runtime="")
    links = [part for name in ("/bin", "/lib", "/lib64") for part in _link_or_bind(name)]
    *words, _ = command(program, nothing, network=False)
    try:
        done = subprocess.run(
            [*words, *links, "--", "/bin/true"],
            stdin=subprocess.DEVNULL,
            # The first process of the sandbox outlives this one for a moment, and is swept up then as a stray.
            start_new_session=True,
            capture_output=True,
            timeout=PROBE_SECONDS,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"bubblewrap could not be tried: {error}"
    if done.returncode == 0:
        return program, ""
    said = done.stderr.strip().splitlines()
    return None, f"bubblewrap cannot make a sandbox here: {said[-1] if said else f'exit code {done.returncode}'}"


def _link_or_bind(path: str) -> list[str]:
    if os.path.islink(path):
        return ["--symlink", os.readlink(path), path]
    return ["--ro-bind", path, path] if os.path.exists(path) else []
