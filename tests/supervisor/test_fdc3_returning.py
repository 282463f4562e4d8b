"""An instance whose process is replaced: others talk on to it, and it misses nothing that it listens for again."""

from __future__ import annotations

import pytest
from support.fdc3 import App, World

from labplatform.supervisor.fdc3 import returning

RED = "fdc3.channel.1"
NEWS, PRICE = "app.news", "app.price"


def number(n: int, kind: str = NEWS) -> dict[str, object]:
    return {"type": kind, "n": n}


@pytest.fixture
def pair(world: World) -> tuple[App, App]:
    """One who talks, on the red channel and an app channel; and one who listens on both, and is there no more."""
    talks, listens = world.start("talks"), world.start("listens")
    for app in (talks, listens):
        app.ask("joinUserChannelRequest", channelId=RED)
        app.ask("getOrCreateChannelRequest", channelId="prices")
    listens.listen(NEWS)
    listens.listen(None, "prices")
    world.router.expect_back(listens.id)
    return talks, listens


def come_back(world: World, app: App) -> None:
    """A fresh process, under the old identity."""
    app.heard.clear()
    world.router.connect(app.app_id, app.id, app._take)
    app.open()


def numbers(app: App) -> list[int]:
    return [event["context"]["n"] for event in app.events("broadcastEvent")]


def test_what_was_broadcast_meanwhile_comes_when_it_listens_again_in_order_and_once(world, pair):
    talks, listens = pair
    for n in range(5):
        talks.broadcast(RED, number(n))
    talks.broadcast(RED, number(9, PRICE))
    talks.broadcast("prices", number(7, PRICE))
    assert listens.events("broadcastEvent") == []
    come_back(world, listens)
    assert listens.ask("getCurrentChannelRequest")["channel"]["id"] == RED
    listens.listen(NEWS)
    assert numbers(listens) == [0, 1, 2, 3, 4]
    talks.broadcast(RED, number(5))
    listens.listen(PRICE, "prices")
    assert numbers(listens) == [0, 1, 2, 3, 4, 5, 7]
    listens.listen(None, "prices")
    assert numbers(listens) == [0, 1, 2, 3, 4, 5, 7]


def test_its_own_identity_stays_and_what_it_owed_is_rejected(world, pair):
    talks, listens = pair
    come_back(world, listens)
    listens.handle("Look")
    raised = talks.raise_intent("Look", number(1), listens.identifier)
    world.router.expect_back(listens.id)
    assert talks.result_of(raised)["error"] == "IntentHandlerRejected"
    assert listens.id not in world.router.closed
    come_back(world, listens)
    found = talks.ask("findInstancesRequest", app={"appId": "listens"})["appIdentifiers"]
    assert [one["instanceId"] for one in found] == [listens.id]


def test_what_finds_no_listener_in_time_is_counted_in_the_log(world, pair):
    talks, listens = pair
    talks.broadcast(RED, number(1))
    talks.broadcast("prices", number(2, PRICE))
    come_back(world, listens)
    listens.listen(NEWS)
    world.desk.pass_time(60)
    assert world.desk.remarks == [
        (listens.id, "1 messages that came while its process was replaced found no listener again")
    ]
    listens.listen(None, "prices")
    assert numbers(listens) == [1]


def test_what_is_kept_is_bounded_and_the_newest_stays(world, pair, monkeypatch):
    monkeypatch.setattr(returning, "KEPT_MESSAGES", 3)
    talks, listens = pair
    for n in range(10):
        talks.broadcast(RED, number(n))
    come_back(world, listens)
    listens.listen(NEWS)
    assert numbers(listens) == [7, 8, 9]


def test_one_that_goes_twice_before_it_is_all_back(world, pair):
    talks, listens = pair
    talks.broadcast(RED, number(1))
    come_back(world, listens)
    listens.listen(None, "prices")
    world.router.expect_back(listens.id)
    talks.broadcast(RED, number(2))
    talks.broadcast("prices", number(3, PRICE))
    come_back(world, listens)
    listens.listen(NEWS)
    listens.listen(None, "prices")
    assert numbers(listens) == [1, 2, 3]


def test_one_that_ends_after_all_is_gone_like_any_other(world, pair):
    talks, listens = pair
    talks.broadcast(RED, number(1))
    listens.end()
    assert listens.id in world.router.closed
    assert talks.ask("findInstancesRequest", app={"appId": "listens"})["appIdentifiers"] == []
