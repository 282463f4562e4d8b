"""What chaos plans, and how it tells what came of it: pure, without a platform."""

from __future__ import annotations

from collections import Counter

import pandas
import pytest

from labplatform.messages import CrashKind
from labplatform.scenarios.chaos import DEFAULT, FAULTS, ChaosReport, Planned, Row, plan
from labplatform.scenarios.chaos.plan import possible

CHOICES = {"first": DEFAULT, "second": DEFAULT, "service": ("kill", "abort")}


def test_the_same_seed_plans_the_same_faults():
    planned = plan(7, 60, 40, CHOICES)
    assert planned == plan(7, 60, 40, dict(CHOICES))
    assert planned != plan(8, 60, 40, CHOICES)
    # On every machine and with every Python.
    few = {"first": ("abort", "hang", "kill"), "second": ("kill", "freeze")}
    assert [(round(one.at, 3), one.fault, one.app) for one in plan(7, 60, 5, few)] == PLANNED


PLANNED = [
    (4.346, "hang", "first"),
    (9.051, "kill", "first"),
    (19.43, "abort", "first"),
    (32.153, "freeze", "second"),
    (39.056, "freeze", "second"),
]


def test_a_plan_is_in_order_and_leaves_no_fault_out():
    planned = plan(3, 60, 2 * len(DEFAULT), CHOICES)
    times = [one.at for one in planned]
    assert times == sorted(times) and times[0] >= 0 and times[-1] < 60
    assert Counter(one.fault for one in planned) == dict.fromkeys(DEFAULT, 2)
    assert {one.fault for one in planned[: len(DEFAULT)]} == set(DEFAULT)
    assert all(one.fault in CHOICES[one.app] for one in planned)
    assert {one.app for one in planned} == set(CHOICES)


def test_the_supervisor_is_struck_only_where_that_is_wished():
    assert not [one for one in plan(1, 60, 200, CHOICES) if one.fault == "supervisor"]
    struck = [one for one in plan(1, 60, 200, CHOICES, supervisor=True) if one.fault == "supervisor"]
    assert struck and {one.app for one in struck} == {""}
    assert {one.fault for one in plan(1, 60, 3, {"app": ()}, supervisor=True)} == {"supervisor"}
    with pytest.raises(ValueError, match="none of these apps can suffer any of these faults"):
        plan(1, 60, 3, {"app": ()})


@pytest.mark.parametrize(
    "has_page, own_process, limits, lacks",
    [
        (True, True, True, set()),
        (True, True, False, {"memory-limit"}),
        (True, False, True, {"memory-limit", "recycle"}),
        (False, True, True, {"renderer", "renderer-kill", "oom", "hang", "memory-limit", "window-close", "slow"}),
    ],
)
def test_what_an_app_can_suffer(has_page, own_process, limits, lacks):
    assert set(DEFAULT) - set(possible(FAULTS, has_page, own_process, limits)) == lacks
    assert set(CrashKind.__args__) < set(DEFAULT)


def _report(*rows: Row, of: int = 3) -> ChaosReport:
    report = ChaosReport(7, "process", tuple(Planned(float(n), "kill", "app") for n in range(of)))
    report.rows, report.seconds = rows, 12.3
    return report


WHOLE = Row(
    number=1,
    at=0.1,
    fault="kill",
    app="app",
    reason="killed",
    noticed=0.02,
    back=1.2,
    state=True,
    gap=0.012,
    neighbour="two",
)
WHOLE_TOO = Row(number=2, at=3.0, fault="window-close", app="app", noticed=0.0, back=0.7, by_hand=True, channel=True)
GONE = Row(
    number=3, at=5.0, fault="hang", app="<b>", noticed=1.5, along=("one", "two"), problem="not back: it is failed"
)
HARMED = Row(number=4, at=7.0, fault="abort", app="b", noticed=0.1, back=2.0, state=False, channel=False, missed=2)


def test_a_row_says_what_became_of_it():
    assert str(WHOLE) == "kill of app: noticed in 20 ms, back in 1.2 s, lost: nothing"
    assert str(WHOLE_TOO) == "window-close of app: noticed in 0 ms, back in 700 ms by hand, lost: nothing"
    assert str(GONE) == "hang of <b>: noticed in 1.5 s, not back, along with it: one, two, not back: it is failed"
    assert HARMED.lost == "its state, its channel, 2 messages"
    assert [row.mended for row in (WHOLE, WHOLE_TOO, GONE, HARMED)] == [True, True, False, True]
    assert str(Row(number=1, at=0, fault="supervisor", app="", noticed=0.1, back=3.0)).startswith("supervisor killed: ")


def test_the_sentence_over_all_of_it():
    report = _report(WHOLE, WHOLE_TOO, of=2)
    assert report.mended
    assert report.summary == (
        "Seed 7: 2 faults in 12 s, all noticed, all back (median 1.2 s, slowest 1.2 s), lost: nothing. "
        "Longest that a neighbour was silent or late: 12 ms, two."
    )
    report = _report(WHOLE, GONE, HARMED, of=5)
    report.interrupted = True
    assert not report.mended
    assert "3 of 5 faults in 12 s, all noticed, 2 back" in report.summary
    assert "lost: 1 state, 1 channel, 2 messages, 2 neighbours" in report.summary
    assert report.summary.endswith(" It was interrupted.")
    assert _report().summary == "Seed 7: 0 of 3 faults in 12 s."


def test_a_table_for_people_and_for_pandas():
    report = _report(WHOLE, WHOLE_TOO, GONE, HARMED, of=4)
    lines = repr(report).splitlines()
    assert lines[0] == report.summary and len(lines) == 7
    assert lines[1].split("  ")[0] == "" and "neighbours' worst gap" in lines[1]
    assert lines[-1] == "3: not back: it is failed"
    frame = pandas.DataFrame(report.table())
    assert list(frame.columns) == list(Row.__struct_fields__) and len(frame) == 4
    assert frame["back"].isna().sum() == 1
    page = report._repr_html_()
    assert page.count("<tr>") == 5 and page.count("<tr class=said>") == 1
    assert "<b>" not in page and "&lt;b&gt;" in page
    assert page.count("× lost") == 2 and "× not back" in page and "src=" not in page
    assert list(report) == list(report.rows) and report[0] is WHOLE and len(report) == 4
