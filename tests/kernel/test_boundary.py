"""The boundary between apps: an intruder tries each road to its neighbour and to the controller, and tells the way.

Without a boundary the same roads are open, which is what makes the others tests.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from support.apps import make_app
from support.intruder import BUS, INTRUDER, NEIGHBOUR, intrude
from support.ordinary_user import ordinary_user
from support.processes import until

import labplatform
from labplatform import landlock

KINDS = ["bubblewrap", "landlock", "off"]


def _skip_where_it_does_not_work(kind: str) -> None:
    if kind == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    if kind == "landlock" and landlock.version() < landlock.ABI_OF_SIGNALS:
        pytest.skip("this kernel's Landlock keeps no signals back")


def _judge(kind: str, told: dict[str, Any]) -> None:
    if kind == "off":
        assert told["boundary"][-1] == "none (it was turned off for this platform)"
        return
    # What Landlock does not keep it from is said.
    assert told["worked"] == ([BUS] if kind == "landlock" else [])
    assert ("sockets in the file system" in told["boundary"][-1]) == (kind == "landlock")
    assert told["boundary"][:4] == [kind, True, True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_an_intruder(platform, tmp_path, kind):
    _skip_where_it_does_not_work(kind)
    with platform(boundary=kind) as lab:
        told = intrude(lab, tmp_path)
    _judge(kind, told)
    if kind == "off":
        assert told["worked"] == told["roads"]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("kind", ["bubblewrap", "landlock", pytest.param("off", marks=pytest.mark.long)])
def test_an_intruder_of_an_ordinary_user(tmp_path_factory, kind):
    """The same user's neighbour, and Chromium's sandbox inside the boundary."""
    _skip_where_it_does_not_work(kind)
    with ordinary_user(tmp_path_factory) as user:
        allowed = user.run("-c", "from labplatform import machine; print(*machine.user_namespaces())").stdout
        if not allowed.startswith("True"):
            pytest.skip(f"this machine gives ordinary users no sandbox: {allowed}")
        tests = str(Path(__file__).resolve().parents[1])
        code = f"import sys; sys.path.insert(0, {tests!r}); from support.intruder import main; main()"
        done = user.run("-c", code, str(user.home / "apps"), kind)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
    _judge(kind, told)
    # Landlock lets nothing be written below /proc, and so Chromium make no namespaces.
    namespaces = "can make no namespaces" if kind == "landlock" else "own PID namespace"
    assert "seccomp filter" in told["chromium"] and namespaces in told["chromium"]
    if kind == "off":
        # Of its own processes the kernel keeps it from a sandboxed renderer and from what is no child of its; the rest
        # is open.
        assert set(told["worked"]) >= {"the controller's token", "its page", "changing its page", "signals to its host"}


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_an_app_without_network_reaches_nothing_but_its_platform(platform, tmp_path, web, kind):
    _skip_where_it_does_not_work(kind)
    web.page("/", "<h1>web</h1>")
    port = int(web.address.rpartition(":")[2])
    for name, sandbox in (("closed", {"network": False}), ("open", {})):
        home = make_app(tmp_path, name, page=NEIGHBOUR.replace("OF", name), python=INTRUDER, sandbox=sandbox)
        (home / "plan.json").write_text(json.dumps([["the web server", "connects", port]]))
    with platform(tmp_path, boundary=kind) as lab:
        listens = lab.launch("open")
        report = until(lambda: listens.evaluate_js("report"), 20, "the open app's report")
        assert report["worked"] == ["the web server"]
        closed = lab.launch("closed")
        # Its page has its agent all the same, through its host.
        until(lambda: closed.evaluate_js("report"), 20, "the closed app's report")
        assert closed.evaluate_js("report.worked") == []
        assert (listens.sandbox.boundary.network, closed.sandbox.boundary.network) == (False, True)
        fetched = f"fetch('{web.address}/', {{mode: 'no-cors'}}).then(() => 'reached', () => 'failed')"
        assert listens.evaluate_js(fetched, timeout=20) == "reached"
        assert closed.evaluate_js(fetched, timeout=20) == "failed"


@pytest.mark.parametrize("kind", ["bubblewrap", pytest.param("landlock", marks=pytest.mark.long)])
def test_its_modules_are_compiled_and_it_may_read_them(platform, tmp_path, monkeypatch, kind):
    """Else each start would compile them anew, for within a boundary it may not write them."""
    _skip_where_it_does_not_work(kind)
    kept = tmp_path / "kept"
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(kept))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr(sys, "pycache_prefix", str(kept))
    file = importlib.util.cache_from_source(str(Path(labplatform.__file__).parent / "apphost" / "host.py"))
    home = make_app(tmp_path, "reader", page=NEIGHBOUR.replace("OF", "reader"), python=INTRUDER)
    (home / "plan.json").write_text(json.dumps([["a compiled module", "reads", file]]))
    with platform(home, boundary=kind) as lab:
        app = lab.launch("reader")
        report = until(lambda: app.evaluate_js("report"), 20, "its report")
    assert report["worked"] == ["a compiled module"]


def test_an_app_that_turns_its_boundary_off_says_so(platform, tmp_path):
    make_app(tmp_path, "open", sandbox={"boundary": False})
    with platform(tmp_path) as lab:
        assert str(lab.launch("open").sandbox.boundary).startswith("none (its manifest turns it off")


def test_where_apps_share_a_process_there_is_none_and_it_says_so(platform):
    with platform(isolation="shared-process") as lab:
        app = lab.launch("hello")
        assert "share a process have no boundary" in str(app.sandbox.boundary)


def test_a_boundary_that_cannot_be_is_refused(platform):
    with pytest.raises(ValueError, match="boundary is one of auto, bubblewrap, landlock, off"):
        platform(boundary="wall")
