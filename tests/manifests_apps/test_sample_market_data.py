"""market-data's replay against the data it replays, and its service function: how it paces, ends and fails."""

from __future__ import annotations

import threading
import time
from itertools import islice, pairwise
from typing import Any

import pytest
from bokeh_sampledata import stocks
from sample_stage import market_data, python_side
from support.fdc3 import World

from labplatform.errors import LabError, PlatformStopped
from labplatform.manifest import load_manifest
from labplatform.resources import manifests_folder

service = market_data()
SETTINGS = service.Settings()
TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


@pytest.fixture(scope="module")
def market() -> Any:
    return service.load(SETTINGS)


def quotes_of(tick: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = (context for context in tick if context["type"] == "labplatform.quotes")
    return found


def history_of(tick: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((context for context in tick if context["type"] == "labplatform.history"), None)


def source(ticker: str, date: str) -> dict[str, Any]:
    """The day as bokeh's own reader gives it, and the close of the day before."""
    data = getattr(stocks, ticker)
    at = data["date"].index(date)
    return {key: values[at] for key, values in data.items()} | {"previous": data["close"][at - 1] if at else None}


def test_first_tick_is_the_first_trading_day_asked_for(market: Any) -> None:
    quotes = quotes_of(next(service.replay(market, SETTINGS)))
    assert (quotes["tick"], quotes["round"], quotes["date"]) == (0, 1, "2012-07-02")
    apple = quotes["quotes"][0]
    assert (apple["ticker"], apple["last"], apple["previous"], apple["volume"]) == ("AAPL", 592.52, 584.0, 14289000)
    assert (apple["change"], apple["changePercent"]) == (8.52, 1.4589)


def test_every_quote_of_a_whole_round_is_what_the_data_says(market: Any) -> None:
    length = sum(date >= SETTINGS.first_day for date in market.dates)
    begin = service.Settings(start_day=SETTINGS.first_day)
    ticks = [quotes_of(tick) for tick in islice(service.replay(market, begin), length)]
    assert [tick["date"] for tick in ticks] == [date for date in stocks.AAPL["date"] if date >= SETTINGS.first_day]
    by_ticker = {ticker: {} for ticker in TICKERS}
    for ticker in TICKERS:
        data = getattr(stocks, ticker)
        for at, date in enumerate(data["date"]):
            by_ticker[ticker][date] = (
                *(data[key][at] for key in ("close", "open", "high", "low", "volume")),
                data["close"][at - 1] if at else None,
            )
    for tick in ticks:
        assert [quote["ticker"] for quote in tick["quotes"]] == list(TICKERS)
        for quote in tick["quotes"]:
            real = by_ticker[quote["ticker"]].get(tick["date"])
            if real is None:
                assert quote == {"ticker": "FB", "name": "Facebook", "last": None, "firstDay": "2012-05-18"}
                continue
            assert tuple(quote[key] for key in ("last", "open", "high", "low", "volume", "previous")) == real
            if quote["previous"] is not None:
                assert quote["change"] == pytest.approx(quote["last"] - quote["previous"], abs=1e-4)
                assert quote["changePercent"] == pytest.approx(100 * quote["change"] / quote["previous"], abs=1e-3)
            assert quote["yearLow"] <= quote["low"] <= quote["last"] <= quote["high"] <= quote["yearHigh"]


def test_year_range_is_that_of_252_days(market: Any) -> None:
    quotes = quotes_of(next(service.replay(market, SETTINGS)))
    data = stocks.IBM
    at = data["date"].index(quotes["date"])
    ibm = quotes["quotes"][3]
    assert ibm["yearHigh"] == max(data["high"][at - 251 : at + 1])
    assert ibm["yearLow"] == min(data["low"][at - 251 : at + 1])


def test_no_split_lies_within_the_days_that_are_read(market: Any) -> None:
    """Closes are as traded: had a share been split, changes and 52-week ranges would be wrong."""
    for ticker in TICKERS:
        data = getattr(stocks, ticker)
        ratio = [
            adjusted / close
            for date, close, adjusted in zip(data["date"], data["close"], data["adj_close"], strict=True)
            if date >= market.dates[0]
        ]
        assert all(abs(later / earlier - 1) < 0.05 for earlier, later in pairwise(ratio)), ticker


def test_the_same_market_gives_the_same_ticks(market: Any) -> None:
    one = list(islice(service.replay(market, SETTINGS), 700))
    assert one == list(islice(service.replay(service.load(SETTINGS), SETTINGS), 700))


def test_a_round_ends_with_the_data_and_begins_again(market: Any) -> None:
    ticks = list(islice(service.replay(market, service.Settings(start_day="2013-02-28")), 4))
    assert [(quotes_of(tick)["date"], quotes_of(tick)["round"]) for tick in ticks] == [
        ("2013-02-28", 1),
        ("2013-03-01", 1),
        ("2010-09-01", 2),
        ("2010-09-02", 2),
    ]
    assert [quotes_of(tick)["tick"] for tick in ticks] == [0, 1, 2, 3]
    assert [history_of(tick) is not None for tick in ticks] == [True, False, True, False]


def test_history_holds_the_last_120_days_up_to_its_tick(market: Any) -> None:
    ticks = list(islice(service.replay(market, SETTINGS), 17))
    assert [quotes_of(tick)["tick"] for tick in ticks if history_of(tick)] == [0, 8, 16]
    for tick in ticks[::8]:
        history, quotes = tick
        assert history["tick"] == quotes["tick"]
        assert len(history["dates"]) == 120
        assert history["dates"][-1] == quotes["date"]
        for quote in quotes["quotes"]:
            series = history["series"][quote["ticker"]]
            assert len(series["close"]) == len(series["volume"]) == 120
            assert (series["close"][-1], series["volume"][-1]) == (quote["last"], quote["volume"])
            for date, close in list(zip(history["dates"], series["close"], strict=True))[::17]:
                known = date in getattr(stocks, quote["ticker"])["date"]
                assert close == (source(quote["ticker"], date)["close"] if known else None)


def test_missing_data_says_what_to_do(tmp_path: Any) -> None:
    with pytest.raises(LabError, match=r"stocks\.csv\.gz does not exist; upgrade the data with `pip install"):
        service.load(SETTINGS, tmp_path / "stocks.csv.gz")


def test_a_first_day_after_the_data_is_refused() -> None:
    with pytest.raises(LabError, match="the prices end on 2013-03-01, before 2020-01-01"):
        service.load(service.Settings(first_day="2020-01-01"))


class Sent:
    """market-data's connection to a desktop agent; notes when each tick was sent, and wakes who waits for `wanted`."""

    def __init__(self, wanted: int = 0, refusing: bool = False) -> None:
        world = World()
        client, self.lab = python_side(load_manifest(manifests_folder() / "market-data"), self.send)
        world.router.connect("market-data", "market-data", client.receive)
        self.listener = world.start("listener")
        self.listener.ask("getOrCreateChannelRequest", channelId="prices")
        self.listener.listen("labplatform.quotes", "prices")
        self.world, self.wanted, self.refusing = world, wanted, refusing
        self.times: list[float] = []
        self.enough = threading.Event()

    def send(self, data: bytes) -> None:
        if self.refusing and b"broadcastRequest" in data:
            raise PlatformStopped("market-data is being stopped; nothing more can be sent")
        before = len(self.listener.contexts)
        self.world.router.receive("market-data", data)
        if len(self.listener.contexts) > before:
            self.times.append(time.monotonic())
            if len(self.times) >= self.wanted:
                self.enough.set()
            self.ticked()

    def ticked(self) -> None:
        """One more tick has gone out."""

    def run(self, rate: float) -> None:
        """Let market-data send what is wanted, then stop it."""
        thread = threading.Thread(target=service.main, args=(self.lab, service.Settings(rate=rate)))
        thread.start()
        try:
            assert self.enough.wait(timeout=10)
        finally:
            self.lab.stopping.set()
            thread.join(timeout=5)
        assert not thread.is_alive()


def test_main_keeps_its_rate_and_returns_when_asked_to_stop() -> None:
    prices = Sent(wanted=21)
    prices.run(rate=20)
    assert [context["tick"] for context in prices.listener.contexts[:21]] == list(range(21))
    # The pace has a floor that no load can break; how late a busy machine may be is not this test's to judge.
    assert prices.times[20] - prices.times[0] >= 20 / 20 - 0.05


def test_after_a_pause_it_goes_on_without_a_burst() -> None:
    class Stuck(Sent):
        def ticked(self) -> None:
            if len(self.times) == 5:
                time.sleep(0.5)  # as if the process had been stopped for ten ticks

    prices = Stuck(wanted=12)
    prices.run(rate=20)
    gaps = [later - earlier for earlier, later in pairwise(prices.times)]
    assert gaps[4] >= 0.5
    assert sum(gaps[5:11]) >= 4 / 20, "ticks that were missed came in one burst"


def test_a_refused_broadcast_ends_it_cleanly_only_while_stopping() -> None:
    lab = Sent(refusing=True).lab
    with pytest.raises(LabError, match="nothing more can be sent"):
        service.main(lab)
    lab.stopping.set()
    assert service.main(lab) is None
