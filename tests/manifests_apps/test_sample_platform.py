"""The sample apps as they are launched: real processes, linked by FDC3, in each placement."""

from __future__ import annotations

from typing import Any

import pytest
from support.apps import PLACEMENTS
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
        while (({code}) !== {value!r} && performance.now() < end) await new Promise((go) => setTimeout(go, 20));
        return {code};
    }})()"""
    assert app.evaluate_js(until, timeout=20) == value


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
