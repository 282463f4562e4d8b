"""What the plots are made of, without a platform: marks out of a log, ticks and their packed form, sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isnan, nan
from typing import Any
from xml.etree import ElementTree

import numpy as np

from labplatform.kernel.history import History
from labplatform.kernel.widgets.happened import MOST_TOLD, Happened, Span
from labplatform.kernel.widgets.plots import MOST_SLOTS, _rows
from labplatform.kernel.widgets.plots_still import still
from labplatform.kernel.widgets.recorded import APP_FIGURES, PROCESS_FIGURES, App, Process, Record
from labplatform.kernel.widgets.still import Still, thinned
from labplatform.kernel.widgets.telling import Told, plain, tell
from labplatform.manifest import RestartPolicy
from labplatform.messages import Entry, Recalled, RecalledProcess
from labplatform.supervisor import lifecycle as life
from labplatform.supervisor.log import Log

AT = 1_700_000_000.0


class Story:
    """A log as the supervisor writes it: events go through its own lifecycle."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.log = Log(self.entries.append)
        self.lives: dict[str, life.Life] = {}

    def feed(self, name: str, event: life.Event) -> None:
        was = self.lives.get(name, life.Life())
        after, actions = life.step(was, event)
        self.lives[name] = after
        self.log.lifecycle(name, f"{name}-1", was.state, after, event)
        for action in actions:
            if isinstance(action, life.Follow):
                self.feed(name, action.event)

    def up(self, *names: str, at: float = AT - 30, policy: RestartPolicy = RestartPolicy()) -> None:  # noqa: B008
        for name in names:
            self.feed(name, life.Launched(at=at, policy=policy, timeout=30))
            self.ready(name, at + 1)

    def ready(self, name: str, at: float) -> None:
        self.feed(name, life.Ready(at=at, incarnation=self.lives[name].incarnation))

    def end(self, name: str, at: float, reason: str, detail: str) -> None:
        own = self.lives[name].incarnation
        self.feed(name, life.Ended(at=at, incarnation=own, reason=reason, detail=detail))

    def back_off(self, name: str, at: float) -> None:
        self.feed(name, life.TimerFired(at=at, timer="back-off", incarnation=self.lives[name].incarnation))

    def crash(self, name: str, at: float, reason: str = "crashed", detail: str = "its process died of SIGABRT") -> None:
        self.end(name, at, reason, detail)
        self.back_off(name, at + 0.1)
        self.ready(name, at + 0.6)

    def happened(self) -> Happened:
        found = Happened()
        found.newest(tuple(self.entries))
        return found


def told(found: Happened) -> list[str]:
    return [mark.told for mark in found.marks]


def test_a_crash_is_a_mark_until_it_is_back_and_a_time_in_which_it_was_down() -> None:
    story = Story()
    story.up("list")
    story.end("list", AT, "crashed", "its process died of SIGABRT")
    found = story.happened()
    assert told(found) == ["list aborted"]
    assert found.spans["list"] == [Span(AT - 30, AT - 29, "starting"), Span(AT, None, "down")]
    version = found.version
    story.back_off("list", AT + 0.1)
    story.ready("list", AT + 0.6)
    found.newest(tuple(story.entries))
    assert found.version > version
    assert told(found) == ["list aborted, back in 0.6 s"]
    (mark,) = found.marks
    assert (mark.at, mark.kind, mark.harm, mark.reason) == (AT, "end", True, "its process died of SIGABRT")
    assert found.spans["list"][-1] == Span(AT, AT + 0.6, "down")
    # The same log again changes nothing.
    version = found.version
    found.newest(tuple(story.entries))
    assert (found.version, len(found.marks)) == (version, 1)


def test_what_was_wanted_is_a_mark_too_and_no_fault() -> None:
    story = Story()
    story.up("list", "news")
    own = story.lives["news"].incarnation
    story.feed("news", life.Recycled(at=AT, incarnation=own, why="400 MiB in use, 300 MiB wanted at most", grace=5))
    story.end("news", AT + 0.1, "clean-exit", "it was asked to stop")
    story.ready("news", AT + 0.4)
    story.feed("list", life.RestartAsked(at=AT + 5, by="a controller", grace=5, timeout=30))
    story.end("list", AT + 5.1, "clean-exit", "it was asked to stop")
    story.ready("list", AT + 5.5)
    story.feed("news", life.KillAsked(at=AT + 9, by="a controller"))
    story.end("news", AT + 9.1, "killed", "killed by a controller")
    story.feed("list", life.StopAsked(at=AT + 12, by="a controller", grace=5))
    story.end("list", AT + 12.1, "clean-exit", "it was asked to stop")
    found = story.happened()
    assert told(found) == ["news recycled", "list restarted", "news killed", "list stopped"]
    assert not any(mark.harm for mark in found.marks)
    assert "wanted at most" in found.marks[0].reason
    assert [span.kind for span in found.spans["news"]] == ["starting", "starting", "off"]
    assert found.spans["list"][-1] == Span(AT + 12.1, None, "off")
    story.up("list", at=AT + 20)
    assert story.happened().spans["list"][-2:] == [Span(AT + 12.1, AT + 20, "off"), Span(AT + 20, AT + 21, "starting")]


def test_one_cause_with_many_victims_is_one_mark() -> None:
    story = Story()
    names = ["list", "details", "news"]
    story.up(*names)
    detail = "its renderer was killed by SIGKILL; the process was shared with others"
    for number, name in enumerate(names):
        story.end(name, AT + number * 0.01, "killed", detail)
    found = story.happened()
    assert told(found) == ["list and 2 more: shared process killed by SIGKILL"]
    for number, name in enumerate(names):
        story.back_off(name, AT + 0.1)
        story.ready(name, AT + 0.5 + number)
        found.newest(tuple(story.entries))
        assert (found.marks[0].back is None) == (number < 2)
    assert told(found) == ["list and 2 more: shared process killed by SIGKILL, back in 2.5 s"]


def test_a_stall_a_clean_end_a_failed_start_and_one_that_is_given_up() -> None:
    story = Story()
    story.up("list", "news", "details")
    own = story.lives["list"].incarnation
    story.feed("list", life.Silent(at=AT, incarnation=own, what="page", missed=3))
    assert told(story.happened()) == ["list does not answer"]
    story.feed("list", life.Answered(at=AT + 3.2, incarnation=own))
    story.end("news", AT + 5, "clean-exit", "its window was closed")
    story.feed("late", life.Launched(at=AT + 6, policy=RestartPolicy(), timeout=1))
    story.end("late", AT + 7, "launch-failed", "it was not ready after 1 s")
    for number in range(7):
        story.crash("details", AT + 10 + number)
    found = story.happened()
    assert told(found)[:3] == ["list did not answer for 3.2 s", "news: window closed", "late did not start"]
    assert [mark.harm for mark in found.marks[:3]] == [True, False, True]
    assert told(found)[-1] == "details aborted, not started again"
    assert "are allowed" in found.marks[-1].reason
    assert found.spans["details"][-1].kind == "down" and found.spans["details"][-1].until is None


def test_a_lost_supervisor_is_a_mark_of_the_platform() -> None:
    story = Story()
    story.up("list", "news")
    found = story.happened()
    why = "the supervisor of this platform is gone (it was killed), and with it every app"
    found.take([Entry(seq=100, time=AT, kind="platform", text=why, level="error")])
    assert told(found) == ["supervisor lost"]
    assert found.spans["list"][-1] == Span(AT, None, "down")
    later = Story()
    later.log = Log(later.entries.append, behind=100)
    later.lives = dict.fromkeys(("list", "news"), life.Life())
    for name in later.lives:
        later.feed(name, life.Resumed(at=AT + 1, life=story.lives[name], reason="killed", detail=why))
        later.ready(name, AT + 2.1)
    found.newest(tuple(later.entries))
    assert told(found) == ["supervisor lost, all back in 2.1 s"]
    assert found.since(AT - 1, {"else"}) == found.marks
    assert found.spans["news"][-1] == Span(AT, AT + 2.1, "down")


def test_a_crash_loop_is_bounded_and_what_is_old_is_forgotten() -> None:
    story = Story()
    story.up("list", policy=RestartPolicy(slow_max_restarts=10_000))
    for number in range(3 * MOST_TOLD):
        story.crash("list", AT + 10 * number)
    found = story.happened()
    assert len(found.since(AT, {"list"})) == MOST_TOLD
    assert found.since(AT, {"list"})[-1] is found.marks[-1]
    assert found.since(AT, {"other"}) == []
    found.forget(AT + 10 * (3 * MOST_TOLD - 2))
    assert (len(found.marks), len(found.spans["list"])) == (2, 2)


# --- ticks


def unpacked(packed: bytes, lines: Iterable[Any], count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    ticks = np.frombuffer(packed, "<f8", count)
    place, tables = 8 * count, []
    for line in lines:
        rows = len(PROCESS_FIGURES if isinstance(line, Process) else APP_FIGURES)
        tables.append(np.frombuffer(packed, "<f4", rows * count, place).reshape(rows, count))
        place += 4 * rows * count
    assert place == len(packed)
    return ticks, tables


def filled(names: Iterable[str] = ("list", "news"), seconds: int = 20, lag: float = 0.001) -> Record:
    record = Record()
    for second in range(seconds):
        for name in names:
            record.put(AT + second, App(name), (100e6, 5e6, 1.5, lag, 1.0))
        record.put(AT + second)
    return record


def test_the_packed_form_is_ticks_and_a_column_for_each_figure() -> None:
    record = filled()
    process = Process("list", 4711, AT)
    record.put(AT + 19, process, (50e6, 1.0))
    record.put(AT + 20)
    lines = [App("list"), process, App("nobody")]
    ticks, (app, one, nobody) = unpacked(record.packed(lines, 10), lines, 11)
    assert ticks.tolist() == [AT + second for second in range(10, 21)]
    assert app.shape == (5, 11) and one.shape == (2, 11)
    assert app[0][:-1].tolist() == [100e6] * 10 and np.isnan(app[:, -1]).all()
    assert abs(app[3][0] - 0.001) < 1e-9
    assert np.isnan(one[0][:-2]).all() and one[0][-2] == 50e6
    assert np.isnan(nobody).all()
    assert record.packed([], 21) == b""


def test_late_samples_find_their_place_and_old_ones_go() -> None:
    record = filled(seconds=10)
    record.put(AT + 4.5, App("list"), (1.0, nan, 2.0, nan, 3.0))
    record.put(AT - 5)
    assert record.ticks == sorted(record.ticks) and len(record) == 12
    late = record.at(record.first_after(AT + 4.4), App("list"))
    assert late is not None and (late[0], late[2], late[4]) == (1.0, 2.0, 3.0)
    record.forget(AT + 4)
    assert record.ticks[0] == AT + 4
    record.put(AT + 9, Process("list", 1, AT), (1.0, 2.0))
    assert record.life(Process("list", 1, AT)) == (len(record) - 1, len(record) - 1)
    assert record.life(Process("list", 2, AT)) == (-1, -1)
    record.drop("list")
    assert record.lines() == {App("list"), App("news")}


def test_what_the_supervisor_remembers_is_filled_in() -> None:
    names = ("memory", "cpu", "js_heap", "page_lag", "gui_lag", "incarnation")
    columns: dict[str, Any] = {name: (1.0, 2.0, 3.0) for name in names}
    columns |= {"at": (AT, AT + 1, AT + 2), "page_lag": (None, 0.2, None), "gui_lag": (None, 0.1, 0.3)}
    process = RecalledProcess(
        pid=7, created=AT, role="host", columns={"at": (AT + 1,), "memory": (9.0,), "cpu": (8.0,)}
    )
    history = History([Recalled(columns=columns, processes=(process,))])
    record = filled(("news",), 3)
    record.fill("list", history)
    lag = record.column(App("list"), "lag")
    assert isnan(lag[0]) and lag[1:].tolist() == [0.2, 0.3]
    assert record.lines() == {App("list"), App("news")} and len(record) == 3
    record.fill("list", history, processes=True)
    assert record.at(1, Process("list", 7, AT)) == (9.0, 8.0)


def test_processes_of_a_role_share_a_row_one_after_the_other() -> None:
    record = Record()
    host, first, second = Process("a", 1, AT), Process("a", 2, AT + 1), Process("a", 3, AT + 3)
    beside = Process("a", 4, AT + 2)
    for second_of in range(6):
        record.put(AT + second_of, host, (50.0, 0.0))
        record.put(AT + second_of, first if second_of < 3 else second, (90.0, 0.0))
        if second_of >= 2:
            record.put(AT + second_of, beside, (10.0, 0.0))
    roles = {host: "host", first: "renderer", second: "renderer", beside: "renderer"}
    assert _rows([second, beside, first, host], roles, record, 0) == [
        (host, "host", 0),
        (first, "renderer", 0),
        (second, "renderer", 0),
        (beside, "renderer", 1),
    ]
    for number in range(40):
        record.put(AT + 6, Process("a", 100 + number, AT + 6), (float(number), 0.0))
    many = _rows([line for line in record.lines() if isinstance(line, Process)], roles, record, 0)
    assert len({(role, slot) for _, role, slot in many}) == MOST_SLOTS
    assert (Process("a", 139, AT + 6), "helper") in [(line, role) for line, role, _ in many]


# --- words


def says(record: Record, found: Happened, *apps: Told, since: float = AT - 1) -> str:
    names = {app.name for app in apps}
    return plain(tell(record, found.since(since, names), apps, since))


def clock(at: float) -> str:
    return plain([{"at": at}])


def test_the_sentence_after_a_crash() -> None:
    story = Story()
    story.up("list", "news")
    story.crash("list", AT + 10)
    record = filled(lag=0.0004)
    record.put(AT + 10, App("news"), (100e6, nan, 1.0, 0.0036, 1.0))
    record.put(AT + 11, App("news"), (100e6, nan, 1.0, 0.0021, 1.0))
    record.put(AT + 5, App("news"), (100e6, nan, 1.0, 0.09, 1.0))
    apps = Told("list"), Told("news", growth=3.6e6, full_in=11.2)
    assert says(record, story.happened(), *apps) == (
        f"list aborted at {clock(AT + 10)} and was back in 0.6 s; meanwhile its neighbours’ worst lag was 2.1 ms. "
        "news grows by 3.6 MB/s and reaches its limit in about 11 s."
    )
    story.crash("news", AT + 15, "memory-limit", "it used 350 MB")
    assert says(record, story.happened(), *apps[:1], Told("news")) == (
        f"news ended at {clock(AT + 15)} (memory limit) and was back in 0.6 s; meanwhile its neighbours’ worst lag was "
        "0.4 ms (1 more before)."
    )


def test_sentences_of_many_of_a_stall_and_of_a_loss() -> None:
    story = Story()
    story.up("list", "news")
    for name in ("list", "news"):
        story.end(name, AT, "crashed", "its renderer died of SIGSEGV")
    apps = Told("list", host=1), Told("news", host=1)
    assert says(filled(), story.happened(), *apps) == f"list and news ended at {clock(AT)} (renderer crashed)."
    story = Story()
    story.up("list", "news")
    own = story.lives["list"].incarnation
    story.feed("list", life.Silent(at=AT + 1, incarnation=own, what="page", missed=3))
    assert says(filled(), story.happened(), *apps).startswith(f"list has not answered since {clock(AT + 1)}; meanwhile")
    story.end("news", AT, "crashed", "its process died of SIGABRT")
    assert says(filled(), story.happened(), *apps).startswith(f"news aborted at {clock(AT)}; meanwhile")
    found = Happened()
    found.spans["list"] = []
    found.take([Entry(seq=1, time=AT, kind="platform", text="the supervisor of it is gone", level="error")])
    assert says(filled(), found, *apps) == f"Supervisor lost at {clock(AT)}, and with it every app."


def test_sentences_of_quiet_times() -> None:
    apps = Told("list"), Told("news")
    quiet = Happened()
    assert says(filled(), quiet, *apps) == "2 apps use 200 MB and 3.0 % of one core; the worst lag was 1.0 ms, of news."
    together = Told("list", host=7), Told("news", host=7)
    assert says(filled(), quiet, *together).startswith("2 apps use 100 MB and 1.5 %")
    record = filled()
    record.put(AT + 8, App("list"), (100e6, nan, 1.0, 0.303, 1.0))
    record.put(AT + 7, App("news"), (100e6, nan, 1.0, 0.299, 1.0))
    held = f"list was held up for 303 ms at {clock(AT + 8)}; its neighbours’ worst lag then was 299 ms."
    assert says(record, quiet, *apps) == held
    grows = Told("list", growth=1.1e6, host=7), Told("news", growth=1.1e6, full_in=300.0, host=7)
    assert says(filled(), quiet, *grows) == (
        "The process that list and news share grows by 1.1 MB/s and reaches its limit in about 5 min."
    )
    assert says(Record(), quiet, *apps) == "No app has a figure yet."
    assert says(Record(), quiet) == "No app has been launched."


# --- stills


class Drawn:
    def __init__(self, name: str, color: str | None = "#0072B2") -> None:
        self.name, self.color = name, color


def test_a_still_is_small_whole_and_harmless() -> None:
    hostile = '<script>alert("x")</script>&\x00' * 10
    names = [hostile, *(f"app-{number}" for number in range(11))]
    rng = np.random.default_rng(1)
    record = Record()
    for second in range(600):
        for number, name in enumerate(names):
            if number == 1 and 300 < second < 310:
                continue
            values = (rng.uniform(80e6, 400e6), nan, rng.uniform(0, 200), rng.choice([nan, 0.0004, 0.02, 0.2]))
            record.put(AT + second, App(name), (*values, float(second > 305)))
    marks = [{"at": AT + 500 + n, "kind": "end", "words": f"{hostile} ended"} for n in range(20)]
    apps = [Drawn(name, None if number == 2 else "#0072B2") for number, name in enumerate(names)]
    picture = still(record, apps, {names[1]: (410_000_000, 50)}, marks, hostile * 5, 600)
    assert 2000 < len(picture.encode()) <= 10 << 10
    tree = ElementTree.fromstring(picture)
    assert not [node for node in tree.iter() if node.tag.endswith("script")]
    assert "<script>" in "".join(tree.itertext())
    assert "limit 410 MB" in "".join(tree.itertext())
    few = still(record, apps[:3], {}, marks[:1], "Words.", 60)
    assert len(few) < len(picture)


def test_no_line_of_a_still_goes_on_over_an_end() -> None:
    record = Record()
    for second in range(10):
        if second != 5:
            record.put(AT + second, App("list"), (1e8, nan, 1.0, 0.001, 1.0))
        else:
            record.put(AT + second)
    record.put(AT + 10, App("list"), (1e8, nan, 1.0, 0.001, 2.0))
    picture = still(record, [Drawn("list")], {}, [], "Words.", 10)
    (lines,) = re.findall(r'<path d="M([^"]*)" fill="none" stroke="[^"]*" stroke-width="2"/>', picture)
    assert [line.count("l") + 1 for line in lines.split("M")] == [5, 4, 2]
    assert 'fill="none" stroke="#454C54"' in picture, "the silent second is a hollow cell"


def test_thinned_keeps_the_peaks() -> None:
    points = [(float(x), 100.0 if x == 333 else -50.0 if x == 777 else 0.0) for x in range(1000)]
    few = thinned(points, 40)
    assert len(few) <= 45 and (333.0, 100.0) in few and (777.0, -50.0) in few and few[-1] == points[-1]
    picture = Still(100, 50, "a < b")
    picture.text(1, 2, "long words " * 20, width=50)
    picture.paragraph(1, 20, "word " * 50, width=80, lines=2)
    rows = ElementTree.fromstring(str(picture)).findall("{http://www.w3.org/2000/svg}text")
    assert len(rows) == 3 and rows[0].text.endswith("…") and rows[2].text.endswith("…")
