"""What does not launch says why, leaves nothing behind, and the platform goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.apps import APPS, make_app
from support.processes import below, until

from labplatform import machine
from labplatform import messages as m
from labplatform.connection import Connection
from labplatform.errors import LaunchError, ManifestError, UnknownApp
from labplatform.manifest import load_manifest


def _hosts(lab) -> list[str]:
    return [words for words in below(lab.supervisor_pid).values()]


@pytest.fixture
def lab(platform):
    """A platform with one good app, which is asked again after the failure: nothing else may be there then."""
    with platform() as lab:
        good = lab.launch("neighbour")
        before = set(below(lab.supervisor_pid))
        yield lab
        assert good.evaluate_js("1 + 1", timeout=10) == 2
        assert (good.state, good.incarnation) == ("running", 1)
        assert [app.name for app in lab.apps] == ["neighbour"]
        assert [status.place for status in lab.describe().apps] == ["neighbour"]
        until(lambda: set(below(lab.supervisor_pid)) <= before, 10, f"the failed app's end; there is {_hosts(lab)}")
        assert lab.launch("hello").state == "running"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- manifests --------------------------------------------------------------------------------------------------------


def test_an_unknown_app(lab):
    with pytest.raises(UnknownApp, match=r"no manifest has the uuid 'nowhere'; known: .*hello.*neighbour"):
        lab.launch("nowhere")


def test_an_app_that_is_not_there(lab):
    with pytest.raises(UnknownApp, match="no app is called 'hello' on this platform; there are: neighbour"):
        lab["hello"]


WRONG = [
    (None, "no such file"),
    ("{", "JSON"),
    ("[]", "expected"),
    ("", "JSON"),
    ("{}", "startup_app"),
    ('{"startup_app": {"uuid": "x", "name": "X", "url": 7}}', r"\$\.startup_app\.url: expected .*found 7"),
    (
        '{"startup_app": {"uuid": "X y", "name": "X", "url": "i.html"}}',
        r"\$\.startup_app\.uuid: expected lower-case",
    ),
    (
        '{"startup_app": {"uuid": "x", "name": "X", "url": "../x.html"}}',
        r"\$\.startup_app\.url: expected a file inside",
    ),
]


def test_a_wrong_manifest(lab, tmp_path):
    file = tmp_path / "app.json"
    for text, words in WRONG:
        if text is not None:
            file.write_text(text)
        with pytest.raises(ManifestError, match=words) as caught:
            lab.launch(file)
        assert str(file) in str(caught.value)


def test_a_manifest_that_may_not_be_read(platform, tmp_path):
    folder = tmp_path / "app.json"
    folder.mkdir()
    with pytest.raises(ManifestError, match=r"app.json"):
        platform(folder)


def test_two_manifests_with_one_uuid(platform, tmp_path):
    make_app(tmp_path / "one", "twin")
    make_app(tmp_path / "two", "twin")
    with pytest.raises(ManifestError, match="'twin' is already the uuid of"):
        platform(tmp_path / "one", tmp_path / "two")


def test_a_manifest_that_needs_an_app_nobody_has(platform, tmp_path):
    home = make_app(tmp_path, "needy", requires=["nowhere"])
    with platform(home) as lab:
        assert lab.launch("needy").state == "running"
        assert any("requires 'nowhere', but no manifest has that uuid" in entry.text for entry in lab.events)


# --- pages ------------------------------------------------------------------------------------------------------------


def _launch(lab, url: str, timeout: float = 30, **keys) -> str:
    """The words of the error of a launch that must fail."""
    with pytest.raises(LaunchError) as caught:
        lab.launch({"startup_app": {"uuid": "bad", "name": "Bad", "url": url}, **keys}, timeout=timeout)
    assert str(caught.value).startswith("bad did not launch: ")
    assert caught.value.detail["app"] == "bad"
    assert caught.value.detail["reason"] == "launch-failed"
    return str(caught.value)


def test_a_page_file_that_is_not_there(lab, tmp_path):
    home = make_app(tmp_path, "empty", page=None, startup_app={"url": "nothing.html"})
    with pytest.raises(
        LaunchError, match=r"empty did not launch: app://empty/nothing.html does not exist in"
    ) as caught:
        lab.launch(home)
    assert str(home) in str(caught.value)


def test_it_is_off_the_platform_before_its_error_is_told(lab, tmp_path):
    """Or who catches the error would still find the app there, if it looks soon enough."""
    home, gone = make_app(tmp_path, "empty", page=None, startup_app={"url": "nothing.html"}), []

    def take_slowly(news: m.News) -> None:
        time.sleep(0.1)
        gone.extend(news.gone)

    connection = Connection(*lab._address, on_news=take_slowly)
    try:
        connection.ask(m.Subscribe, list[m.Entry], 10)
        with pytest.raises(LaunchError):
            connection.ask(m.Launch, m.AppStatus, 40, timeout=30, manifest=load_manifest(home / "app.json"))
        assert gone == ["empty"]
    finally:
        connection.close()


def test_a_server_that_answers_with_an_error(lab, web):
    for status in (404, 500, 403):
        address = web.page("/page", "<h1>sorry</h1>", status)
        assert f"{address} answered with HTTP status {status}" in _launch(lab, address)


def test_a_server_that_is_not_there(lab):
    address = f"http://127.0.0.1:{_free_port()}/"
    assert f"{address} could not be loaded" in _launch(lab, address)


def test_a_name_that_nobody_has(lab):
    assert "http://nowhere.invalid/ could not be loaded" in _launch(lab, "http://nowhere.invalid/")


def test_a_page_that_never_ends(lab, web):
    address = web.never("/endless")
    asked = time.monotonic()
    said = _launch(lab, address, timeout=2)
    assert 1.5 < time.monotonic() - asked < 20
    assert "not ready after 2 s" in said
    assert f"it was still loading {address}" in said


@pytest.mark.parametrize("isolation", ["shared-process", "shared-renderer"])
def test_a_failed_launch_in_a_shared_host_harms_nobody(platform, web, isolation):
    with platform(isolation=isolation) as lab:
        good = lab.launch("neighbour")
        _launch(lab, web.page("/page", "sorry", 404))
        _launch(lab, web.never("/endless"), timeout=2)
        assert good.evaluate_js("1 + 1", timeout=10) == 2
        assert (good.incarnation, good.shared_with) == (1, ())
        other = lab.launch("hello")
        assert other.pid == good.pid


def test_a_page_that_moves_on_while_it_loads_launches_all_the_same(platform, tmp_path):
    home = make_app(tmp_path, "mover", page="<script>location.replace('next.html')</script>")
    (home / "next.html").write_text("<!doctype html><title>next</title>")
    with platform(home) as lab:
        app = lab.launch("mover")
        until(lambda: app.evaluate_js("document.title", timeout=10) == "next", 10, "the page it moved on to")
        assert app.evaluate_js("typeof lab") == "object"


# --- Python sides -----------------------------------------------------------------------------------------------------


def test_a_service_that_raises_at_once(lab):
    with pytest.raises(LaunchError, match=r"raises did not launch: .*RuntimeError: no feed at this hour"):
        lab.launch("raises")
    assert any(entry.kind == "traceback" and "no feed at this hour" in entry.text for entry in lab.events)


UNLOADABLE = [
    ("raise OSError('the key is lost')", "OSError: the key is lost"),
    ("import not_a_module_of_this_world", "ModuleNotFoundError: No module named 'not_a_module_of_this_world'"),
    ("def main(lab:", "SyntaxError"),
    ("def other(lab): pass", "AttributeError: .*main"),
]


@pytest.mark.parametrize("page", [None, "<!doctype html><title>page</title>"], ids=["service", "page"])
def test_a_python_side_that_cannot_be_loaded(lab, tmp_path, page):
    for number, (python, words) in enumerate(UNLOADABLE):
        home = make_app(tmp_path / str(number), "broken", page=page, python=python)
        with pytest.raises(LaunchError, match=f"broken did not launch: its Python side raised: {words}"):
            lab.launch(home)


def test_a_python_side_that_ends_the_process(lab):
    """Its page may be quicker: then the app has launched, and crashes."""
    try:
        app = lab.launch("exits")
    except LaunchError as error:
        assert "exit code 7" in str(error)
        return
    until(lambda: app.reason == "abnormal-exit", 20, "its end")
    assert "exit code 7" in app.detail
    app.wait_for("failed", 60)
    lab.launch("hello").stop()
    app.stop()
    pytest.skip("its page was ready first")


def test_a_service_that_returns_at_once_has_run(platform, tmp_path):
    home = make_app(tmp_path, "brief", page=None, python="def main(lab):\n    pass")
    with platform(home) as lab:
        app = lab.launch("brief")
        app.wait_for("stopped", 20)
        assert (app.reason, app.detail) == ("clean-exit", "its Python function returned")


def test_a_python_side_that_raises_later_is_told(platform, tmp_path):
    home = make_app(
        tmp_path,
        "later",
        page=None,
        python="def main(lab):\n    lab.channel('a')\n    lab.stopping.wait(1)\n    raise KeyError('gone')",
        restart={"maxRestarts": 0},
    )
    with platform(home) as lab:
        app = lab.launch("later")
        app.wait_for("failed", 20)
        assert app.reason == "abnormal-exit"
        assert "KeyError: 'gone'" in app.detail


# --- machines that lack something -------------------------------------------------------------------------------------

SCRIPT = f"""
import json, sys
from labplatform import Platform
from labplatform.errors import LabError
with Platform({str(APPS)!r}, display="offscreen", quiet=True) as platform:
    answers = []
    for name in sys.argv[1:]:
        try:
            answers.append(platform.launch(name, timeout=60).evaluate_js("1 + 1", timeout=20))
        except LabError as error:
            answers.append(str(error))
print(json.dumps(answers))
"""


def _on_a_machine_where(preparation: str, *apps: str) -> list:
    """What launching these apps comes to, in a mount namespace of its own that was made poorer first."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to make a mount namespace with")
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    whole = f"set -e\ntrap 'exit 77' EXIT\n{textwrap.dedent(preparation)}\ntrap - EXIT\nexec \"$@\""
    command = [*unshare, "sh", "-c", whole, "sh", sys.executable, "-c", SCRIPT, *apps]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip(f"this machine lets nobody make a mount namespace and mount in it: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _where_is(library: str) -> Path:
    for line in subprocess.run(
        ["ldconfig", "-p"], capture_output=True, text=True, env={"PATH": "/sbin:/usr/sbin:/bin"}
    ).stdout.splitlines():
        if line.split(" ")[0].strip() == library:
            return Path(line.rpartition("=> ")[2].strip())
    pytest.skip(f"{library} is not where ldconfig looks")


def test_a_missing_system_library_is_named_with_its_package(nothing_left, tmp_path):
    """The folder of libraries as it is, but one of them is not there."""
    library = _where_is("libEGL.so.1")
    folder = os.path.realpath(library.parent)
    answers = _on_a_machine_where(
        f"""
        mkdir {tmp_path}/whole {tmp_path}/farm
        mount --bind {folder} {tmp_path}/whole
        cp -rs {tmp_path}/whole/. {tmp_path}/farm/
        rm {tmp_path}/farm/{library.name}
        mount --bind {tmp_path}/farm {folder}
        """,
        "hello",
        "steward",
    )
    assert "libEGL.so.1" in answers[0]
    package = machine.package_names(["libEGL.so.1"])[0]
    assert package in answers[0]
    assert machine.install_line([package]) in answers[0]
    # Who needs no window needs no library for it.
    assert "steward has no window" in answers[1]


def test_docker_s_small_shared_memory_is_enough(nothing_left):
    answers = _on_a_machine_where("mount -t tmpfs -o size=64m tmpfs /dev/shm", "hello", "neighbour", "frames")
    assert answers == [2, 2, 2]
