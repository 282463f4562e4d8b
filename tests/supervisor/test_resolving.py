"""What of a context people see: a line, whatever a page has put in it."""

import msgspec
import pytest

from labplatform.dacp import encode
from labplatform.supervisor.resolving import ABOUT_LENGTH, about


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"type": "fdc3.instrument", "name": "Apple Inc.", "id": {"ticker": "AAPL"}}, "fdc3.instrument Apple Inc."),
        ({"type": "fdc3.instrument", "id": {"ISIN": 5, "ticker": "AAPL"}}, "fdc3.instrument AAPL"),
        ({"type": "note"}, "note"),
        ({"type": "note", "name": ["a"], "id": "b"}, "note"),
        ({"type": "note", "name": "  \n", "id": {"a": "  x\n\ty  "}}, "note x y"),
        ({"type": "note", "name": "a\u202egnp\u2066\x00\x1b[31m"}, "note agnp[31m"),
        ({"type": "n" * 500, "name": "x"}, "n" * (ABOUT_LENGTH - 1) + "…"),
        ({"type": "", "name": "<b>x</b>"}, "<b>x</b>"),
    ],
)
def test_a_context_in_a_few_words(context, words):
    assert about(msgspec.Raw(encode(context))) == words
