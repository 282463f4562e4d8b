"""An ordinary user, for tests that run as root: a home, and a Python that this user may run. No account is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import labplatform

USER = 54321
"""A user id that nobody has."""
ENTER = ("sh", "-c", 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"', "sh")
"""What is before a command that runs in control groups; they and `--` come between."""


class User(NamedTuple):
    """`python`: the command that runs Python as this user; `other`: whether it is somebody else than who tests."""

    python: list[str]
    environ: dict[str, str]
    home: Path
    other: bool

    def run(
        self, *arguments: str, seconds: float = 100, cwd: str = "/", groups: Iterable[Path] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments, to its end; within these control groups, where some are given."""
        command = [*ENTER, *map(str, groups), "--", *self.python, *arguments]
        return subprocess.run(
            command, env=self.environ, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
        )


@contextlib.contextmanager
def ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Skips where there is no way to become one."""
    prefix = _become()
    # Not below pytest's own folder, which is closed to other users.
    ground = Path("/tmp") if prefix else tmp_path_factory.getbasetemp()
    made = subprocess.run(["mktemp", "-d", f"{ground}/lab-home-XXXXXX"], capture_output=True, text=True, check=True)
    home = Path(made.stdout.strip())
    try:
        run = home / "run"
        run.mkdir(mode=0o700)
        if prefix:
            for folder in (home, run):
                os.chown(folder, USER, USER)
        environ = {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(run),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command, environ = _interpreter(prefix, environ)
        yield User(command, environ, home, bool(prefix))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _become() -> list[str]:
    """What stands before a command so that an ordinary user runs it; nothing where one does already."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("the tests run as root, and there is no setpriv to become somebody else")
    # Through a shell: what setpriv itself starts is still found with root's eyes.
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all"]
    return [*become, "sh", "-c", 'exec "$@"', "sh"]


def _interpreter(prefix: list[str], environ: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """A Python that this user may run and that imports labplatform with all its needs.

    The tests' own may lie in root's home; then the system's of the same version takes its packages.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = [
        str(Path(labplatform.__file__).parents[1]),
        *(entry for entry in sys.path if entry.endswith("-packages")),
    ]
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        own = environ | {"PYTHONPATH": os.pathsep.join(packages)}
        probe = [
            *prefix,
            python,
            "-c",
            "import labplatform, webview, PySide6.QtWebEngineCore, websockets, setproctitle",
        ]
        try:
            if subprocess.run(probe, env=own, cwd="/", capture_output=True, timeout=60).returncode == 0:
                return [*prefix, python], own
        except OSError:
            continue
    pytest.skip(f"user {USER} may not run {sys.executable}, and no other {version} here imports what is needed")
