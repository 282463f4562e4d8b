"""The platform as an ordinary user has it: Chromium's sandbox is on, and what is said of it is what there is."""

from __future__ import annotations

import json
import os

import msgspec
import pytest
from support.apps import APPS
from support.ordinary_user import USER, ordinary_user

from labplatform import machine

SCRIPT = f"""
import json, os, time
from labplatform import Heartbeat, LabError, Platform
beat = Heartbeat(interval=0.2, silent_after=7, ended_after=12)
with Platform({str(APPS)!r}, display="offscreen", quiet=True, js_heap="64MiB", heartbeat=beat) as platform:
    app, other = platform.launch_all("hello", "neighbour")
    box = app.sandbox
    answer = {{
        "user": os.geteuid(), "holds": box.holds, "seccomp": box.seccomp, "pid": box.pid_namespace, "words": str(box),
        "file": oct(platform.connection_file.stat().st_mode & 0o777), "reasons": [], "again": [],
    }}
    leak = "(async () => {{ const kept = []; for (;;) kept.push(await new Uint8Array(1e7).fill(kept.length + 1)) }})()"
    for number, how in enumerate(("renderer", "oom", "hang", "leak"), start=2):
        if how == "leak":
            app.set_resource_limits(max_memory=200_000_000)
            try:
                app.evaluate_js(leak, timeout=30)
            except LabError:
                pass
        else:
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


def test_chromiums_sandbox_and_limits_hold_for_an_ordinary_user(nothing_left, tmp_path_factory):
    with ordinary_user(tmp_path_factory) as user:
        allowed = user.run("-c", "from labplatform import machine; print(*machine.user_namespaces())").stdout
        if not allowed.startswith("True"):
            pytest.skip(f"this machine gives ordinary users no sandbox: {allowed}")
        done = user.run("-c", SCRIPT)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["user"] == (USER if user.other else os.geteuid())
        assert (answer["neighbour"], answer["file"]) == ([4, 1], "0o600")
        assert (answer["holds"], answer["seccomp"], answer["pid"]) == (True, True, True), answer["words"]
        # A sandboxed renderer is the first process of its own namespace, and breaks as any other all the same.
        assert answer["reasons"] == ["crashed", "oom", "unresponsive", "memory-limit"]
        assert answer["again"] == [True] * 4
        assert "seccomp filter" in answer["words"]
        # Nothing is left in its folders that another start would trip over.
        assert list(user.home.glob("run/labplatform/platform-*")) == []


def test_what_is_said_of_the_sandbox_is_what_the_renderer_has(platform):
    with platform() as lab:
        app = lab.launch("hello")
        renderer = app.evaluate_js("1", timeout=20) and _renderer(app)
        with open(f"/proc/{renderer}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines())
        assert app.sandbox.seccomp is (status["Seccomp"] != "0")
        assert msgspec.structs.replace(app.sandbox, boundary=None) == machine.sandbox_of(renderer, app.pid)
        if os.geteuid() == 0:
            assert app.sandbox.holds is False


def _renderer(app) -> int:
    from support.processes import until

    until(lambda: any(process.role == "renderer" for process in app.processes), 20, "a sample of its processes")
    return next(process.pid for process in app.processes if process.role == "renderer")
