"""What scenarios report, against what really happened to the apps."""

from __future__ import annotations

import pytest
from support.apps import PLACEMENTS

from labplatform import Heartbeat
from labplatform.errors import JavaScriptError, LabTimeout
from labplatform.resources import manifests_folder
from labplatform.scenarios import Heard, overheard, past_a_busy_page, stream, tickers, until_up


def test_windows_are_used_as_a_person_would(lab, apps):
    ticker_list, details, news = apps
    lab.watch_messages()
    assert tickers.shown(apps) == {"ticker-list": "AAPL", "ticker-details": "AAPL", "news-feed": ""}
    tickers.choose(ticker_list, "IBM")
    assert tickers.until_shown(apps, "IBM") == dict.fromkeys(("ticker-list", "ticker-details", "news-feed"), "IBM")
    tickers.pick_channel(news, 2)
    assert news.evaluate_js("fdc3.getCurrentChannel().then(({id}) => id)") == "fdc3.channel.2"
    tickers.choose(ticker_list, "FB")
    tickers.until_shown([details], "FB")
    with pytest.raises(LabTimeout, match=r"news-feed: waited 0\.3 s until .* was 'FB'; it is 'IBM'"):
        tickers.until_shown([news], "FB", timeout=0.3)
    tickers.pick_channel(details, None)
    assert details.evaluate_js("fdc3.getCurrentChannel()") is None
    tickers.press(ticker_list, "News")
    tickers.until_shown([news], "FB")
    assert until_up(lab, "news-feed") is news
    (asked,) = overheard(lab, 1, intent="ViewNews", type="intentEvent")
    assert (asked.sender.app_id, [one.app_id for one in asked.receivers]) == ("ticker-list", ["news-feed"])
    said = overheard(lab, 2, context_type="fdc3.instrument", type="broadcastEvent")
    assert [(one.context["id"]["ticker"], len(one.receivers)) for one in said] == [("IBM", 2), ("FB", 1)]
    with pytest.raises(LabTimeout, match=r"waited 0\.1 s for 3 messages of intent ViewNews; \d of them were heard"):
        overheard(lab, 3, timeout=0.1, intent="ViewNews")
    with pytest.raises(LabTimeout, match=r"waited 0\.1 s for chart to run; ticker-list is running, market-data is "):
        until_up(lab, "chart", timeout=0.1)
    for wrong in (lambda: tickers.choose(ticker_list, "TSLA"), lambda: tickers.press(news, "Sell")):
        with pytest.raises(JavaScriptError):
            wrong()


def test_a_stream_reaches_everyone_but_the_one_that_dies(apps):
    ticker_list, details, news = apps
    heard = stream(ticker_list, (details, news), count=60, halfway=lambda: details.crash("kill"))
    assert heard["ticker-details"] == Heard(sent=60, alive=False)
    assert (heard["news-feed"].complete, str(heard["news-feed"])) == (True, "60 of 60, in order")
    assert len(heard["news-feed"].delays) == 60
    assert all(0 <= delay < 60 for delay in heard["news-feed"].delays)
    details.wait_for("running")
    tickers.until_shown((details, news), "MSFT")

    # Who is on another channel hears nothing, and that is evidence too.
    tickers.pick_channel(details, 3)
    heard = stream(ticker_list, (details, news), count=10, timeout=2)
    assert [str(one) for one in heard.values()] == ["0 of 10, in order", "10 of 10, in order"]
    assert not heard["ticker-details"].complete


@pytest.mark.parametrize("isolation", PLACEMENTS)
def test_a_busy_page_holds_up_only_who_shares_its_renderer(platform, isolation):
    # The tests' own heartbeat would take a page that computes for so long for hung, and end it.
    with platform(manifests_folder(), isolation=isolation, heartbeat=Heartbeat()) as lab:
        details, news = lab.launch_all("ticker-details", "news-feed")
        lab.desktop_agent.join_user_channel("fdc3.channel.1")
        past = past_a_busy_page(lab.desktop_agent, busy=news, listener=details)
        assert past.sent >= 5
        assert past.kept_up is (isolation != "shared-renderer"), str(past)
        assert (past.slowest > 1) is (isolation == "shared-renderer"), str(past)


@pytest.mark.parametrize(
    ("numbers", "words", "complete"),
    [
        ((1, 2, 3), "3 of 3, in order", True),
        ((1, 3), "2 of 3, in order", False),
        ((1, 3, 2), "3 of 3, out of order", False),
        ((1, 1, 2, 3), "4 of 3, out of order", False),
    ],
)
def test_what_is_missing_or_doubled_is_said(numbers, words, complete):
    one = Heard(sent=3, numbers=numbers)
    assert (str(one), one.complete) == (words, complete)
