"""A platform with the sample apps for each scenario, which proves that nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import Ground

from labplatform.resources import manifests_folder
from labplatform.scenarios import tickers


@pytest.fixture(autouse=True)
def _clean(nothing_left: Ground) -> None:
    """See `nothing_left`."""


@pytest.fixture
def lab(platform: Any) -> Iterator[Any]:
    """A platform with the sample apps."""
    with platform(manifests_folder()) as lab:
        yield lab


@pytest.fixture
def apps(lab: Any) -> list[Any]:
    """ticker-list, ticker-details and news-feed, launched and linked."""
    apps = lab.launch_all("ticker-list", "ticker-details", "news-feed")
    tickers.until_listening(apps)
    return apps
