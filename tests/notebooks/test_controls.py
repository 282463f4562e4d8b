"""Process table, limit tuner and launcher without a browser: what they show, what they do, and that nothing stays.

One platform for all, and a page of the test's own: it says what a page says.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.apps import APPS, AT_ONCE, QUICK, make_app
from support.leaks import LEAK
from support.processes import Ground, send, until

from labplatform import Platform, ResourceLimits
from labplatform.kernel.widgets import clock
from labplatform.kernel.widgets.part import Part

OPTIONS = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK, "sampling": 0.2}


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """The platform goes on from test to test."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("apps")
    make_app(folder, "other", restart=AT_ONCE, look={"color": "#E69F00"}, startup_app={"description": "One more."})
    make_app(folder, "fails", url="https://127.0.0.1:9/")
    with Platform(APPS / "hello", APPS / "steward", folder, **OPTIONS) as lab:
        yield lab


class Seat:
    """A part, and the page that shows it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.sent: list[Any] = []
        self._numbers = itertools.count(1)
        self._send, part.send = part.send, self._keep
        self.say()

    def _keep(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)
        self._send(content, buffers)

    def say(self, **more: Any) -> None:
        self._said = time.monotonic()
        content = {"page": "seat", "shown": True} | more
        self.part.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def do(self, word: str, seconds: float = 20, **given: Any) -> Any:
        """Do it as a person on the page; returns what comes back. Fails with the words of a problem."""
        answer = self.begin(word, **given)(seconds)
        assert not answer["problem"], answer["problem"]
        return answer["value"]

    def begin(self, word: str, **given: Any) -> Callable[[float], dict[str, Any]]:
        number = next(self._numbers)
        self.say(do={"number": number, "word": word, "with": given})
        return lambda seconds: until(
            lambda: next((one for one in self.sent if one.get("done") == number), None), seconds, f"the end of {word}"
        )

    def problem(self, word: str, **given: Any) -> str:
        return self.begin(word, **given)(20)["problem"]

    def shows(self, met: Callable[[dict[str, Any]], Any], what: str, seconds: float = 20) -> Any:
        def seen() -> Any:
            # A page that falls silent counts as gone, and is told nothing more.
            if time.monotonic() - self._said > 1:
                self.say()
            return met(self.part.facts)

        return until(seen, seconds, what)

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.part.facts["rows"] if row["name"] == name)


@pytest.fixture
def seat() -> Iterator[Callable[[Part], Seat]]:
    seats: list[Seat] = []

    def sit(part: Part) -> Seat:
        seats.append(Seat(part))
        return seats[-1]

    yield sit
    for one in seats:
        one.part.close()
        assert (one.part._observing, one.part._observed) == (False, [])
    until(lambda: not clock._clock._thread, 10, "the widgets' thread to end")


def observers(lab: Platform) -> int:
    return sum(
        len(handlers)
        for one in (lab, *lab.apps)
        for kinds in one._trait_notifiers.values()
        for handlers in kinds.values()
    )


# --- process table


def test_the_table_shows_what_each_app_uses_and_its_processes(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    hello, other = lab.launch_all("hello", "other")
    service = lab.launch("steward")
    table = seat(lab.process_table())
    assert repr(table.part) == "ProcessTable()"
    table.shows(lambda facts: all(row["memory"] for row in facts["rows"]), "figures of all")
    assert [row["name"] for row in table.part.facts["rows"]] == ["hello", "other", "steward"]
    row = table.row("hello")
    assert (row["state"], row["pid"], row["page"], row["limit"]) == ("running", hello.pid, True, None)
    assert not table.row("steward")["page"]
    assert table.part.looks["other"]["color"] == "#E69F00"
    table.shows(lambda facts: table.row("hello")["lag"] is not None, "the page's lag")
    lines = {one["role"]: one for one in table.row("hello")["processes"]}
    assert lines["host"]["pids"] == [hello.pid] and lines["renderer"]["pids"] == [hello.renderer]
    assert "lag" in lines["host"] and "heap" in lines["renderer"]
    assert lines["2 zygotes"]["memory"] > 0 and len(lines["2 zygotes"]["pids"]) == 2
    assert table.part.facts["supervisor"]["pid"] == lab.supervisor_pid
    recent = table.do("recent")
    assert list(recent) == ["hello", "other", "steward"]
    assert all(at > 1e9 and (cpu is None or cpu >= 0) for at, cpu in recent["hello"])
    hello.set_resource_limits(max_memory="800MB")
    table.shows(lambda facts: table.row("hello")["limit"] == 800_000_000, "the limit")
    assert service.state == other.state == "running"


def test_what_is_done_in_the_table_is_done(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    hello, other = lab["hello"], lab["other"]
    table, pid = seat(lab.process_table()), hello.pid
    table.do("crash", app="hello", how="segfault")
    table.shows(lambda facts: table.row("hello")["incarnation"] == 2, "the next incarnation")
    hello.wait_for("running")
    table.shows(lambda facts: table.row("hello")["state"] == "running", "it to be back")
    assert table.row("hello")["change"] == "segmentation fault" and table.row("hello")["pid"] != pid
    table.do("restart", app="hello")
    assert hello.incarnation == 3
    table.shows(lambda facts: table.row("hello")["change"] == "restarted", "the reason")
    table.do("recycle", app="hello")
    table.shows(lambda facts: table.row("hello")["change"] == "recycled", "the reason")
    # Deaths part the line of the last minute.
    assert list({cpu for _, cpu in table.do("recent")["hello"] if cpu is None}) == [None]
    picture = table.do("picture", app="hello")
    assert picture["address"].startswith("data:image/png;base64,") and picture["title"] == f"Hello, PID {hello.pid}"
    table.do("stop", app="hello")
    table.shows(lambda facts: table.row("hello")["state"] == "stopped", "it to be stopped")
    assert table.row("hello")["pid"] is None and table.row("hello")["processes"] == []
    assert "stopped" in table.problem("picture", app="hello")
    assert "no app is called 'nobody'" in table.problem("kill", app="nobody")
    assert "how is one of" in table.problem("crash", app="other", how="politely")
    table.do("kill", app="other")
    assert (other.state, other.reason) == ("stopped", "killed")
    table.do("restart", app="other")
    table.do("kill_all")
    assert {app.state for app in lab} == {"stopped"}
    assert "No" not in table.part._still() and "<svg" in table.part._still()


def test_a_shared_process_is_told_of_each_of_its_apps(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    both = [lab.launch(app, placement="shared-process") for app in ("hello", "other")]
    table = seat(lab.process_table())
    table.shows(lambda facts: table.row("other")["processes"], "its processes")
    row = table.row("hello")
    assert (row["shared"], row["limit"]) == (["other"], None)
    table.shows(
        lambda facts: (
            {one["role"] for one in table.row("hello")["processes"]} >= {"host", "renderer", "renderer of Other"}
        ),
        "whose renderers they are",
    )
    assert "its process is shared" in table.problem("recycle", app="hello")
    both[0].crash("renderer")
    table.shows(lambda facts: "renderer" in table.row("hello")["change"], "the reason")
    assert table.row("hello")["pid"] == both[1].pid
    lab.kill_all()


def test_a_part_that_nobody_sees_costs_nothing_and_one_that_is_closed_leaves_nothing(
    lab: Platform, seat: Callable[[Part], Seat]
) -> None:
    lab.describe()
    until(lambda: lab._observers._queue.empty(), 5, "the observers")
    before = observers(lab)
    table = seat(lab.process_table())
    until(lambda: observers(lab) > before, 5, "it to observe")
    table.say(shown=False)
    until(lambda: observers(lab) == before, 5, "it to observe no more")
    facts = table.part.facts
    lab.launch("hello").kill()
    assert table.part.facts is facts
    table.say()
    table.shows(lambda facts: table.row("hello")["incarnation"] > 4, "what happened meanwhile")
    table.part.close()
    until(lambda: observers(lab) == before, 5, "it to observe no more")
    assert threading.active_count() < 40


# --- limit tuner


def test_a_limit_is_set_lifted_and_refused_in_words(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    hello = lab.launch("hello")
    tuner, other = seat(lab.limit_tuner()), seat(lab.limit_tuner())
    assert repr(tuner.part) == "LimitTuner()"
    tuner.shows(lambda facts: tuner.row("hello")["memory"]["used"], "what it uses")
    held = tuner.part.facts["held"]
    assert held["tier"] == lab.enforcement.tier != "off" and held["by"] and held["counts"]
    assert tuner.row("hello")["why"] == "" and tuner.row("hello")["memory"]["limit"] is None
    assert tuner.part.facts["scale"] >= 600e6 and tuner.part.facts["memory"] == lab.metrics.capacity.memory

    tuner.do("set", app="hello", limit="max_memory", value=450e6)
    tuner.do("set", app="hello", limit="max_cpu", value=37.5)
    assert (hello.limits.max_memory, hello.limits.max_cpu) == (450_000_000, 37.5)
    for one in (tuner, other):
        one.shows(lambda facts, one=one: one.row("hello")["memory"]["limit"] == 450e6, "the limit in both views")
    words = tuner.problem("set", app="hello", limit="max_memory", value=1e6)
    assert words.startswith("1 MB is too little: an empty app needs")
    assert "more than this" in tuner.problem("set", app="hello", limit="max_memory", value=1e15)
    assert "cores" in tuner.problem("set", app="hello", limit="max_cpu", value=1e5)
    assert "a number above 0" in tuner.problem("set", app="hello", limit="max_cpu", value=-1)
    assert "limit is one of" in tuner.problem("set", app="hello", limit="js_heap", value=1)
    assert (hello.limits.max_memory, hello.limits.max_cpu) == (450_000_000, 37.5)
    # Set from a cell, it is shown as well, and the sliders reach as far.
    hello.set_resource_limits(max_memory="900MB")
    tuner.shows(lambda facts: tuner.row("hello")["memory"]["limit"] == 900e6 < facts["scale"], "the new scale")
    tuner.do("set", app="hello", limit="max_memory", value=None)
    assert (hello.limits.max_memory, hello.limits.max_cpu) == (None, 37.5)
    lab.kill_all()
    assert "is stopped" in tuner.problem("set", app="hello", limit="max_cpu", value=50)
    assert "<svg" in tuner.part._still()


def test_growth_is_measured_and_told_with_the_time_that_is_left(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    leak = lab.launch("hello", resource_limits=ResourceLimits(max_memory="1GB"))
    assert leak.growth is None
    tuner = seat(lab.limit_tuner())
    leak.evaluate_js(f"void {LEAK % (20, 300)}")
    growth = tuner.shows(lambda facts: tuner.row("hello")["memory"]["growth"], "its growth", 30)
    row = tuner.row("hello")["memory"]
    # 10 MB each third of a second; on a machine that is busy, less.
    assert 3e6 < growth < 60e6
    assert row["full_in"] is not None and row["full_in"] == pytest.approx((1e9 - row["used"]) / growth, rel=0.3, abs=2)
    lab.kill_all()
    assert leak.growth is leak.full_in is None


def test_where_processes_are_shared_the_tuner_says_why_no_limit_holds(
    lab: Platform, seat: Callable[[Part], Seat]
) -> None:
    for app in ("hello", "other"):
        lab.launch(app, placement="shared-renderer")
    tuner = seat(lab.limit_tuner())
    tuner.shows(lambda facts: "it shares its process with other," in tuner.row("hello")["why"], "why")
    assert "process that apps share" in tuner.problem("set", app="hello", limit="max_cpu", value=50)
    lab.kill_all()


# --- launcher


def test_a_card_launches_with_placement_and_limits(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    launcher = seat(lab.launcher())
    assert repr(launcher.part) == "Launcher()"
    cards = {one["id"]: one for one in launcher.part.look["cards"]}
    assert set(cards) == {"hello", "fails", "other", "steward"}
    assert [one["page"] for one in launcher.part.look["cards"]] == [True, True, True, False]
    assert (cards["other"]["description"], cards["other"]["color"]) == ("One more.", "#E69F00")
    launcher.do("launch", app="other", placement="shared-process")
    launcher.do("launch", app="hello", max_memory=600_000_000, max_cpu=70)
    launcher.shows(lambda facts: facts["cards"]["hello"]["starting"], "it to start")
    launcher.shows(lambda facts: facts["cards"]["hello"]["running"] == 1, "it to run")
    launcher.shows(lambda facts: facts["cards"]["other"]["running"] == 1, "the other to run")
    assert lab["other"].placement.isolation == "shared-process"
    assert (lab["hello"].limits.max_memory, lab["hello"].limits.max_cpu) == (600_000_000, 70)
    launcher.do("launch", app="hello", placement="shared-process", max_cpu=50)
    problem = launcher.shows(lambda facts: facts["cards"]["hello"]["problem"], "the refusal")
    assert "launch it without limits" in problem["words"]
    assert "there is no app 'nobody'" in launcher.problem("launch", app="nobody")
    assert "a number above 0" in launcher.problem("launch", app="hello", max_cpu=-3)
    assert "<svg" in launcher.part._still()
    lab.kill_all()


def test_all_are_launched_and_what_fails_can_be_read(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    launcher, second = seat(lab.launcher()), seat(lab.launcher())
    launcher.do("launch_all")
    problem = launcher.shows(lambda facts: facts["cards"]["fails"]["problem"], "the error", 40)
    assert "fails did not launch" in problem["words"] and "127.0.0.1:9" in problem["words"]
    for app in ("hello", "other"):
        launcher.shows(lambda facts, app=app: facts["cards"][app]["running"] == 1, f"{app} to run")
    assert launcher.part.facts["cards"]["steward"]["running"] == 0
    assert second.part.facts["cards"]["fails"]["problem"] is None, "an error belongs to the launcher that it came to"
    launcher.do("dismiss", app="fails")
    launcher.shows(lambda facts: facts["cards"]["fails"]["problem"] is None, "the error to go")
    # What waits can be left out.
    many = launcher.part
    many._order(["hello"] * 12, None, None, None)
    launcher.do("forget_waiting")
    launcher.shows(lambda facts: facts["waiting"] == 0 and not facts["cards"]["hello"]["starting"], "the rest to start")
    assert len(lab.apps) < 12
    lab.kill_all()


def test_the_parts_follow_a_platform_that_is_lost_and_comes_back(lab: Platform, seat: Callable[[Part], Seat]) -> None:
    lab.launch("hello")
    table, tuner, launcher = seats = [seat(make()) for make in (lab.process_table, lab.limit_tuner, lab.launcher)]
    table.shows(lambda facts: table.row("hello")["memory"], "its figures")
    send(lab.supervisor_pid, signal.SIGKILL)
    for one in seats:
        one.shows(lambda facts: facts["state"] == "lost" and "is gone" in facts["problem"], "the loss")
    assert table.row("hello")["ended"] == "Supervisor lost" and not table.part.facts["supervisor"]
    assert tuner.part.facts["held"] is None
    assert "is gone" in table.problem("restart", app="hello")
    launcher.do("launch", app="other")
    assert "is gone" in launcher.shows(lambda facts: facts["cards"]["other"]["problem"], "the error")["words"]
    lab.restart()
    for one in seats:
        one.shows(lambda facts: facts["state"] == "running" and not facts["problem"], "it to be back")
    table.shows(lambda facts: table.row("hello")["state"] == "running", "the app to be back")
    launcher.do("launch", app="other")
    launcher.shows(lambda facts: facts["cards"]["other"]["running"] == 1, "the other to run")
