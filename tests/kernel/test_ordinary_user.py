"""The platform as an ordinary user has it: Chromium's sandbox is on, and what is said of it is what there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.apps import APPS

import labplatform
from labplatform import machine

USER = 54321
"""A user id that nobody has; no account is needed."""

SCRIPT = f"""
import json, os, time
from labplatform import Heartbeat, Platform
beat = Heartbeat(interval=0.2, silent_after=7, ended_after=12)
with Platform({str(APPS)!r}, display="offscreen", quiet=True, js_heap="64MiB", heartbeat=beat) as platform:
    app, other = platform.launch_all("hello", "neighbour")
    box = app.sandbox
    answer = {{
        "user": os.geteuid(), "holds": box.holds, "seccomp": box.seccomp, "pid": box.pid_namespace, "words": str(box),
        "file": oct(platform.connection_file.stat().st_mode & 0o777), "reasons": [], "again": [],
    }}
    for number, how in enumerate(("renderer", "oom", "hang"), start=2):
        app.crash(how)
        deadline = time.monotonic() + 30
        while app.incarnation < number and time.monotonic() < deadline:
            time.sleep(0.02)
        app.wait_for("running", 30)
        answer["reasons"].append(app.reason)
        answer["again"].append(app.sandbox.holds)
    answer["neighbour"] = [other.evaluate_js("2 + 2", timeout=30), other.incarnation]
print(json.dumps(answer))
"""


def _as_user() -> list[str]:
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


def test_chromiums_sandbox_holds_for_an_ordinary_user(nothing_left, tmp_path_factory):
    prefix = _as_user()
    ground = Path("/tmp") if prefix else tmp_path_factory.getbasetemp()
    # Not below pytest's own folder, which is closed to other users.
    home = Path(
        subprocess.run(
            ["mktemp", "-d", f"{ground}/lab-home-XXXXXX"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
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
        allowed = subprocess.run(
            [*command, "-c", "from labplatform import machine; print(*machine.user_namespaces())"],
            env=environ,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        if not allowed.startswith("True"):
            pytest.skip(f"this machine gives ordinary users no sandbox: {allowed}")
        done = subprocess.run(
            [*command, "-c", SCRIPT], env=environ, cwd="/", capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["user"] == (USER if prefix else os.geteuid())
        assert (answer["neighbour"], answer["file"]) == ([4, 1], "0o600")
        assert (answer["holds"], answer["seccomp"], answer["pid"]) == (True, True, True), answer["words"]
        # A sandboxed renderer is the first process of its own namespace, and breaks as any other all the same.
        assert answer["reasons"] == ["crashed", "oom", "unresponsive"]
        assert answer["again"] == [True] * 3
        assert "seccomp filter" in answer["words"]
        # Nothing is left in its folders that another start would trip over.
        assert list(run.glob("labplatform/platform-*")) == []
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_what_is_said_of_the_sandbox_is_what_the_renderer_has(platform):
    with platform() as lab:
        app = lab.launch("hello")
        renderer = app.evaluate_js("1", timeout=20) and _renderer(app)
        with open(f"/proc/{renderer}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines())
        assert app.sandbox.seccomp is (status["Seccomp"] != "0")
        assert app.sandbox == machine.sandbox_of(renderer)
        if os.geteuid() == 0:
            assert app.sandbox.holds is False


def _renderer(app) -> int:
    from support.processes import until

    until(lambda: any(process.role == "renderer" for process in app.processes), 20, "a sample of its processes")
    return next(process.pid for process in app.processes if process.role == "renderer")
