"""Rows, medians, ratios and their text. Pure."""

from __future__ import annotations

import pytest

from labplatform.bench.figures import Row, Table, as_data, as_text, ratios, shown


def test_median_target_and_worst():
    row = Row(what="a", unit="s", values=(0.1, 0.5, 0.2), target=0.2)
    assert (row.median, row.met, row.worst) == (0.2, True, ("max", 0.5))
    assert Row(what="a", unit="s", values=(0.3,), target=0.2).met is False
    assert Row(what="a", unit="s", values=(0.3,)).met is None
    rate = Row(what="a", unit="messages/s", values=(9.0, 10.0, 30.0), target=10)
    assert (rate.median, rate.met, rate.worst) == (10, True, ("min", 9))
    assert Row(what="a", unit="messages/s", values=(9.9,), target=10).met is False
    assert Row(what="a", unit="s", values=tuple(range(1, 101))).worst == ("p99", 99)
    assert Row(what="a", unit="s", values=tuple(range(1, 301))).worst == ("p99", 297)


def test_what_stands_beside_is_compared_with_the_last_row_that_is_ours():
    rows = (
        Row(what="first", unit="s", values=(9.0,)),
        Row(what="ours", unit="s", values=(1.0,)),
        Row(what="half of ours", unit="s", values=(0.5,), beside=True),
        Row(what="another unit", unit="bytes", values=(5.0,), beside=True),
        Row(what="nothing", unit="s", values=(0.0,), beside=True),
    )
    assert ratios(rows) == [None, None, 2.0, None, None]
    data = as_data(Table(name="t", title="T", rows=rows))
    assert [row["ours_by_this"] for row in data["rows"]] == [None, None, 2.0, None, None]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0004, "s", "0.40 ms"),
        (0.0123, "s", "12.3 ms"),
        (0.312, "s", "312 ms"),
        (2.5, "s", "2.50 s"),
        (-0.0002, "s", "-0.20 ms"),
        (19_600_000, "bytes", "19.6 MB"),
        (1_234, "bytes", "1.2 kB"),
        (0.758, "percent of one core", "0.76 %"),
        (3.5, "pings", "3.5 pings"),
        (0.000_053, "s", "53 µs"),
        (0.0, "s", "0.00 ms"),
        (40119.4, "messages/s", "40,119/s"),
        (93414, "deliveries/s", "93,414/s"),
        (1.234, "times", "1.23 x"),
    ],
)
def test_values_are_shown_in_the_unit_a_person_would_use(value, unit, text):
    assert shown(value, unit) == text


def test_a_table_shows_verdict_ratio_notes_and_problem():
    rows = (
        Row(what="ours", unit="s", values=(0.3,), target=0.2),
        Row(what="bare", unit="s", values=(0.1,), beside=True),
    )
    text = as_text(
        Table(name="launch", title="one page", rows=rows, notes=("a note",), load=1.25, problem="no display")
    )
    assert text.startswith("LAUNCH: one page  (load 1.2)")
    for words in ("MISSED", "<= 200 ms", "beside: bare", "3.00 x", "a note", "FAILED: no display"):
        assert words in text
    assert all(len(line) <= 130 for line in text.splitlines())
    rate = Row(what="ours", unit="messages/s", values=(9.0,), target=8)
    assert ">= 8/s" in as_text(Table(name="burst", title="bursts", rows=(rate,)))
    assert as_data(Table(name="burst", title="bursts", rows=(rate,)))["rows"][0]["more_is_better"] is True
