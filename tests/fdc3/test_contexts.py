"""What is said of contexts that others would not understand; and that those of FDC3's own examples pass."""

from __future__ import annotations

import pytest

from labplatform.fdc3.contexts import problems


@pytest.mark.parametrize(
    "context",
    [
        {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}},
        {"type": "fdc3.nothing"},
        {"type": "fdc3.position", "instrument": {"type": "fdc3.instrument", "id": {}}, "holding": 3},
        {"type": "fdc3.timeRange", "endTime": "2026-01-01T00:00:00Z"},
        {"type": "my.own", "anything": [1, 2]},
    ],
)
def test_good_ones_pass(context):
    assert problems(context) == []


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (None, "a context is an object"),
        ([], "a context is an object"),
        ({}, 'needs a "type"'),
        ({"type": 3}, 'needs a "type"'),
        ({"type": "x", "name": 3}, '"name" is text'),
        ({"type": "x", "id": "AAPL"}, '"id" is an object'),
        ({"type": "fdc3.instrument"}, 'fdc3.instrument needs "id", an object'),
        ({"type": "fdc3.position", "instrument": {}, "holding": True}, '"holding" of fdc3.position is a number'),
        ({"type": "fdc3.chart", "instruments": {}}, '"instruments" of fdc3.chart is a list'),
        ({"type": "fdc3.timeRange"}, 'needs "startTime"'),
    ],
)
def test_bad_ones_are_told_what_is_wrong(context, said):
    assert said in "; ".join(problems(context))
