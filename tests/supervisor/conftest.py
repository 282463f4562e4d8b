"""Each test here proves that nothing of it is left."""

from __future__ import annotations

import pytest
from support.fdc3 import World
from support.fdc3_schemas import Schemas, fetch
from support.processes import Ground


@pytest.fixture(autouse=True)
def _clean(nothing_left: Ground) -> None:
    """See `nothing_left`."""


@pytest.fixture(scope="session")
def schemas(pytestconfig: pytest.Config) -> Schemas:
    """FDC3's own JSON schemas; the test is skipped where they cannot be had."""
    return Schemas(fetch(pytestconfig.cache.mkdir("fdc3")))


@pytest.fixture
def world(schemas: Schemas) -> World:
    """A desktop agent without processes, each of whose messages is checked."""
    return World(schemas)
