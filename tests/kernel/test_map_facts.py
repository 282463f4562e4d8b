"""What a process map is made from, without processes: the log's story, the messages' figures, words, and geometry."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
from support.npm import NODE

from labplatform.kernel.widgets import words
from labplatform.kernel.widgets.map_facts import Lags
from labplatform.kernel.widgets.page_side import STATIC
from labplatform.kernel.widgets.story import Harm, Story
from labplatform.kernel.widgets.talk import NOTEBOOK, PULSES, WINDOW, Talk
from labplatform.messages import Correspondent, Entry, Placement, RoutedMessage

# --- the story

RENDERER = Placement(host="shared", isolation="shared-renderer")
PROCESS = Placement(host="shared", isolation="shared-process")


class Log:
    """A platform's log, and a story that reads it. `hosts`: who shares one; the others have their own."""

    def __init__(self, **hosts: str) -> None:
        self.entries: list[Entry] = []
        self.story = Story()
        self._hosts = hosts

    def say(self, time: float, kind: str, place: str | None, state: str = "", text: str = "", **event: Any) -> None:
        level = "error" if kind == "platform" else "info"
        fields = {"kind": kind, "place": place, "state": state or None, "text": text, "event": event, "level": level}
        self.entries.append(Entry(seq=len(self.entries) + 1, time=time, **fields))
        self.story.take(tuple(self.entries), lambda app: self._hosts.get(app, app))

    def ends(
        self, time: float, place: str, detail: str = "its process died of SIGABRT", reason: str = "crashed"
    ) -> None:
        self.say(time, "ended", place, "crashed", reason=reason, detail=detail)


def test_one_app_ends_and_is_back():
    log = Log()
    log.say(1.0, "ready", "one", "running")
    assert log.story.last is None and log.story.fate("one").back == ""
    log.say(2.0, "fault", "one", text="fault on purpose: abort")
    log.ends(2.1, "one")
    assert log.story.fate("one").gone and not log.story.fate("two").gone
    assert (log.story.last.apps, log.story.last.cause, log.story.last.over) == (["one"], "one", False)
    log.ends(2.2, "one")  # again, before it was back: that is the same time without it
    log.say(2.7, "ready", "one", "running")
    fate = log.story.fate("one")
    assert (fate.gone, fate.back, round(fate.took, 6)) == (False, "back", 0.6)
    assert log.story.last.over and round(log.story.last.longest, 6) == 0.6
    assert log.story.last.why == {"one": ("crashed", "its process died of SIGABRT")}
    log.ends(3.0, "one")
    assert log.story.fate("one").gone and log.story.fate("one").back == "", "it is not back any more"


def test_who_is_taken_along_and_by_whom():
    shared = dict.fromkeys(("one", "two", "three"), "shared")
    log = Log(**shared)
    log.say(1.0, "fault", "two", text="fault on purpose: abort")
    for at, name in ((1.1, "one"), (1.1, "two"), (1.2, "other")):
        log.ends(at, name)
    assert log.story.last.apps == ["other"], "another host's end is another story"
    log = Log(**shared)
    log.say(1.0, "fault", "two", text="fault on purpose: abort")
    for name in ("one", "two", "three"):
        log.ends(1.1, name)
    assert [log.story.taken_by(name) for name in ("one", "two", "three")] == ["two", None, "two"]
    for name, at in (("two", 2.0), ("one", 2.5), ("three", 2.6)):
        log.say(at, "ready", name, "running")
    assert log.story.last.over and round(log.story.last.longest, 6) == 1.5
    log.ends(9.0, "three")
    log.ends(9.6, "one")
    assert log.story.last.apps == ["one"], "a later end has a cause of its own"


def test_whose_fault_is_not_known_where_nobody_said_so():
    log = Log(one="shared", two="shared")
    log.ends(1.0, "one")
    log.ends(1.0, "two")
    assert (log.story.last.cause, log.story.taken_by("one"), log.story.taken_by("two")) == (None, None, None)
    # Who came back was broken before that, and no more.
    log = Log(one="shared", two="shared")
    log.say(1.0, "fault", "one", text="fault on purpose: renderer")
    log.ends(1.1, "one")
    log.say(1.5, "ready", "one", "running")
    log.ends(5.0, "two")
    log.ends(5.0, "one")
    assert (log.story.last.apps, log.story.last.cause) == (["two", "one"], None)


def test_a_hang_names_who_waits_for_whom():
    log = Log(one="shared", two="shared")
    log.say(1.0, "fault", "one", text="fault on purpose: hang")
    assert log.story.waits_for("two", RENDERER) is None, "nobody has noticed yet"
    log.say(2.0, "silent", "one", "unresponsive")
    log.say(2.0, "silent", "two", "unresponsive")
    assert log.story.waits_for("two", RENDERER) == "one"
    assert log.story.waits_for("one", RENDERER) is None
    assert log.story.waits_for("two", PROCESS) is None, "its renderer is its own"
    assert log.story.waits_for("three", Placement(host="app:three")) is None
    log.ends(3.0, "two", "the renderer it shares with one hung", "unresponsive")
    log.ends(3.0, "one", "its page left 9 pings in a row unanswered", "unresponsive")
    assert (log.story.last.apps, log.story.last.cause) == (["two", "one"], "one")
    frozen = Log(one="shared", two="shared")
    frozen.say(1.0, "fault", "one", text="fault on purpose: freeze")
    frozen.say(2.0, "silent", "one", "unresponsive")
    assert frozen.story.waits_for("two", PROCESS) == "one"
    frozen.say(3.0, "answered", "one", "running")
    assert frozen.story.waits_for("two", PROCESS) is None


def test_a_hang_that_nobody_made_is_told_by_the_victims():
    log = Log(one="shared", two="shared")
    log.say(0.5, "ready", "one", "running")
    log.ends(3.0, "two", "the renderer it shares with one hung", "unresponsive")
    log.ends(3.0, "one", "its page left 9 pings in a row unanswered", "unresponsive")
    assert log.story.last.cause == "one"


def test_what_somebody_wanted_is_no_harm():
    log = Log()
    log.say(1.0, "stop-asked", "one", "stopping")
    log.say(1.1, "ended", "one", "stopped", reason="clean-exit", detail="it was asked to stop")
    assert log.story.last is None and not log.story.fate("one").gone
    log.say(2.0, "restart-asked", "one", "starting")
    log.say(2.4, "ready", "one", "running")
    assert (log.story.fate("one").back, round(log.story.fate("one").took, 6)) == ("restarted", 0.4)
    log.say(3.0, "recycled", "one", "stopping")
    log.say(3.1, "ended", "one", "starting", reason="clean-exit", detail="it was asked to stop")
    log.say(3.3, "ready", "one", "running")
    assert (log.story.fate("one").back, round(log.story.fate("one").took, 6)) == ("recycled", 0.3)
    log.ends(4.0, "one")
    log.say(4.1, "stop-asked", "one", "stopped")
    assert not log.story.fate("one").gone
    log.say(9.0, "restart-asked", "one", "starting")
    log.say(9.5, "ready", "one", "running")
    assert log.story.fate("one").back == "restarted", "it was not gone since the crash, but away by somebody's wish"


def test_apps_of_a_lost_supervisor_were_gone_since_the_loss():
    log = Log()
    log.say(1.0, "ready", "one", "running")
    log.say(2.0, "platform", None, text="the supervisor of this platform is gone")
    log.say(3.0, "resumed", "one", "starting")
    assert log.story.fate("one").gone
    log.say(3.5, "ready", "one", "running")
    assert (log.story.fate("one").back, round(log.story.fate("one").took, 6)) == ("back", 1.5)


# --- the messages


def message(seq: int, sender: str | None, *receivers: str, latency: float | None = 0.001) -> RoutedMessage:
    def party(name: str) -> Correspondent:
        return Correspondent("jupyter", "me", None) if name == "me" else Correspondent(name, f"{name}-id", name)

    parties = tuple(map(party, receivers))
    who = party(sender) if sender else None
    return RoutedMessage(seq, 100.0 + seq / 10, "broadcastEvent", who, parties, None, None, None, 10, latency)


def test_messages_become_rates_and_pulses():
    old, *new = [message(n, "one", "two", "three", latency=n / 1000) for n in range(1, 6)]
    talk = Talk((old,), 0, 100.0)
    talk.take((old, *new), 0, 100.5)
    total, rates = talk.rates(100.5)
    assert (total, rates) == (4.0, {"one": 4.0, "two": 4.0, "three": 4.0}), "over a second at least"
    assert talk.half_within(100.5) == 0.0035
    assert talk.passed() == {"one": 4, "two": 4, "three": 4} and talk.passed() == {}
    pulses = talk.pulses()
    assert [(sender, to) for _, sender, to in pulses] == [("one", ["two", "three"])] * 4
    assert not talk.has_pulses
    assert talk.rates(104.5)[0] == pytest.approx(4 / 4.5)
    assert talk.rates(100.6 + WINDOW) == (0.0, {}) and talk.half_within(106.0) is None


def test_a_flood_is_counted_and_not_shown_in_full():
    talk = Talk((), 0, 100.0)
    # Of 20 000 the last 1000 are kept, and what was never told is known as a number.
    talk.take(tuple(message(n, "one", "two") for n in range(19_001, 20_001)), 19_000, 101.0)
    assert talk.rates(101.0)[0] == 20_000
    assert len(talk.pulses()) == PULSES


def test_the_notebook_and_the_platform_take_part():
    talk = Talk((), 0, 100.0)
    some = (message(1, "me", "one"), message(2, None, "one"), message(3, "one", "me"))
    talk.take(some, 0, 100.1, notebook="me")
    assert [(sender, to) for _, sender, to in talk.pulses()] == [
        (NOTEBOOK, ["one"]),
        (None, ["one"]),
        ("one", [NOTEBOOK]),
    ]
    assert talk.rates(100.1)[1] == {NOTEBOOK: 2.0, "one": 3.0}
    stranger = Talk((), 0, 100.0)
    stranger.take(some, 0, 100.1, notebook="another")
    assert stranger.pulses()[0][1:] == (None, ["one"])


def test_messages_wait_for_who_does_not_answer():
    talk = Talk((), 0, 100.0)
    seen = [message(n, "one", "two", "three") for n in range(1, 4)]
    talk.take(tuple(seen), 0, 100.1, silent=frozenset({"two"}))
    seen += [message(n, "three", "two") for n in range(4, 12)]
    talk.take(tuple(seen), 0, 100.2, silent=frozenset({"two"}))
    assert talk.waiting == {"two": (11, ["one"] * 3 + ["three"] * 3)}
    talk.take(tuple(seen), 0, 100.3)
    assert talk.waiting == {}


def test_a_supervisor_that_counts_anew_is_no_flood():
    first = tuple(message(n, "one", "two") for n in range(1, 4))
    talk = Talk(first, 0, 100.0)
    talk.take((*first, message(1, "one", "two")), 0, 100.1)
    assert talk.rates(100.1)[0] == 1.0


# --- lags


def test_what_neighbours_felt_is_told_once_it_is_known_and_stays_so():
    def sampled(at: float, **lags: float) -> list[Any]:
        return [SimpleNamespace(name=name, metrics=SimpleNamespace(at=at, lag=lag)) for name, lag in lags.items()]

    lags, harm = Lags(), Harm("one", 10.5, ["one"])
    lags.take(sampled(10.0, two=0.9, three=0.9))
    lags.take(sampled(11.0, two=0.002, three=0.004))
    assert lags.felt(harm, ["two", "three"]) == (["two", "three"], None), "it is not over"
    harm.gone_for["one"] = 1.0
    assert lags.felt(harm, ["two", "three"])[1] is None, "the last half second has not been sampled"
    lags.take(sampled(12.0, two=0.003, three=0.001))
    assert lags.felt(harm, ["two", "three"]) == (["two", "three"], 0.004)
    lags.take(sampled(13.0, two=5.0, three=5.0))
    assert lags.felt(harm, ["two"]) == (["two", "three"], 0.004), "what came later is another story"
    assert lags.worst(["four"], 10.5, 11.5) is None
    assert lags.worst(["two"], 9.0, 11.5) is None, "nobody looked then"


# --- words


def test_figures_in_words():
    assert [words.size_in_words(size) for size in (None, 900, 86_400_000, 12_000_000_000)] == [
        "–",
        "1 kB",
        "86 MB",
        "12.0 GB",
    ]
    assert [words.lag_in_words(lag) for lag in (0.00031, 0.0125, 12.3)] == ["0.3 ms", "12 ms", "12 s"]
    assert [words.time_in_words(time) for time in (0.04, 0.63, 75)] == ["0.04 s", "0.6 s", "1.2 min"]
    assert [words.rate_in_words(rate) for rate in (0, 0.4, 4.55, 19.6)] == [
        "0 msg/s",
        "0.4 msg/s",
        "4.5 msg/s",
        "20 msg/s",
    ]
    shared = "its process died of SIGABRT; the process was shared with news-feed"
    assert words.own_ending_in_words("crashed", shared) == "Aborted"
    assert words.ending_in_words("crashed", "crashed", shared) == "Shared process aborted"


# --- geometry


def arrangement(pages: int, placement: str, services: int = 1) -> dict[str, Any]:
    """The part of the facts that decides where all stands."""
    names, others = [f"app-{n}" for n in range(pages)], [f"service-{n}" for n in range(services)]
    if placement == "process":
        hosts = [{"key": one, "renderers": [{"apps": [one]}], "services": []} for one in names]
        hosts += [{"key": one, "renderers": [], "services": [one]} for one in others]
    elif placement == "shared-process":
        hosts = [{"key": "shared", "renderers": [{"apps": [one]} for one in names], "services": others}]
    else:
        hosts = [{"key": "shared", "renderers": [{"apps": names}], "services": others}]
    return {"hosts": hosts}


@pytest.fixture(scope="module")
def placed() -> dict[tuple[str, int, int], dict[str, Any]]:
    """Where all stands, for placements, numbers of pages and widths; reckoned by the page's own script."""
    cases = [
        (placement, pages, width)
        for placement in ("process", "shared-process", "shared-renderer")
        for pages in (1, 2, 3, 4, 5, 7, 8, 12)
        for width in (360, 719, 720, 880, 1100, 1400)
    ]
    script = (STATIC / "process_map_places.js").read_text(encoding="utf-8")
    script += "\nconst cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    script += "\nconsole.log(JSON.stringify(cases.map(([facts, width]) => places(facts, width))));"
    asked = json.dumps([(arrangement(pages, placement), width) for placement, pages, width in cases])
    done = subprocess.run([NODE, "-e", script], input=asked, capture_output=True, text=True, timeout=60, check=True)
    return dict(zip(cases, json.loads(done.stdout), strict=True))


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["x"] + one["width"] <= other["x"] + 0.01
        or other["x"] + other["width"] <= one["x"] + 0.01
        or one["y"] + one["height"] <= other["y"] + 0.01
        or other["y"] + other["height"] <= one["y"] + 0.01
    )


def inside(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["x"] >= other["x"]
        and one["y"] >= other["y"]
        and one["x"] + one["width"] <= other["x"] + other["width"] + 0.01
        and one["y"] + one["height"] <= other["y"] + other["height"] + 0.01
    )


def test_boxes_lie_in_one_another_and_never_across(placed):
    for (placement, pages, width), place in placed.items():
        case = f"{pages} pages, {placement}, {width} px"
        whole = {"x": 0, "y": 0, "width": min(width, place["width"]), "height": place["height"]}
        boxes = [*place["hosts"], place["kernel"], place["supervisor"]]
        assert all(inside(box, whole) for box in boxes), case
        assert all(apart(*pair) for pair in combinations(boxes, 2)), case
        for host in place["hosts"]:
            inner = [*host["renderers"], *host["services"]]
            assert all(inside(box, host) for box in inner), case
            assert all(apart(*pair) for pair in combinations(inner, 2)), case
            for renderer in host["renderers"]:
                assert all(inside(tile, renderer) for tile in renderer["tiles"]), case
                assert all(apart(*pair) for pair in combinations(renderer["tiles"], 2)), case
        assert (place["columns"] == 1) is (width < 720 or pages + 1 == 1), case


def test_every_lane_leads_to_the_supervisor_and_through_no_other_host(placed):
    for (placement, pages, width), place in placed.items():
        case = f"{pages} pages, {placement}, {width} px"
        owners = {tile["name"]: host for host in place["hosts"] for r in host["renderers"] for tile in r["tiles"]}
        owners |= {service["name"]: host for host in place["hosts"] for service in host["services"]}
        owners[""] = place["kernel"]
        assert set(place["lanes"]) == set(owners), case
        supervisor = place["supervisor"]
        ways = {}
        for name, lane in place["lanes"].items():
            (x0, y0), (x1, y1) = lane["start"], lane["end"]
            assert y1 == supervisor["y"] and supervisor["x"] < x1 < supervisor["x"] + supervisor["width"], case
            assert x0 <= x1 and y0 < y1, case
            down = {"x": x1, "y": y0, "width": 0, "height": y1 - y0}
            out = {"x": x0, "y": y0, "width": x1 - x0, "height": 0}
            for box in [*place["hosts"], place["kernel"]]:
                if box is not owners[name]:
                    assert apart(down, box) and apart(out, box), f"{case}: the lane of {name!r} crosses {box['key']}"
            ways[name] = (down, out)
        for (one, (down, out)), (other, (down2, out2)) in combinations(ways.items(), 2):
            assert down["x"] != down2["x"], f"{case}: {one!r} and {other!r} share a lane"
            crossing = [
                across["x"] < fall["x"] < across["x"] + across["width"]
                and fall["y"] < across["y"] < fall["y"] + fall["height"]
                for across, fall in ((out, down2), (out2, down))
            ]
            assert not any(crossing), f"{case}: the lanes of {one!r} and {other!r} cross"


def test_tiles_stand_where_they_stand_in_every_placement(placed):
    def tiles(place: dict[str, Any]) -> dict[str, tuple[float, ...]]:
        found = [tile for host in place["hosts"] for renderer in host["renderers"] for tile in renderer["tiles"]]
        return {tile["name"]: (tile["x"], tile["y"], tile["width"], tile["height"]) for tile in found}

    for width in (880, 1400):
        own, process, renderer = (
            tiles(placed[one, 3, width]) for one in ("process", "shared-process", "shared-renderer")
        )
        assert process == renderer
        assert [spot[1] for spot in own.values()] == [spot[1] for spot in process.values()]
