"""FDC3's own conformance tests: finds a checkout of them, and builds and serves it. None of their code is kept here.

They are the folder `toolbox/fdc3-conformance` of github.com/finos/FDC3. The environment variable CHECKOUT names a
checkout of that repository, or of that folder alone; without it the tag TAG is fetched from there.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.npm import Unreachable, esbuild, installed, made_once

CHECKOUT = "LABPLATFORM_FDC3_CONFORMANCE"
REPOSITORY = "https://github.com/finos/FDC3"
TAG = "v2.2.3"
FOLDER = Path("toolbox") / "fdc3-conformance"
RUNNER = "Conformance1"
"""The appId of the app that runs the tests."""
SERVED_AT = "http://localhost:3001"
"""Where the suite's directory says that its pages are."""

PACKAGES = Path(__file__).with_name("packages")
CLONE_DEADLINE = 120
"""Seconds that git may take."""


def find(cache: Path) -> Path:
    """The folder of the suite. Raises `Unreachable` where there is none and none can be fetched."""
    named = os.environ.get(CHECKOUT)
    if named is None:
        return made_once(cache / f"FDC3-{TAG}", _clone) / FOLDER
    for folder in (Path(named) / FOLDER, Path(named)):
        if (folder / "src" / "test" / "index.ts").is_file():
            return folder
    raise AssertionError(f"{CHECKOUT} is {named!r}, and there is no {FOLDER} in it, with src/test/index.ts")


def _clone(workshop: Path) -> Path:
    folder = workshop / "FDC3"
    here = {"cwd": workshop, "check": True, "capture_output": True, "text": True, "timeout": CLONE_DEADLINE}
    asks_nobody = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    only_that = ("--depth=1", "--filter=blob:none", "--sparse", f"--branch={TAG}")
    try:
        subprocess.run(["git", "clone", "--quiet", *only_that, REPOSITORY, folder], env=asks_nobody, **here)
        subprocess.run(["git", "-C", folder, "sparse-checkout", "set", FOLDER], env=asks_nobody, **here)
    except (OSError, subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise Unreachable(
            f"FDC3's conformance tests could not be fetched: {told}. {CHECKOUT} may name a checkout of {REPOSITORY}"
        ) from None
    return folder


def build(suite: Path, cache: Path, folder: Path) -> Path:
    """Bundle the suite's pages into a new folder, with `@finos/fdc3` as npm has it. Raises `Unreachable`."""
    packages = installed(PACKAGES, cache)
    shutil.copytree(suite / "src", folder / "src")
    # Beside the sources, so that what they import is found there and nowhere else.
    (folder / "node_modules").symlink_to(packages / "node_modules")
    # Its package's own entry wants node's modules; this is the same made for pages.
    paths = {"compilerOptions": {"paths": {"mocha": ["./node_modules/mocha/mocha.js"]}}}
    (folder / "tsconfig.json").write_text(json.dumps(paths), encoding="utf-8")
    built = shutil.copytree(suite / "static", folder / "built")
    entries = [f"fdc3-compliance={folder / 'src' / 'test' / 'index.ts'}"]
    for page in (built / "apps").glob("*/index.html"):
        # Some name scripts that the suite's own build does not make either; no automated test opens those.
        for name in re.findall(r"lib/([\w-]+)\.js", page.read_text(encoding="utf-8")):
            if (source := folder / "src" / "mock" / f"{name}.ts").is_file():
                entries.append(f"{name}={source}")
    esbuild(folder, *entries, "--bundle", "--define:global=window", f"--outdir={built / 'lib'}")
    return built


def directory(built: Path, served_at: str, folder: Path) -> Path:
    """The suite's own app directory, as a file that says where its pages are served now."""
    files = [file.read_text(encoding="utf-8") for file in sorted((built / "directories").glob("*.json"))]
    records = next(text for text in files if SERVED_AT in text)
    file = folder / "conformance.json"
    file.write_text(json.dumps(json.loads(records.replace(SERVED_AT, served_at))), encoding="utf-8")
    return file


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """A test's log is no place for requests."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A page that closes in the middle of an answer is what these tests are about."""

    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)
