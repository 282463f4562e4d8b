"""`ProcessMap` on real apps in all three placements, without a browser: its boxes, what a fault does to it, its
pictures and pulses, and that nothing of it stays.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from support.apps import AT_ONCE, PLACEMENTS, QUICK, make_app
from support.processes import Ground, until

from labplatform import Platform
from labplatform.kernel.widgets import map_facts, part
from labplatform.kernel.widgets.part import STILL_BYTES
from labplatform.kernel.widgets.process_map import ProcessMap
from labplatform.kernel.widgets.words import time_in_words

PAGE = """<!doctype html><meta charset=utf-8><title>%(name)s</title><h1>0</h1><script>
  let n = 0;
  setInterval(() => (document.querySelector("h1").textContent = ++n), 100);
  fdc3.getOrCreateChannel("ticks").then((channel) => channel.addContextListener(null, () => {}));
</script>"""
TICKS = """
def main(lab):
    channel = lab.desktop_agent.get_or_create_channel("ticks")
    while not lab.stopping.wait(0.1):
        channel.broadcast({"type": "test.tick"})
"""


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """In place of the proof after each test: a platform goes on from one to the next."""


@pytest.fixture(scope="module", params=PLACEMENTS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Two apps with a page and the service that both need, in one placement."""
    folder = tmp_path_factory.mktemp("apps")
    for name in ("one", "two"):
        make_app(folder, name, page=PAGE % {"name": name}, requires=["ticks"], restart=AT_ONCE)
    make_app(folder, "ticks", page=None, python=TICKS, restart=AT_ONCE)
    options = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK}
    with Platform(folder, isolation=request.param, sampling=0.3, **options) as lab:
        one, two = lab.launch_all("one", "two")
        yield SimpleNamespace(lab=lab, one=one, two=two, ticks=lab["ticks"], isolation=request.param)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that spoke once does not count as gone, however long a test takes."""
    monkeypatch.setattr(part, "SILENCE", 600.0)


@pytest.fixture
def shown(stage: SimpleNamespace) -> Iterator[ProcessMap]:
    """A map on somebody's page. Notes what it tells the page: `said`, and all its facts, in `seen`."""
    widget = stage.lab.process_map()
    widget.said, widget.seen = [], []
    send = widget.send

    def note(content: Any, buffers: Any = None) -> None:
        widget.said.append((content, list(buffers or ())))
        send(content, buffers)

    widget.send = note
    widget.observe(lambda change: widget.seen.append(change.new), names="facts")
    say(widget)
    yield widget
    widget.close()
    until(lambda: not clock_threads(), 10, "the widgets' thread to end")


def say(widget: ProcessMap, page: str = "a", **word: Any) -> None:
    """What the page side sends."""
    content = {"page": page, "shown": True} | word
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def clock_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "labplatform-widgets"]


def figures(widget: ProcessMap) -> bool:
    """Whether the first sample of all is there."""
    return all(host["memory"] and all(one["memory"] for one in host["renderers"]) for host in widget.facts["hosts"])


def is_back(app: dict[str, Any]) -> bool:
    """Whether the map says of an app that it runs again."""
    return app["state"] == "running" and not app["gone"] and app["lines"][0].startswith("back in ")


def test_a_box_for_each_process(stage: SimpleNamespace, shown: ProcessMap) -> None:
    until(lambda: figures(shown), 15, "the figures of all processes")
    hosts, apps = shown.facts["hosts"], (stage.one, stage.two, stage.ticks)
    assert [host["pid"] for host in hosts] == list(dict.fromkeys(app.pid for app in stage.lab.apps))
    if stage.isolation == "process":
        assert len(hosts) == 3
        assert sorted(len(host["renderers"]) for host in hosts) == [0, 1, 1]
    else:
        (host,) = hosts
        renderers = [renderer["apps"] for renderer in host["renderers"]]
        assert sorted(map(sorted, renderers)) == (
            [["one", "two"]] if stage.isolation == "shared-renderer" else [["one"], ["two"]]
        )
        assert host["services"] == ["ticks"]
    drawn = {name: one["pid"] for host in hosts for one in host["renderers"] for name in one["apps"]}
    assert drawn == {app.name: app.renderer for app in apps if app.renderer}

    def agrees() -> bool:
        """Whether the figures are those of the same sample; with it, what is no host and no renderer is counted."""
        processes = {process.pid: process for app in apps for process in app.processes}
        own = {app.pid: app.processes for app in apps}
        return all(
            host["memory"] == processes[host["pid"]].memory
            and host["helpers"] == sum(one.role not in ("host", "renderer") for one in own[host["pid"]])
            for host in shown.facts["hosts"]
        )

    until(agrees, 15, "memory and helpers as the apps tell them")
    assert not any(host["gone"] or host["harm"] or host["was"] for host in hosts)
    supervisor, kernel = shown.facts["supervisor"], shown.facts["kernel"]
    assert (supervisor["pid"], kernel["pid"]) == (stage.lab.supervisor_pid, os.getpid())
    assert supervisor["memory"] > 1e6 and kernel["memory"] > 1e6
    assert shown.facts["heading"]["title"].startswith("One ")
    assert "all running" in shown.facts["summary"]


def test_messages_are_pulses_and_figures(stage: SimpleNamespace, shown: ProcessMap) -> None:
    def pulses() -> list[Any]:
        return [pulse for content, _ in shown.said for pulse in content.get("pulses", ())]

    until(lambda: len(pulses()) > 3, 15, "pulses")
    assert {(sender, tuple(sorted(to))) for _, sender, to in pulses()} == {("ticks", ("one", "two"))}
    assert all(len(content["pulses"]) <= 20 for content, _ in shown.said if "pulses" in content)
    counts = dict(next(content["counts"] for content, _ in shown.said if "pulses" in content))
    assert counts["one"] == counts["two"] == counts["ticks"] > 0
    until(lambda: "half of them passed on within" in shown.facts["supervisor"]["words"], 10, "the middle latency")
    until(lambda: shown.facts["apps"]["one"]["rate"] not in ("", "0 msg/s"), 10, "a rate")
    stage.lab.desktop_agent.get_or_create_channel("ticks").broadcast({"type": "test.tick"})
    until(lambda: any(sender == "" for _, sender, _ in pulses()), 10, "this notebook's own message")


def test_pictures_come_in_one_message_and_again_to_a_page_that_comes_later(
    stage: SimpleNamespace, shown: ProcessMap
) -> None:
    def pictures() -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for content, buffers in shown.said:
            for name, data in zip(content.get("pictures", ()), buffers, strict=False):
                found.setdefault(name, []).append(data)
        return found

    began = time.monotonic()
    until(
        lambda: min(map(len, (pictures() | {"": []} if len(pictures()) < 2 else pictures()).values())) >= 2,
        20,
        "two each",
    )
    spent = time.monotonic() - began
    assert set(pictures()) == {"one", "two"}
    assert all(data.startswith(b"\xff\xd8\xff") and len(data) < 20_000 for some in pictures().values() for data in some)
    assert sum("pictures" in content for content, _ in shown.said) <= spent + 3, "more than one message a second"
    shown.said.clear()
    say(shown, page="b")
    until(lambda: len(pictures()) == 2, 10, "the pictures for the other page")
    say(shown, page="b", shown=False)


@pytest.mark.parametrize("how", ["abort", "renderer"])
def test_a_fault_is_shown_where_it_strikes_and_nowhere_else(
    stage: SimpleNamespace, shown: ProcessMap, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_facts, "STAYS", 600.0)
    shares = stage.isolation == "shared-renderer" or (stage.isolation == "shared-process" and how == "abort")
    struck = {"one", "two"} if shares else {"one"}
    if shares and how == "abort":
        struck.add("ticks")
    until(lambda: figures(shown), 15, "the figures of all processes")
    before = {app.name: app.incarnation for app in stage.lab.apps}
    pid, shown.seen[:] = stage.one.pid, []
    stage.one.crash(how)
    for app in (stage.lab[name] for name in struck):
        until(
            lambda app=app: app.incarnation > before[app.name] and app.state == "running", 30, f"{app.name} to be back"
        )
    own = {"abort": "Aborted", "renderer": "Renderer crashed"}[how]

    def finding() -> str:
        return "".join(piece for piece, _ in shown.facts["finding"])

    # What it says of a fault before this one may still stand there.
    over = rf"one \({own.lower()}\) (was back in|took .* were gone, for)"
    until(lambda: re.match(over, finding()), 10, "the map to say so")
    until(lambda: all(is_back(shown.facts["apps"][name]) for name in struck), 10, "each of them to be back on the map")

    seen = list(shown.seen)
    gone = {name for facts in seen for name, app in facts["apps"].items() if app["gone"]}
    # A renderer can be back before the next picture of the map.
    assert gone == struck if how == "abort" else gone <= struck
    words = {
        name: {tuple(facts["apps"][name]["lines"]) for facts in seen if facts["apps"][name]["gone"]} for name in gone
    }
    assert {first for first, _ in words.get("one", {(own, "")})} == {own}
    for name in gone - {"one"}:
        assert words[name] == {("Taken along", "with one")}, name
    # The host's box is gone where its process is, and stays where that lives on.
    boxes = [facts["hosts"] for facts in seen]
    hosts_gone = {host["key"] for hosts in boxes for host in hosts if host["gone"]}
    assert len(hosts_gone) == (1 if stage.isolation == "process" or how == "abort" else 0)
    renderers_gone = {
        tuple(one["apps"]) for hosts in boxes for host in hosts for one in host["renderers"] if one["gone"]
    }
    assert {name for names in renderers_gone for name in names} <= struck - {"ticks"}
    assert gone <= {"ticks"}.union(*renderers_gone)
    if how == "abort":
        assert {host["signal"] for hosts in boxes for host in hosts if host["gone"]} == {"SIGABRT"}
        assert {host["pid"] for hosts in boxes for host in hosts if host["gone"]} == {pid}
    for name in set(before) - struck:
        assert all(facts["apps"][name]["kind"] != "harm" for facts in seen), name

    host = next(host for host in shown.facts["hosts"] if any("one" in one["apps"] for one in host["renderers"]))
    assert (host["pid"], host["was"]) == (stage.one.pid, pid if pid != stage.one.pid else None)
    renderer = next(one for one in host["renderers"] if "one" in one["apps"])
    assert (renderer["pid"], renderer["was"]) == (stage.one.renderer, stage.one.former_renderer)
    ended = next(e.time for e in reversed(stage.one.events) if e.kind == "ended")
    ready = next(e.time for e in reversed(stage.one.events) if e.kind == "ready")
    took = time_in_words(ready - ended)
    assert shown.facts["apps"]["one"]["lines"][0] == f"back in {took}"
    if len(struck) == 1:
        assert finding().startswith(f"one ({own.lower()}) was back in {took}.")
    else:
        assert finding().startswith(f"one ({own.lower()}) took {len(struck) - 1} ")
        assert f"all {len(struck)} were gone, for " in finding()
    assert ("ran on" in finding()) is (len(struck) < 3)


def test_what_shows_by_time_alone_goes_by_time(
    stage: SimpleNamespace, shown: ProcessMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stage.isolation != "process":
        return
    monkeypatch.setattr(map_facts, "STAYS", 600.0)
    stage.two.restart()
    until(lambda: shown.facts["apps"]["two"]["lines"][0].startswith("back in "), 20, "how it came back")
    monkeypatch.setattr(map_facts, "STAYS", 0.5)
    until(lambda: shown.facts["apps"]["two"]["lines"][0].startswith("lag "), 10, "its figures again")
    assert not any(host["was"] for host in shown.facts["hosts"])


def test_a_hang_is_shown_as_such(stage: SimpleNamespace, shown: ProcessMap) -> None:
    incarnation = stage.one.incarnation
    stage.one.crash("hang")
    until(lambda: shown.facts["apps"]["one"]["stalled"], 20, "the map to say that it does not answer")
    until(lambda: stage.one.incarnation > incarnation and stage.one.state == "running", 30, "its return")
    until(lambda: stage.two.state == "running", 30, "the other's")
    stalled = [facts for facts in shown.seen if facts["apps"]["one"]["stalled"]]
    assert not any(facts["apps"]["one"]["gone"] or host["gone"] for facts in stalled for host in facts["hosts"])
    assert any(facts["apps"]["one"]["waiting"] and facts["apps"]["one"]["senders"] for facts in stalled)
    others = {tuple(facts["apps"]["two"]["lines"]) for facts in stalled if facts["apps"]["two"]["stalled"]}
    if stage.isolation == "shared-renderer":
        assert ("Stalled", "waits for one") in others
    else:
        assert not others
    assert "stalled" in stalled[-1]["heading"]["harm"]


def test_a_click_acts_on_an_app(stage: SimpleNamespace, shown: ProcessMap) -> None:
    if stage.isolation != "process":
        return
    incarnation = stage.two.incarnation
    say(shown, do={"number": 1, "word": "restart", "with": {"app": "two"}})
    until(lambda: any(content.get("done") == 1 for content, _ in shown.said), 30, "the answer")
    assert next(content["problem"] for content, _ in shown.said if content.get("done") == 1) == ""
    assert stage.two.incarnation > incarnation
    say(shown, do={"number": 2, "word": "stop", "with": {"app": "nobody"}})
    until(lambda: any(content.get("done") == 2 for content, _ in shown.said), 10, "the refusal")
    assert "no app is called 'nobody'" in next(
        content["problem"] for content, _ in shown.said if content.get("done") == 2
    )


def test_its_still_is_small_and_well_formed(stage: SimpleNamespace) -> None:
    widget = stage.lab.process_map()
    still = widget._repr_mimebundle_()[0]["image/svg+xml"]
    words = "".join(ElementTree.fromstring(still).itertext())
    assert len(still) < STILL_BYTES
    for text in ("one", "two", "ticks", f"host {stage.one.pid}", f"renderer {stage.one.renderer}", "supervisor "):
        assert text in words
    assert repr(widget) == "ProcessMap()"
    widget.close()


def test_close_leaves_nothing(stage: SimpleNamespace) -> None:
    widget = stage.lab.process_map()
    say(widget)
    say(stage.lab.process_map(size="stage"), shown=False)
    until(lambda: widget._pictures, 15, "a picture")
    widget.close()
    assert not any(stage.lab._watchers.values())
    until(lambda: not clock_threads(), 10, "the widgets' thread to end")
    stage.lab.describe()
    until(lambda: not [one for one in _observers(stage.lab) if one.__self__ is widget], 10, "its observers to go")
    widget.close()
    with pytest.raises(ValueError, match="size"):
        stage.lab.process_map(size="huge")


def _observers(lab: Platform) -> list[Any]:
    """The methods that observe this platform and its apps."""
    found = [one for thing in (lab, *lab.apps) for kinds in thing._trait_notifiers.values() for one in kinds.values()]
    return [handler for handlers in found for handler in handlers if hasattr(handler, "__self__")]


def test_the_end_of_the_platform_is_shown(stage: SimpleNamespace, shown: ProcessMap) -> None:
    """The last test of each placement: it stops the platform."""
    until(lambda: figures(shown), 15, "the figures of all processes")
    supervisor = stage.lab.supervisor_pid
    stage.lab.stop()
    until(lambda: shown.facts["state"] == "stopped", 10, "the map to say so")
    until(lambda: all(host["gone"] for host in shown.facts["hosts"]), 10, "the boxes to go")
    assert shown.facts["supervisor"]["gone"] and shown.facts["supervisor"]["pid"] == supervisor
    assert not any(host["harm"] for host in shown.facts["hosts"])
