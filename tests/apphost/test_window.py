"""An app's window and ground: closing, popups, storage of its own, and an agent that stays in its own main frame."""

from __future__ import annotations

import pytest
from support.apps import PLACEMENTS, make_app
from support.processes import runs, until

from labplatform.errors import JavaScriptError, LaunchError, NotRunning
from labplatform.resources import page_kit

MOST_POPUPS = 8
KIT = (page_kit() / "lab.css").read_text(encoding="utf-8")


def _evaluated(app, code: str, value: object, what: str) -> None:
    """Until the page, which may be on its way elsewhere, answers with this value."""

    def met() -> bool:
        try:
            return app.evaluate_js(code, timeout=10) == value
        except JavaScriptError:
            return False

    until(met, 20, what)


# --- closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", PLACEMENTS)
def test_a_page_may_close_its_window(platform, isolation):
    with platform(isolation=isolation) as lab:
        other, app = lab.launch("neighbour"), lab.launch("hello")
        host = app.pid
        app.evaluate_js("setTimeout(() => window.close(), 0); 0", timeout=20)
        app.wait_for("stopped", 20)
        assert (app.reason, app.detail) == ("clean-exit", "its page closed the window")
        assert (app.pid, app.processes, app.uptime) == (None, (), None)
        assert runs(host) is (isolation != "process")
        assert other.evaluate_js("1 + 1", timeout=20) == 2
        assert (other.incarnation, other.shared_with) == (1, ())
        app.restart()
        assert app.evaluate_js("lab.incarnation", timeout=20) == 2


def test_what_a_page_wants_to_save_before_it_closes_does_not_keep_it_open(platform):
    with platform() as lab:
        app = lab.launch("hello")
        app.evaluate_js("addEventListener('beforeunload', (event) => event.preventDefault()); 0", timeout=20)
        app.stop(timeout=20)
        assert (app.state, app.reason) == ("stopped", "clean-exit")


def test_kill_is_for_good(platform):
    with platform() as lab:
        app = lab.launch("hello")
        host = app.pid
        app.kill()
        assert (app.state, app.reason, app.restarts) == ("stopped", "killed", 0)
        assert not runs(host)
        with pytest.raises(NotRunning):
            app.wait_for("running", 5)


# --- popups -----------------------------------------------------------------------------------------------------------


def test_a_window_that_the_page_opens_is_the_same_app_without_the_agent(platform):
    with platform() as lab:
        app = lab.launch("frames")
        host = app.pid
        assert app.evaluate_js("window.popup = open('inner.html', '', 'width=300,height=200'); popup !== null")
        _evaluated(app, "popup.sawLab", "undefined", "the popup to be loaded")
        assert app.evaluate_js("popup.location.origin === location.origin", timeout=20)
        assert app.pid == host
        # Calls go to the app's own window, not to the one in front.
        assert app.evaluate_js("document.title", timeout=20) == "Frames"
        app.evaluate_js("popup.close()", timeout=20)
        _evaluated(app, "popup.closed", True, "the popup to be closed")
        app.stop(timeout=20)
        assert app.reason == "clean-exit"


def test_too_many_windows_are_refused_and_said_so(platform):
    with platform() as lab:
        app = lab.launch("frames")
        opened = app.evaluate_js(
            f"Array.from({{length: {MOST_POPUPS + 3}}}, () => open('inner.html') !== null)", timeout=30
        )
        assert opened[:MOST_POPUPS] == [True] * MOST_POPUPS
        refusals = lambda: [e for e in app.events if "refused" in e.text and f"{MOST_POPUPS} extra windows" in e.text]  # noqa: E731
        until(lambda: len(refusals()) == 3, 20, "three refusals")
        assert refusals()[0].level == "warning"
        assert app.evaluate_js("1 + 1", timeout=20) == 2
        app.stop(timeout=20)
        assert app.reason == "clean-exit", app.detail


# --- the agent --------------------------------------------------------------------------------------------------------


def test_the_agent_enters_the_main_frame_alone(platform):
    with platform() as lab:
        app = lab.launch("frames")
        assert app.evaluate_js("typeof lab", timeout=20) == "object"
        _evaluated(app, "document.getElementById('own').contentWindow.sawLab", "undefined", "the frame to be loaded")
        assert app.evaluate_js("fromSandbox", timeout=20) == "undefined"


def test_the_agent_does_not_follow_to_another_origin(platform, web):
    elsewhere = web.page(
        "/elsewhere", "<!doctype html><title>elsewhere</title><script>window.sawLab = typeof lab</script>"
    )
    with platform() as lab:
        app = lab.launch("hello")
        app.evaluate_js(f"location.href = '{elsewhere}'; 0", timeout=20)
        _evaluated(app, "document.title", "elsewhere", "the page to be elsewhere")
        assert app.evaluate_js("[typeof lab, window.sawLab]", timeout=20) == ["undefined", "undefined"]
        until(lambda: app.url == elsewhere, 10, "its new address to be told")
        assert (app.state, app.incarnation) == ("running", 1)
        # Back home it is the app again.
        app.restart()
        assert app.evaluate_js("lab.appId", timeout=20) == "hello"


def test_the_agent_is_there_before_the_pages_scripts_and_knows_who_it_is(platform):
    with platform() as lab:
        app = lab.launch("hello")
        known = app.evaluate_js(
            "({saw: window.sawLab, id: lab.appId, instance: lab.instanceId, n: lab.incarnation, pid: lab.pid})",
            timeout=20,
        )
        assert known == {"saw": "object", "id": "hello", "instance": app.instance_id, "n": 1, "pid": app.pid}
        with pytest.raises(JavaScriptError, match="TypeError"):
            app.evaluate_js("'use strict'; lab.pid = 1", timeout=20)
        # Nothing that the page can reach holds the token.
        assert app.evaluate_js("JSON.stringify(lab).includes('token')", timeout=20) is False


# --- its own ground ---------------------------------------------------------------------------------------------------

# The body of an answer that is none is not read: Qt gives it no end.
FETCH = "fetch('{0}').then((answer) => answer.ok ? answer.text() : 'refused').catch(() => 'refused')"


@pytest.mark.parametrize("isolation", PLACEMENTS)
def test_apps_cannot_read_each_others_files_or_storage(platform, isolation):
    with platform(isolation=isolation) as lab:
        app, other = lab.launch("hello"), lab.launch("neighbour")
        assert app.evaluate_js("[isSecureContext, location.origin]", timeout=20) == [True, "app://hello"]
        assert "<h1>Hello</h1>" in app.evaluate_js(FETCH.format("app://hello/index.html"), timeout=20)
        assert app.evaluate_js(FETCH.format("app://neighbour/index.html"), timeout=20) == "refused"
        assert app.evaluate_js(FETCH.format("app://nobody/index.html"), timeout=20) == "refused"
        other.evaluate_js("localStorage.setItem('secret', 'mine'); document.cookie = 'secret=mine'; 0", timeout=20)
        assert app.evaluate_js("[localStorage.getItem('secret'), document.cookie]", timeout=20) == [None, ""]
        frame = """new Promise((done) => {
            const frame = document.body.appendChild(document.createElement("iframe"));
            frame.src = "app://neighbour/index.html";
            setTimeout(() => { try { done(frame.contentWindow.secret ?? null); } catch { done("refused"); } }, 500);
        })"""
        assert app.evaluate_js(frame, timeout=20) in (None, "refused")
        # An opaque origin is nobody's, and gets nobody's scripts.
        sandboxed = """new Promise((done) => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            const report = "parent.postMessage(typeof window.greeting, '*')";
            const source = "app://neighbour/side.js";
            frame.srcdoc = `<script src="${source}" onerror="${report}" onload="${report}"></` + "script>";
            addEventListener("message", (event) => done(event.data), {once: true});
            document.body.append(frame);
        })"""
        assert app.evaluate_js(sandboxed, timeout=20) == "undefined"


OUTSIDE = [
    "../neighbour/index.html",
    "%2e%2e/neighbour/index.html",
    "..%2fneighbour/app.json",
    "%00",
    "/etc/passwd",
    "link",
    "_lab/..%2f..%2fmanifest.py",
    "_lab/..%2fsrc%2fagent.ts",
    "_lab/nothing.css",
    "_lab/",
]


def test_nothing_outside_its_folder_is_served(platform, tmp_path):
    home = make_app(tmp_path, "curious")
    (tmp_path / "outside.txt").write_text("outside")
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour" / "index.html").write_text("outside")
    (home / "link").symlink_to(tmp_path / "outside.txt")
    with platform(home) as lab:
        app = lab.launch("curious")
        for path in OUTSIDE:
            assert app.evaluate_js(FETCH.format(f"app://curious/{path}"), timeout=20) == "refused", path
        # What is there is served, so it was not a matter of the asking.
        assert "<h1>page</h1>" in app.evaluate_js(FETCH.format("app://curious/./index.html?x#y"), timeout=20)
        # What belongs to no app but is there for all of them comes from each one's own origin.
        assert app.evaluate_js(FETCH.format("app://curious/_lab/lab.css"), timeout=20) == KIT
        assert app.evaluate_js(FETCH.format("app://other/_lab/lab.css"), timeout=20) == "refused"


def test_storage_for_the_session_outlives_restart_and_crash(platform):
    with platform() as lab:
        app = lab.launch("hello")
        app.evaluate_js("localStorage.setItem('kept', 'yes'); 0", timeout=20)
        app.restart()
        assert app.evaluate_js("localStorage.getItem('kept')", timeout=20) == "yes"
        app.crash("kill")
        until(lambda: app.incarnation == 3, 20, "the next incarnation")
        app.wait_for("running", 30)
        assert app.evaluate_js("localStorage.getItem('kept')", timeout=20) == "yes"
        app.stop()
        assert lab.launch("hello").evaluate_js("localStorage.getItem('kept')", timeout=20) == "yes"
    with platform() as lab:
        assert lab.launch("hello").evaluate_js("localStorage.getItem('kept')", timeout=20) is None


def test_storage_in_a_shared_host_outlives_a_renderer(platform):
    with platform(isolation="shared-process") as lab:
        lab.launch("neighbour")
        app = lab.launch("hello")
        app.evaluate_js("localStorage.setItem('kept', 'yes'); 0", timeout=20)
        app.crash("renderer")
        until(lambda: app.incarnation == 2, 20, "the next incarnation")
        app.wait_for("running", 30)
        assert app.evaluate_js("localStorage.getItem('kept')", timeout=20) == "yes"


@pytest.mark.parametrize("visits", [3, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_persistent_storage_outlives_the_platform(platform, visits):
    """What a page stored last, just before it was closed, included."""
    for visit in range(visits):
        with platform() as lab:
            app = lab.launch("keeper")
            assert app.evaluate_js("localStorage.getItem('visits')", timeout=20) == (str(visit) if visit else None)
            app.evaluate_js(f"localStorage.setItem('visits', '{visit + 1}'); 0", timeout=20)


def test_a_second_instance_does_not_share_persistent_storage(platform):
    with platform() as lab:
        first, second = lab.launch("keeper"), lab.launch("keeper")
        assert (first.name, second.name) == ("keeper", "keeper-2")
        first.evaluate_js("localStorage.setItem('mine', '1'); 0", timeout=20)
        assert second.evaluate_js("localStorage.getItem('mine')", timeout=20) is None
        assert any("another instance holds this app's persistent storage" in entry.text for entry in second.events)


# --- placement --------------------------------------------------------------------------------------------------------


def test_one_affinity_is_one_process(platform, tmp_path):
    for uuid, affinity in (("one", "desk"), ("two", "desk"), ("three", None)):
        make_app(tmp_path, uuid, startup_app={"processAffinity": affinity})
    with platform(tmp_path) as lab:
        one, two, three = (lab.launch(uuid) for uuid in ("one", "two", "three"))
        assert one.pid == two.pid != three.pid
        assert (one.shared_with, three.shared_with) == (("two",), ())
        assert _renderer(one) == _renderer(two) != _renderer(three)
        assert one.evaluate_js("lab.placement", timeout=20) == "shared renderer"
        assert three.evaluate_js("lab.placement", timeout=20) == "own process"


def _renderer(app) -> set[int]:
    until(lambda: any(process.role == "renderer" for process in app.processes), 20, "a sample of its processes")
    return {process.pid for process in app.processes if process.role == "renderer"}


@pytest.mark.parametrize(("isolation", "renderers"), [("process", 1), ("shared-process", 2), ("shared-renderer", 1)])
def test_renderers_are_as_many_as_the_placement_says(platform, isolation, renderers):
    with platform(isolation=isolation) as lab:
        app, other = lab.launch("hello"), lab.launch("neighbour")
        until(lambda: app.processes and other.processes, 20, "samples of their processes")
        until(lambda: len(_renderer(app)) == renderers, 20, "the renderers to be told apart")
        assert (_renderer(app) == _renderer(other)) is (isolation != "process")
        assert {process.role for process in app.processes} <= {"host", "zygote", "renderer", "helper", "sandbox"}
        assert app.processes[0].role == "host"
        assert app.processes[0].pid == app.pid


def test_what_the_console_said_is_with_a_failed_launchs_error(platform, web):
    web.never("/endless.js")
    page = "<script>console.error('feed refused')</script><script src='/endless.js'></script>"
    startup = {"uuid": "chatty", "name": "Chatty", "url": web.page("/chatty", page)}
    with platform() as lab:
        with pytest.raises(LaunchError) as caught:
            lab.launch({"startup_app": startup}, timeout=3)
        assert any(line.startswith("error: feed refused") for line in caught.value.detail["console"])


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", PLACEMENTS)
def test_a_picture_shows_the_page(platform, tmp_path, isolation):
    from PIL import Image

    page = "<!doctype html><style>html { background: rgb(200, 30, 60) }</style>"
    make_app(tmp_path, "red", page=page, startup_app={"defaultWidth": 300, "defaultHeight": 200})
    make_app(tmp_path, "hidden", page=page, startup_app={"autoShow": False, "defaultWidth": 300, "defaultHeight": 200})
    with platform(tmp_path, isolation=isolation) as lab:
        for app in (lab.launch("red"), lab.launch("hidden")):
            file = tmp_path / f"{app.name}.png"

            def shown(app=app, file=file) -> bool:
                shot = app.screenshot(file, timeout=20)
                with Image.open(file) as image:
                    assert image.size == (shot.width, shot.height)
                    return image.convert("RGB").getpixel((image.width // 2, image.height // 2)) == (200, 30, 60)

            until(shown, 20, f"{app.name} to be drawn")
