"""Each test here proves that nothing of it is left."""

from __future__ import annotations

import pytest
from support.fdc3 import World
from support.fdc3_schemas import Schemas, fetch
from support.npm import Unreachable
from support.processes import Ground


@pytest.fixture(autouse=True)
def _clean(nothing_left: Ground) -> None:
    """See `nothing_left`."""


@pytest.fixture(scope="session")
def schemas_or_why(pytestconfig: pytest.Config) -> Schemas | str:
    """FDC3's own JSON schemas, or why they cannot be had."""
    try:
        return Schemas(fetch(pytestconfig.cache.mkdir("fdc3")))
    except Unreachable as error:
        return str(error)


@pytest.fixture
def schemas(schemas_or_why: Schemas | str) -> Schemas:
    """FDC3's own JSON schemas; the test is skipped where they cannot be had."""
    if isinstance(schemas_or_why, str):
        pytest.skip(schemas_or_why)
    return schemas_or_why


@pytest.fixture
def world(schemas_or_why: Schemas | str) -> World:
    """A desktop agent without processes; each of its messages is checked where the schemas can be had."""
    return World(None if isinstance(schemas_or_why, str) else schemas_or_why)
