"""The sample apps as they are launched: real processes, linked by FDC3, in each placement; and what others share."""

from __future__ import annotations

from typing import Any

import pytest
from support.apps import PLACEMENTS, make_app
from support.processes import Ground

from labplatform.resources import manifests_folder

SHOWN = {
    "ticker-list": "document.querySelector('[aria-selected=true] .ticker').textContent",
    "ticker-details": "document.querySelector('#name').textContent",
    "news-feed": "document.querySelector('#pick input:checked').value",
}
SAID = "document.querySelector('lab-channels .said').innerText"


def waits(app: Any, code: str, value: str) -> None:
    """Wait in the page until this is so; the error says what was so instead."""
    until = f"""(async () => {{
        const end = performance.now() + 15_000;
        while ((await {code}) !== {value!r} && performance.now() < end) await new Promise((go) => setTimeout(go, 20));
        return {code};
    }})()"""
    assert app.evaluate_js(until, timeout=20) == value


OWN = """<!doctype html><meta charset=utf-8><title>Own</title><link rel="stylesheet" href="_lab/lab.css" />
<script type="module" src="_lab/channels.js"></script><lab-channels says="listening"></lab-channels><h1>Own</h1>"""
CHECKED = "document.querySelector('lab-channels input:checked')?.ariaLabel"


def test_an_app_of_ones_own_has_the_same_look_and_picker(platform: Any, nothing_left: Ground, tmp_path: Any) -> None:
    make_app(tmp_path, "own", page=OWN, interop={"currentContextGroup": "purple"})
    with platform(tmp_path, theme="dark") as lab:
        own = lab.launch("own")
        waits(own, CHECKED, "Channel 8, purple")
        waits(own, SAID, "listening")
        assert own.evaluate_js("getComputedStyle(document.body).backgroundColor") == "rgb(17, 19, 21)"
        own.evaluate_js("document.querySelectorAll('lab-channels input')[0].click()")
        waits(own, CHECKED, "No channel")
        waits(own, "fdc3.getCurrentChannel().then((channel) => String(channel))", "null")


@pytest.mark.parametrize("isolation", PLACEMENTS)
def test_a_click_in_one_app_moves_the_others(platform: Any, nothing_left: Ground, isolation: str) -> None:
    with platform(manifests_folder(), isolation=isolation) as lab:
        tickers, details, news = lab.launch_all("ticker-list", "ticker-details", "news-feed")
        assert len({app.pid for app in (tickers, details, news)}) == (3 if isolation == "process" else 1)
        for app, word in ((tickers, "sending"), (details, "following"), (news, "following")):
            waits(app, SAID, word)
        tickers.evaluate_js("document.querySelector('#row-MSFT').click()", timeout=20)
        for app in (details, news):
            waits(app, SHOWN[app.name], "MSFT")
            waits(app, SAID, "MSFT\nfrom ticker-list")
        if isolation != "process":
            return

        # An intent starts what does not run; what crashed is back on its channel, with what that has.
        news.stop()
        tickers.evaluate_js("document.querySelector('#row-GOOG').click()", timeout=20)
        button = "[...document.querySelectorAll('#do button')].find((e) => e.textContent === 'News').click()"
        tickers.evaluate_js(button, timeout=20)
        waits(tickers, "document.querySelector('#told').textContent", "News Feed has the news of GOOG")
        news = lab["news-feed"]
        waits(news, SAID, "ViewNews\nfrom ticker-list")
        details.crash("abort")
        details.wait_for("running", timeout=30)
        waits(details, SAID, "GOOG\nfrom the channel")
        for app in (details, news):
            waits(app, SHOWN[app.name], "GOOG")
        assert not [entry.text for entry in lab.events if entry.kind in ("console", "fdc3")]
