"""One platform with the sample apps for all scenarios; each module proves that nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import Ground


@pytest.fixture(autouse=True)
def _clean(nothing_left: Ground) -> None:
    """See `nothing_left`."""


@pytest.fixture
def apps(platform: Any) -> Iterator[list[Any]]:
    """ticker-list, ticker-details and news-feed, on a platform of their own."""
    from labplatform.resources import manifests_folder

    with platform(manifests_folder()) as lab:
        yield lab.launch_all("ticker-list", "ticker-details", "news-feed")
