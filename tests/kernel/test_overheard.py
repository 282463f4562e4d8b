"""`platform.messages`: what two pages and the notebook say to each other, as the notebook sees it."""

from __future__ import annotations

import threading
import time

import pytest
from support.apps import make_app
from support.processes import until

from labplatform import messages as m
from labplatform.errors import FDC3Error

USER = "fdc3.channel.1"
PAGE = """<!doctype html><meta charset=utf-8><title>page</title><script>
    window.heard = 0;
    const ready = fdc3.joinUserChannel("fdc3.channel.1");
    fdc3.addIntentListener("Look", async (context) => ({type: "seen", n: context.n}));
    const listen = () => fdc3.addContextListener("n", () => { heard++; }).then(() => 0);
</script><h1>page</h1>"""


@pytest.fixture
def lab(platform, tmp_path):
    """`alice` and `bob`, each a process, both on one user channel; `bob` listens there."""
    for name in ("alice", "bob"):
        make_app(tmp_path, name, page=PAGE)
    made = platform(tmp_path)
    made.launch_all("alice", "bob")
    for app in made:
        app.evaluate_js("ready.then(() => 0)", timeout=20)
    made["bob"].evaluate_js("listen()", timeout=20)
    return made


def say(app, count, text=""):
    app.evaluate_js(
        f"""(async () => {{
            const all = [];
            for (let n = 0; n < {count}; n++) all.push(fdc3.broadcast({{type: "n", n, text: "{text}"}}));
            await Promise.all(all);
        }})()""",
        timeout=60,
    )


def test_who_said_what_to_whom(lab):
    alice, bob = lab["alice"], lab["bob"]
    say(alice, 3)
    began = time.time()
    assert lab.messages == (), "nobody looked before"
    agent = lab.desktop_agent
    agent.join_user_channel(USER)
    say(alice, 3)
    agent.broadcast({"type": "n", "n": "from the notebook"})
    assert agent.raise_intent("Look", {"type": "q", "n": 7}, app=bob).get_result()["n"] == 7
    seen = until(lambda: len(lab.messages) >= 7 and lab.messages, 10, "the messages")
    assert [entry.seq for entry in seen] == list(range(1, 8))
    moved, *said, own, raised, result = seen
    parties = {name: (name, lab[name].instance_id, name) for name in ("alice", "bob")}
    parties["jupyter"] = ("jupyter", agent.instance_id, None)

    def facts(entry):
        who = [(one.app_id, one.instance_id, one.place) for one in entry.receivers]
        sender = entry.sender and (entry.sender.app_id, entry.sender.instance_id, entry.sender.place)
        return (entry.type, sender, who, entry.channel, entry.context_type, entry.intent)

    assert facts(moved) == ("channelChangedEvent", None, [parties["jupyter"]], USER, None, None)
    for n, entry in enumerate(said):
        assert facts(entry) == ("broadcastEvent", parties["alice"], [parties["bob"]], USER, "n", None)
        assert entry.context == {"type": "n", "n": n, "text": ""}
        assert entry.message["payload"]["originatingApp"]["appId"] == "alice"
        assert entry.size == len(entry.text)
        assert not entry.cut
    assert facts(own) == ("broadcastEvent", parties["jupyter"], [parties["bob"]], USER, "n", None)
    assert facts(raised) == ("intentEvent", parties["jupyter"], [parties["bob"]], None, "q", "Look")
    assert facts(result) == ("raiseIntentResultResponse", parties["bob"], [parties["jupyter"]], None, "seen", "Look")
    assert result.context == {"type": "seen", "n": 7}
    assert all(0 < entry.latency < 1 for entry in seen)
    assert began - 1 < seen[0].time <= seen[-1].time < time.time() + 1
    assert str(said[0]).startswith(f"alice to bob over {USER}: broadcastEvent n, ")
    assert repr(moved).startswith("<RoutedMessage 1: the platform to jupyter")
    with pytest.raises(AttributeError):
        said[0].size = 7


def test_only_the_last_are_kept_and_large_ones_are_cut(lab):
    lab.messages_kept = 5
    seen: list[tuple[m.RoutedMessage, ...]] = []
    lab.observe(lambda change: seen.append(change["new"]), "messages")
    say(lab["alice"], 20)
    until(lambda: seen and seen[-1][-1].seq == 20, 10, "the last")
    assert all(len(one) <= 5 for one in seen)
    assert [entry.context["n"] for entry in lab.messages] == [15, 16, 17, 18, 19]
    say(lab["alice"], 1, text="x" * 100_000)
    until(lambda: lab.messages[-1].seq == 21, 10, "the large one")
    large = lab.messages[-1]
    assert (large.cut, large.message, large.context, large.context_type) == (True, None, None, "n")
    assert len(large.text) == m.MAX_OVERHEARD < large.size
    assert large.text.startswith('{"type":"broadcastEvent"')
    lab.messages_kept = 0
    assert lab.messages == ()
    say(lab["alice"], 3)
    lab.messages_kept = 10
    say(lab["alice"], 1)
    until(lambda: lab.messages, 10, "one more")
    assert [entry.seq for entry in lab.messages] == [22], "nobody counted meanwhile"
    with pytest.raises(Exception, match="messages_kept"):
        lab.messages_kept = 10_001


def test_a_flood_is_told_in_batches_and_what_is_too_much_is_counted(lab):
    batches: list[tuple[float, int]] = []
    lab.messages_kept = 100
    lab.observe(lambda change: batches.append((time.monotonic(), change["new"][-1].seq)), "messages")
    began = time.monotonic()
    say(lab["alice"], 5000)
    until(lambda: batches and batches[-1][1] == 5000, 20, "the last of them")
    spent = time.monotonic() - began
    assert len(batches) <= spent / 0.1 + 2, "ten batches a second at most"
    assert lab["bob"].evaluate_js("heard", timeout=20) == 5000
    assert lab.messages[-1].context["n"] == 4999
    assert [entry.seq for entry in lab.messages] == list(range(4901, 5001)), "the last ones, without a gap"
    assert 0 < lab.messages_dropped < 5000 - 100


def test_a_platform_may_watch_from_its_start(platform, tmp_path):
    make_app(tmp_path, "alice", page=PAGE)
    lab = platform(tmp_path, messages_kept=3, watch_messages=True)
    lab.desktop_agent.join_user_channel(USER)
    with pytest.raises(FDC3Error):
        lab.desktop_agent.raise_intent("Nothing", {"type": "x"})
    until(lambda: lab.messages, 10, "the channel's change")
    assert [entry.type for entry in lab.messages] == ["channelChangedEvent"]


def test_nothing_is_told_while_nobody_looks(lab):
    taken = threading.Event()
    take = lab._connection._on_overheard
    lab._connection._on_overheard = lambda overheard: (taken.set(), take(overheard))
    say(lab["alice"], 10)
    assert not taken.wait(0.5)
    assert lab.messages == ()
    say(lab["alice"], 1)
    assert taken.wait(10)
