"""What a page saves is there again after a crash, a recycle and a restart, and whatever was in the middle of it."""

import os
import signal
import sqlite3
import time

import psutil
import pytest
from support.apps import APPS
from support.processes import until
from support.x11 import display, place, windows

from labplatform import Platform
from labplatform.errors import JavaScriptError
from labplatform.scenarios.waiting import until_back

SAVES = """
lab.saveState({instrument: "AAPL", note: "half a character: \\ud83d, whole: 👍", at: [1, 2.5, null]})
"""
COUNTS = """
window.saved = 0;
(async () => {
    for (let number = 1; ; number++) {
        await lab.saveState({number, filler: "x".repeat(1000)});
        window.saved = number;
    }
})(); null
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with Platform(APPS, quiet=True, store=tmp_path_factory.mktemp("store") / "store.db") as platform:
        yield platform


@pytest.fixture
def app(platform):
    app = platform.launch("hello")
    yield app
    app.stop()


def rows(platform) -> list[tuple]:
    db = sqlite3.connect(platform._store)
    try:
        return db.execute("SELECT place, state FROM states").fetchall()
    finally:
        db.close()


def test_a_first_page_has_nothing_to_restore(app):
    assert app.evaluate_js("lab.getState()") is None
    assert app.evaluate_js("lab.restored") is None


@pytest.mark.parametrize("how, after", [("segfault", "crashed"), ("kill", "killed"), ("renderer", "crashed")])
def test_a_state_is_there_again_after_a_crash(app, how, after):
    app.evaluate_js(SAVES)
    incarnation = app.incarnation
    app.crash(how=how)
    until_back(app, incarnation)
    state = app.evaluate_js("lab.getState()")
    assert state == {"instrument": "AAPL", "note": "half a character: \ufffd, whole: 👍", "at": [1, 2.5, None]}
    restored = app.evaluate_js("lab.restored")
    assert (restored["after"], restored["version"], restored["lost"]) == (after, 0, [])
    assert 0 <= restored["age"] < 10


def test_after_a_recycle_and_a_restart_too(app):
    app.evaluate_js("lab.saveState(1)")
    app.recycle()
    assert app.evaluate_js("Promise.all([lab.getState(), lab.restored.after])") == [1, "recycled"]
    app.restart()
    assert app.evaluate_js("Promise.all([lab.getState(), lab.restored.after])") == [1, "restarted"]


def test_what_was_never_saved_is_said_to_be_lost(app):
    incarnation = app.incarnation
    app.crash(how="abort")
    until_back(app, incarnation)
    restored = app.evaluate_js("lab.restored")
    assert (restored["after"], restored["age"]) == ("crashed", None)
    assert restored["lost"] == ["its state, which it never saved"]


def test_a_place_that_is_launched_anew_begins_without(platform):
    app = platform.launch("hello")
    app.evaluate_js("lab.saveState('of the former')")
    app.stop()
    app = platform.launch("hello")
    assert app.evaluate_js("Promise.all([lab.getState(), lab.restored])") == [None, None]
    app.stop()


@pytest.mark.parametrize(
    "value, words",
    [
        ("undefined", "undefined has no JSON form"),
        ("() => 1", "function has no JSON form"),
        ("1n", "no JSON form"),
        ("(() => { const ring = {}; ring.ring = ring; return ring; })()", "circular"),
        ("'x'.repeat(1 << 20)", "over the limit of 1048576"),
        ("'é'.repeat(600_000)", "over the limit of 1048576"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_the_former_stays(app, value, words):
    app.evaluate_js("lab.saveState('former')")
    with pytest.raises(JavaScriptError, match=words) as raised:
        app.evaluate_js(f"lab.saveState({value})")
    assert "former state stays" in str(raised.value)
    assert app.evaluate_js("lab.getState()") == "former"
    assert app.evaluate_js("lab.connected")


def test_a_state_of_another_version_is_migrated_or_not_given(app):
    app.evaluate_js("lab.stateVersion = 1; lab.saveState({ticker: 'AAPL'})")
    incarnation = app.incarnation
    app.crash(how="kill")
    until_back(app, incarnation)
    with pytest.raises(JavaScriptError, match=r"of version 1, and this page's lab\.stateVersion is 2"):
        app.evaluate_js("lab.stateVersion = 2; lab.getState()")
    moved = "lab.migrateState = (state, version) => ({symbol: state.ticker, from: version}); lab.getState()"
    assert app.evaluate_js(moved) == {"symbol": "AAPL", "from": 1}
    app.evaluate_js("lab.saveState({symbol: 'MSFT'})")
    assert app.evaluate_js("lab.getState()") == {"symbol": "MSFT"}
    for wrong in ("1.5", "-1", "'2'"):
        with pytest.raises(JavaScriptError, match="whole number"):
            app.evaluate_js(f"lab.stateVersion = {wrong}")


def test_a_flood_of_states_is_answered_and_costs_the_supervisor_no_memory(platform, app):
    supervisor = psutil.Process(platform.supervisor_pid)
    app.evaluate_js("lab.saveState(0)")
    before = supervisor.memory_info().rss
    flood = """(async () => {
        const filler = "x".repeat(500_000);
        for (let round = 1; round <= 40; round++) {
            const saves = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((save) => lab.saveState([round, save, filler]));
            const loads = [lab.getState(), lab.saveState([round, 11, filler]), lab.getState()];
            await Promise.all(saves);
            const [first, , second] = await Promise.all(loads);
            if (String([first[0], first[1], second[1]]) !== String([round, 10, 11])) return [round, first, second];
        }
        return "all in order";
    })()"""
    assert app.evaluate_js(flood, timeout=60) == "all in order"
    assert supervisor.memory_info().rss - before < 60 << 20


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_killed_in_the_middle_of_saving_it_comes_back_with_what_was_acknowledged(app, times):
    for number in range(times):
        app.evaluate_js(COUNTS)
        until = time.monotonic() + 10
        while (saved := app.evaluate_js("saved")) < 1 + number % 5:
            assert time.monotonic() < until
        incarnation = app.incarnation
        app.crash(how="kill")
        until_back(app, incarnation)
        state = app.evaluate_js("lab.getState()")
        assert state["number"] >= saved and len(state["filler"]) == 1000


@pytest.mark.parametrize("times", [2, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_a_state_survives_the_supervisor_and_is_never_torn(tmp_path, times):
    for number in range(times):
        # Over a WebSocket of the page's own, and through its host.
        road = ("websocket", "host")[number % 2]
        platform = Platform(APPS, quiet=True, alongside=True, page_transport=road, store=tmp_path / f"{number}.db")
        app = platform.launch("hello")
        try:
            app.evaluate_js(COUNTS)
            until = time.monotonic() + 10
            while (saved := app.evaluate_js("saved")) < 1 + number % 7:
                assert time.monotonic() < until
            os.kill(platform.supervisor_pid, signal.SIGKILL)
        finally:
            platform.stop()
        db = sqlite3.connect(tmp_path / f"{number}.db")
        found, state = db.execute("SELECT json_extract(state, '$.number'), length(state) FROM states").fetchone()
        db.close()
        assert found >= saved and state > 1000


def test_what_a_platform_kept_goes_with_it_and_the_others_stays(tmp_path):
    store = tmp_path / "store.db"
    with Platform(APPS, quiet=True, alongside=True, store=store) as one:
        one.launch("hello").evaluate_js("lab.saveState('one')")
        with Platform(APPS, quiet=True, alongside=True, store=store) as two:
            two.launch("hello").evaluate_js("lab.saveState('two')")
            assert sorted(rows(one)) == [("hello", b'"one"'), ("hello", b'"two"')]
        assert rows(one) == [("hello", b'"one"')]
        assert one["hello"].evaluate_js("lab.getState()") == "one"
    assert rows(one) == []


def test_the_state_of_an_app_with_persistent_storage_is_there_on_its_next_launch(tmp_path):
    store = tmp_path / "store.db"
    get = "Promise.all([lab.getState(), lab.restored && lab.restored.after])"
    with Platform(APPS, quiet=True, alongside=True, store=store) as one:
        first, second = one.launch("keeper"), one.launch("keeper")
        assert [app.evaluate_js(get) for app in (first, second)] == [[None, None], [None, None]]
        first.evaluate_js("lab.stateVersion = 3; lab.saveState('first')")
        second.evaluate_js("lab.saveState('second')")
        # Neither another platform nor the second instance has what is the first one's, whatever happens to that.
        with Platform(APPS, quiet=True, alongside=True, store=store) as two:
            other = two.launch("keeper")
            assert other.evaluate_js(get) == [None, None]
            other.evaluate_js("lab.saveState('of another platform')")
        first.crash(how="kill")
        until_back(first, 1)
        assert first.evaluate_js("lab.stateVersion = 3; " + get) == ["first", "killed"]
        first.stop()
        second.crash(how="kill")
        until_back(second, 1)
        assert second.evaluate_js(get) == ["second", "killed"]
        assert sorted(rows(one)) == [("keeper", b'"first"'), ("keeper-2", b'"second"')]
    assert rows(one) == [("keeper", b'"first"')]
    with Platform(APPS, quiet=True, alongside=True, store=store) as three:
        app = three.launch("keeper")
        assert app.evaluate_js("lab.stateVersion = 3; " + get) == ["first", "launched"]
        restored = app.evaluate_js("lab.restored")
        assert (restored["version"], restored["lost"]) == (3, []) and 0 <= restored["age"] < 300
        app.evaluate_js("lab.saveState(null)")
        # It is the app's, and not that of its place.
        app.stop()
        assert three.launch("keeper").evaluate_js("lab.stateVersion = 3; " + get) == [None, "launched"]


def test_where_nothing_can_be_written_it_is_kept_in_memory_and_the_log_says_so(tmp_path):
    (tmp_path / "file").touch()
    with Platform(APPS, quiet=True, alongside=True, store=tmp_path / "file" / "store.db") as platform:
        app = platform.launch("hello")
        app.evaluate_js("lab.saveState('kept')")
        app.crash(how="abort")
        until_back(app, 1)
        assert app.evaluate_js("lab.getState()") == "kept"
        assert [entry.kind for entry in platform.events if "in memory" in entry.text] == ["store"]


def test_the_window_is_where_it_was_moved_to_after_a_crash_and_a_lost_supervisor(tmp_path, monkeypatch):
    with display() as name:
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
        with Platform(APPS, quiet=True, alongside=True, store=tmp_path / "store.db") as platform:
            app = platform.launch("hello")

            def window():
                return next((window for window in windows(name) if window.mapped), None)

            def is_there():
                found = window()
                return found is not None and found[2:6] == (620, 410, 310, 170)

            def told():
                bounds = platform.save_workspace("now").apps[0].bounds
                return bounds is not None and (bounds.left, bounds.top) == (310, 170)

            place(name, until(window, 20, "its window"), 310, 170, 620, 410)
            until(is_there, 10, "its move")
            until(told, 10, "the supervisor to have been told of it")
            app.crash(how="abort")
            until_back(app, 1)
            until(is_there, 30, "its next window, at the place it had")
            os.kill(platform.supervisor_pid, signal.SIGKILL)
            until(lambda: platform.state == "lost" and window() is None, 20, "the end of it all")
            platform.restart()
            until(is_there, 30, "its window of the next supervisor, at the place it had")
