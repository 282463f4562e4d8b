"""`MessageConsole` on real apps, without a browser: what a page is told, what it may ask, and that nothing stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.apps import make_app
from support.processes import until

from labplatform.kernel.widgets.message_console import MOST_AT_ONCE, RECENT, MessageConsole

LISTENS = """<!doctype html><meta charset=utf-8><script>
  addEventListener("fdc3Ready", async () => {
    await fdc3.joinUserChannel("fdc3.channel.1");
    await fdc3.addContextListener(null, () => {});
    await fdc3.addIntentListener("ViewChart", () => {});
    globalThis.listening = true;
  });
</script>"""
AAPL = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}


class Page:
    """A page that shows a console, without a browser: what it is told, and what it asks."""

    def __init__(self, console: MessageConsole, name: str = "a") -> None:
        self.console, self.name = console, name
        self.rows: list[list[Any]] = []
        self.missing = 0
        self.answers: dict[int, dict[str, Any]] = {}
        send = console.send

        def take(content: Any, buffers: Any = None) -> None:
            self.rows += content.get("rows", [])
            self.missing += content.get("missing", 0)
            if content.get("page") == name:
                self.answers[content["done"]] = content
            send(content, buffers)

        console.send = take

    def say(self, shown: bool = True, **more: Any) -> None:
        content = {"page": self.name, "shown": shown, **more}
        self.console.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def ask(self, word: str, **given: Any) -> dict[str, Any]:
        number = len(self.answers) + 1
        self.say(do={"number": number, "word": word, "with": given})
        return until(lambda: self.answers.get(number), 20, f"the answer to {word}")


@pytest.fixture
def lab(platform: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    handles = {"intents": {"listensFor": {"ViewChart": {"contexts": ["fdc3.instrument"]}}}}
    make_app(tmp_path, "chart", page=LISTENS, interop=handles)
    lab = platform(tmp_path)
    app = lab.launch("chart")
    until(lambda: app.evaluate_js("globalThis.listening"), 20, "its listeners")
    yield lab


def test_nobody_pays_until_a_page_shows_it_and_then_it_tells_who_said_what(lab: Any) -> None:
    console = lab.message_console()
    page = Page(console)
    assert (repr(console), lab._watching) == ("MessageConsole()", False)
    page.say()
    assert lab._watching
    choices = page.ask("choices")["value"]
    assert choices["intents"] == ["ViewChart"]
    assert choices["channels"][0] == ["fdc3.channel.1", "Channel 1"]

    assert page.ask("check", context={"type": "fdc3.instrument"})["value"] == ['fdc3.instrument needs "id", an object']
    assert page.ask("broadcast", channel="fdc3.channel.1", context={"type": 3})["problem"].startswith("it needs a")
    assert page.ask("broadcast", channel="fdc3.channel.99", context=AAPL)["problem"].startswith("there is no user")
    assert page.ask("broadcast", channel="fdc3.channel.1", context=AAPL)["value"] == "broadcast on Channel 1"
    assert page.ask("raise", intent="ViewChart", context=AAPL)["value"] == "ViewChart went to chart"
    assert page.ask("raise", intent="ViewNews", context=AAPL)["problem"]
    until(lambda: len(page.rows) >= 2, 10, "both in the list")
    (seq, _, *broadcast), (_, _, *intent) = [one for one in page.rows if one[5] in ("broadcast", "intent")][:2]
    assert broadcast[:6] == ["jupyter", ["chart"], 1, "broadcast", "fdc3.channel.1", "fdc3.instrument"]
    assert intent[:6] == ["jupyter", ["chart"], 1, "intent", "", "ViewChart fdc3.instrument"]
    assert broadcast[6] > 0
    payload = page.ask("payload", seq=seq)["value"]
    assert '"ticker": "AAPL"' in payload["text"]
    assert (payload["cut"], payload["type"], payload["receivers"]) == (False, "broadcastEvent", ["chart"])
    assert "is not kept any more" in page.ask("payload", seq=10**9)["problem"]
    for word in ("close", "nothing", "_facts"):
        assert "does not know how to" in page.ask(word)["problem"]
    assert page.ask("payload", number=3)["problem"].startswith("payload: ")
    console.close()


def test_a_flood_is_told_in_part_and_counted_and_a_page_that_comes_gets_the_last(lab: Any) -> None:
    console = lab.message_console()
    page = Page(console)
    page.say()
    assert page.ask("recent")["value"] == []
    code = "for (let n = 0; n < 600; n++) flood.broadcast({type: 'flood', n}); 0"
    make = 'fdc3.getOrCreateChannel("flood").then((channel) => { globalThis.flood = channel; return 0 })'
    lab["chart"].evaluate_js(make, timeout=20)
    lab["chart"].evaluate_js(code, timeout=20)
    until(lambda: page.rows and len(page.rows) + page.missing >= 600, 20, "the flood to be told or counted")
    assert len(page.rows) + page.missing >= 600
    assert page.rows == sorted(page.rows, key=lambda one: one[0])
    late = Page(console, "b")
    recent = late.ask("recent")["value"]
    assert len(recent) == RECENT
    assert recent[-1][0] == page.rows[-1][0] == console.count
    assert MOST_AT_ONCE < 600
    console.close()
    before = len(page.rows)
    lab["chart"].evaluate_js("flood.broadcast({type: 'flood'}).then(() => 0)", timeout=20)
    assert len(page.rows) == before
    assert not [one for one in threading.enumerate() if one.name == "labplatform-widgets"]
