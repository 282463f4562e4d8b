"""`IntentResolver` without a browser: when it is asked, what a page may say, and that nothing of it stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.choosing import make_choosing_apps, outcome, raise_intent
from support.processes import until

from labplatform.kernel.resolving import Outcome
from labplatform.kernel.widgets import resolver as module
from labplatform.kernel.widgets.resolver import IntentResolver, in_words
from labplatform.messages import IntentOption, IntentQuestion, Party


@pytest.fixture
def lab(platform: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # A page says every two seconds that it is there, and these here once: a machine that is busy with other things may
    # take longer than six seconds until the card comes, and the page would count as gone by then.
    monkeypatch.setattr(module, "SILENCE", 60.0)
    lab = platform(make_choosing_apps(tmp_path))
    lab.launch("watchlist")
    yield lab
    until(lambda: not clock_threads(), 10, "the widgets' thread to end")


def clock_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "labplatform-widgets"]


def say(widget: IntentResolver, page: str = "a", **word: Any) -> None:
    """What the page side sends."""
    content = {"page": page, "shown": True} | word
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def offered(lab: Any) -> str:
    return lab._resolving._offered


def test_it_asks_while_it_is_displayed(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE", 1.0)
    monkeypatch.setattr(module, "HIDDEN_SILENCE", 2.0)
    widget, app = lab.intent_resolver(), lab["watchlist"]
    assert (repr(widget), widget.displayed, clock_threads()) == ("IntentResolver()", "nobody", [])
    assert outcome(app, raise_intent(app)) == "ResolverUnavailable"
    say(widget, shown=False)
    assert (widget.displayed, offered(lab)) == ("hidden", "hidden")
    say(widget, page="b")
    say(lab.intent_resolver(), page="c", shown=False)
    assert (widget.displayed, offered(lab)) == ("shown", "shown")
    assert len(clock_threads()) == 1
    until(lambda: offered(lab) == "hidden", 5, "the silent page to be forgotten")
    until(lambda: offered(lab) == "nobody", 5, "the hidden ones to be forgotten as well")
    assert outcome(app, raise_intent(app)) == "ResolverUnavailable"
    say(widget)
    say(widget, gone=True, shown=False)
    assert (widget.displayed, offered(lab)) == ("nobody", "nobody")
    widget.close()


def test_a_card_has_what_a_person_needs_and_the_page_has_no_more_to_say(lab: Any) -> None:
    widget, app = lab.intent_resolver(), lab["watchlist"]
    say(widget)
    number = raise_intent(app, None)
    until(lambda: widget.questions, 20, "the card")
    (card,) = widget.questions
    assert (card["title"], card["about"]) == ("Choose what to do, and the app for it", "fdc3.instrument Apple Inc.")
    assert (card["raiser"]["title"], card["raiser"]["pid"]) == ("Watchlist", app.pid)
    assert [group["title"] for group in card["groups"]] == ["View News", "View Chart"]
    options = [option for group in card["groups"] for option in group["options"]]
    assert [(one["index"], one["title"], one["where"], one["kind"]) for one in options] == [
        (0, "News", "new window", "new"),
        (1, "Wire", "new process", "new"),
        (2, "News", "new window", "new"),
    ]
    wrong = [None, [], "1", {}, {"number": "1"}, {"number": None}, {"number": card["number"] + 1, "option": 0}]
    wrong += [{"number": card["number"], "option": option} for option in (-1, 3, "0", 1.5, [0])]
    for answer in wrong:
        say(widget, answer=answer)
    for content in (None, [], "shown", {}, {"page": 3}):
        widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    lab.describe()
    assert len(lab.questions) == 1, "a wrong answer counted"
    # A second widget that comes later shows the same.
    late = lab.intent_resolver()
    assert late.questions == widget.questions
    say(late, answer={"number": card["number"], "option": None})
    assert outcome(app, number) == "UserCancelledResolution"
    until(lambda: not widget.questions and not late.questions, 10, "both cards to go")
    assert widget.last == "View News or View Chart from Watchlist was cancelled."
    widget.close()
    late.close()


def test_close_and_stop_end_it(lab: Any) -> None:
    widget, app = lab.intent_resolver(), lab["watchlist"]
    say(widget)
    number = raise_intent(app)
    until(lambda: widget.questions, 20, "the card")
    widget.close()
    assert outcome(app, number) == "ResolverUnavailable"
    widget.close()
    again = lab.intent_resolver()
    say(again)
    raise_intent(app)
    until(lambda: again.questions, 20, "the card")
    lab.stop()
    until(lambda: not again.questions, 10, "the card to go with the platform")
    say(again)
    again.close()


def test_endings_in_words() -> None:
    party = {"app_id": "a", "title": "Chart"}
    option = IntentOption(**party, intent="ViewChart", intent_title="View Chart")
    question = IntentQuestion(number=1, raiser=Party(app_id="b", title="List"), about="x", options=(option,), until=0)
    said = [in_words(Outcome(question, how, None)) for how in ("cancelled", "withdrawn", "failed")]
    assert said == [
        "View Chart from List was cancelled.",
        "List no longer waits for View Chart.",
        "View Chart from List failed: nobody was left to choose.",
    ]
    assert in_words(Outcome(question, "chosen", option)) == "View Chart from List went to Chart, new window."
