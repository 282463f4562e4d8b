"""The sample apps' files: they load without a warning and need nothing from the network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from bokeh_sampledata import stocks
from sample_stage import PAGES

from labplatform import ResourceLimits, load_manifests
from labplatform.resources import manifests_folder, page_kit

FOLDER = manifests_folder()
SERVED = (*(FOLDER / app for app in (*PAGES, "order-ticket", "leaky", "cpu-hog")), page_kit())
COLORS = {
    "ticker-list": "#0072B2",
    "ticker-details": "#CC79A7",
    "news-feed": "#009E73",
    "market-data": "#E69F00",
    "order-ticket": "#0072B2",
}
TROUBLE = {"leaky": "#56B4E9", "cpu-hog": "#F0E442"}


def test_all_load_without_a_warning() -> None:
    manifests = load_manifests(FOLDER)
    assert set(COLORS) <= set(manifests)
    for app, color in COLORS.items():
        manifest = manifests[app]
        assert manifest.warnings == ()
        assert manifest.look.color == color
        assert color in (FOLDER / app / manifest.look.glyph).read_text(encoding="utf-8")
        limits = manifest.startup_app.resource_limits
        assert (limits.max_memory, limits.max_cpu) == (524_288_000, 50)


@pytest.mark.parametrize("app", TROUBLE)
def test_those_that_misbehave_load_without_a_warning_and_have_no_limits_of_their_own(app: str) -> None:
    manifest = load_manifests(FOLDER)[app]
    assert manifest.warnings == ()
    assert manifest.look.color == TROUBLE[app]
    assert TROUBLE[app] in (FOLDER / app / manifest.look.glyph).read_text(encoding="utf-8")
    assert manifest.startup_app.resource_limits == ResourceLimits()
    assert manifest.python and manifest.startup_app.url == "index.html"


@pytest.mark.parametrize("app", PAGES)
def test_pages_have_their_window_and_their_prices(app: str) -> None:
    manifest = load_manifests(FOLDER)[app]
    assert (manifest.startup_app.default_width, manifest.startup_app.default_height) == (480, 640)
    assert manifest.requires == ("market-data",)
    assert (FOLDER / app / manifest.startup_app.url).is_file()


def test_market_data_is_a_service_without_a_window() -> None:
    manifest = load_manifests(FOLDER)["market-data"]
    assert manifest.page_url is None
    assert manifest.python == "service:main"


@pytest.mark.parametrize("folder", SERVED, ids=lambda folder: folder.name)
def test_nothing_comes_from_elsewhere(folder: Path) -> None:
    """No address of another origin in any file of the app; the SVG namespace is a name, not an address."""
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?:)?//[\w.-]+\.\w+/|@import|@font-face|url\(", text), file


@pytest.mark.parametrize("folder", SERVED, ids=lambda folder: folder.name)
def test_no_style_moves_by_itself(folder: Path) -> None:
    """A compositor's animation goes on in a page that hangs: what moves must be moved by the page's script."""
    for file in folder.glob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"animation|transition|@keyframes", text), file


def test_headlines_are_in_order_on_trading_days_about_shares_that_trade() -> None:
    headlines = json.loads((FOLDER / "news-feed" / "news.json").read_text(encoding="utf-8"))["headlines"]
    days = {ticker: set(getattr(stocks, ticker)["date"]) for ticker in ("AAPL", "FB", "GOOG", "IBM", "MSFT")}
    assert [item["date"] for item in headlines] == sorted(item["date"] for item in headlines)
    assert len({item["title"] for item in headlines}) == len(headlines)
    assert {ticker for item in headlines for ticker in item["tickers"]} == set(days)
    for item in headlines:
        assert item["tickers"], item
        assert all(item["date"] in days[ticker] for ticker in item["tickers"]), item
