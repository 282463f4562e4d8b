"""App ids: what `app@host` means where apps are known by plain ids, by qualified ones, or both."""

import pytest

from labplatform import app_ids

KNOWN = {"chart": "", "news": "appd.example", "orders@appd.example": "appd.example", "orders@other.example": ""}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("chart", "chart"),
        ("chart@appd.example", "chart"),  # a file's, whose directory nobody knows
        ("news", "news"),
        ("news@appd.example", "news"),
        ("news@APPD.example", "news"),
        ("news@other.example", None),  # another directory's app of the same id
        ("orders", "orders@appd.example"),  # the first of several
        ("orders@other.example", "orders@other.example"),
        ("orders@third.example", None),
        ("nobody", None),
        ("nobody@appd.example", None),
        ("@appd.example", None),
        ("news@", None),
        ("", None),
    ],
)
def test_resolve(asked, found):
    assert app_ids.resolve(asked, KNOWN) == found


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("IntentAppAId", "intentappaid"),
        ("My App (β) 2", "my-app-2"),
        ("---", "app"),
        ("", "app"),
        ("ß", "app"),
        ("x" * 80, "x" * 63),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_place_name(words, name):
    assert app_ids.place_name(words) == name
