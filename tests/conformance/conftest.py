"""Each test here proves that nothing of it is left."""

from __future__ import annotations

import pytest
from support.processes import Ground


@pytest.fixture(autouse=True)
def _clean(nothing_left: Ground) -> None:
    """See `nothing_left`."""
