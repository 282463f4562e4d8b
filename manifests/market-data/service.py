"""market-data: replays real daily prices on the app channel "prices". Runs on its own thread in the app's process.

Nothing here is invented: each tick is one trading day of the stocks in the `bokeh_sampledata` package (daily, as
traded, not adjusted; no share was split within the replayed years), and a round repeats the same days. Which apps
listen, and what they make of it, is theirs. Contexts sent:

- `labplatform.quotes`, every tick: `tick` (counts up for ever), `round`, `date`, and one quote a share with `ticker`,
  `name`, `last` (the day's close), `previous`, `change`, `changePercent`, `open`, `high`, `low`, `volume` (shares),
  `yearHigh`, `yearLow` (52 weeks). Prices in USD. A share that did not trade yet has `last` null and its `firstDay`.
- `labplatform.history`, every few ticks, so that who joins late has a chart at once: `tick`, `dates`, and in `series`
  `close` and `volume` for each ticker, null before its first day.
"""

from __future__ import annotations

import csv
import gzip
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bokeh_sampledata import package_path

from labplatform.errors import LabError

NAMES = {"AAPL": "Apple", "FB": "Facebook", "GOOG": "Google", "IBM": "IBM", "MSFT": "Microsoft"}
"""The shares in the data, under the names that their companies had then."""


@dataclass(frozen=True)
class Settings:
    """What a person may turn. Days are dates as text, "2010-09-01".

    `first_day`: where a round begins; it ends with the data. `start_day`: where the very first round begins, late
    enough that every share has traded for a month. `rate`: ticks (trading days) a second. `history_days`: length of
    the series in `labplatform.history`. `history_every`: ticks from one to the next. `year_days`: trading days in the
    52-week range.
    """

    first_day: str = "2010-09-01"
    start_day: str = "2012-07-02"
    rate: float = 4.0
    history_days: int = 120
    history_every: int = 8
    year_days: int = 252


class Bar(NamedTuple):
    """One trading day of one share: USD, and shares traded."""

    open: float
    high: float
    low: float
    close: float
    volume: int


class Market(NamedTuple):
    """Trading days in order, and for each ticker its bar on each of them (None before its first day)."""

    dates: tuple[str, ...]
    bars: dict[str, list[Bar | None]]


def load(settings: Settings, path: Path | None = None) -> Market:
    """The days that the replay needs: its own, and those before it that its 52-week ranges and charts reach back to.

    Raises `LabError` if the data is not where this version of `bokeh_sampledata` should have it.
    """
    path = path or package_path("stocks.csv.gz")
    rows: dict[str, dict[str, Bar]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["Ticker"] in NAMES:
                    prices = (float(row[key]) for key in ("Open", "High", "Low", "Close"))
                    rows.setdefault(row["Date"], {})[row["Ticker"]] = Bar(*prices, int(row["Volume"]))
    except FileNotFoundError:
        raise LabError(
            f"market-data: {path} does not exist; upgrade the data with `pip install -U bokeh_sampledata`"
        ) from None
    dates = sorted(rows)
    reach = max(settings.history_days, settings.year_days)
    dates = dates[max(0, _index(dates, settings.first_day) - reach) :]
    return Market(tuple(dates), {ticker: [rows[date].get(ticker) for date in dates] for ticker in NAMES})


def _index(dates: list[str] | tuple[str, ...], day: str) -> int:
    """The place of the first trading day on or after `day`."""
    for place, date in enumerate(dates):
        if date >= day:
            return place
    raise LabError(f"market-data: the prices end on {dates[-1] if dates else 'no day at all'}, before {day}")


def _quote(market: Market, ticker: str, at: int, settings: Settings) -> dict[str, Any]:
    bars = market.bars[ticker]
    bar, before = bars[at], bars[at - 1] if at else None
    quote: dict[str, Any] = {"ticker": ticker, "name": NAMES[ticker]}
    if bar is None:
        first = next((date for date, later in zip(market.dates, bars, strict=True) if later), None)
        return quote | {"last": None, "firstDay": first}
    change = round(bar.close - before.close, 4) if before else None
    year = [day for day in bars[max(0, at + 1 - settings.year_days) : at + 1] if day]
    return quote | {
        "last": bar.close,
        "previous": before.close if before else None,
        "change": change,
        "changePercent": round(100 * (bar.close / before.close - 1), 4) if before else None,
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "volume": bar.volume,
        "yearHigh": max(day.high for day in year),
        "yearLow": min(day.low for day in year),
    }


def _history(market: Market, at: int, tick: int, settings: Settings) -> dict[str, Any]:
    span = slice(max(0, at + 1 - settings.history_days), at + 1)
    series = {
        ticker: {
            "close": [bar and bar.close for bar in bars[span]],
            "volume": [bar and bar.volume for bar in bars[span]],
        }
        for ticker, bars in market.bars.items()
    }
    return {"type": "labplatform.history", "tick": tick, "dates": list(market.dates[span]), "series": series}


def replay(market: Market, settings: Settings) -> Iterator[list[dict[str, Any]]]:
    """For each tick the contexts to send, for ever; the same market gives the same ticks.

    A tick that carries the history carries it first, so that a page which has it can append what follows.
    """
    first, at = _index(market.dates, settings.first_day), _index(market.dates, settings.start_day)
    tick, turn = 0, 1
    while True:
        for day in range(at, len(market.dates)):
            quotes = [_quote(market, ticker, day, settings) for ticker in NAMES]
            contexts = [
                {"type": "labplatform.quotes", "tick": tick, "round": turn, "date": market.dates[day], "quotes": quotes}
            ]
            if tick % settings.history_every == 0 or day == at:
                contexts.insert(0, _history(market, day, tick, settings))
            yield contexts
            tick += 1
        at, turn = first, turn + 1


def main(lab: Any, settings: Settings | None = None) -> None:
    """Send ticks until the platform stops this app."""
    settings = settings or Settings()
    prices = lab.channel("prices")
    due = time.monotonic()
    for contexts in replay(load(settings), settings):
        try:
            for context in contexts:
                prices.broadcast(context)
        except LabError:
            if lab.stopping.is_set():
                return
            raise
        # After a pause (a stopped process, a sleeping laptop) go on from now; don't send what was missed in one burst.
        due = max(due + 1 / settings.rate, time.monotonic())
        if lab.stopping.wait(due - time.monotonic()):
            return
