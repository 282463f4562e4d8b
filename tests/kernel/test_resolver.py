"""Real pages raise an intent that several apps could handle: a function chooses, or people do, or nobody can."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from support.apps import make_app
from support.choosing import INSTRUMENT, listens, make_choosing_apps, outcome, raise_intent
from support.processes import until

from labplatform import IntentOption, IntentQuestion, messages
from labplatform.connection import Connection
from labplatform.errors import BlockingCallInObserver, FDC3Error
from labplatform.supervisor.resolving import MOST_OF_ONE, MOST_OPTIONS


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    """A page that raises, and the apps that could handle it."""
    return make_choosing_apps(tmp_path)


def remarks(lab: Any, words: str) -> list[str]:
    return [entry.text for entry in lab.events if words in entry.text]


def option(question: IntentQuestion, app_id: str, instance_id: str | None = None) -> IntentOption:
    return next(one for one in question.options if (one.app_id, one.instance_id) == (app_id, instance_id))


# --- a function


def test_a_function_chooses(platform, apps):
    asked: list[tuple[IntentQuestion, str]] = []

    def pick(question: IntentQuestion) -> IntentOption | None:
        asked.append((question, threading.current_thread().name))
        return pick.how(question)

    lab = platform(apps, resolver=pick)
    raiser, wire = lab.launch("watchlist"), lab.launch("wire")

    # A running instance; an app without a window is one, too.
    pick.how = lambda question: option(question, "wire", wire.instance_id)
    assert outcome(raiser, raise_intent(raiser)) == ["ViewNews", "wire", wire.instance_id]
    (question, thread) = asked[0]
    assert thread == "labplatform-observers"
    assert [str(one) for one in question.options] == [
        "News, new window",
        "Wire, new process",
        f"Wire, running, PID {wire.pid}",
    ]
    party = question.raiser
    assert (party.app_id, party.title, party.place, party.pid) == ("watchlist", "Watchlist", "watchlist", raiser.pid)
    assert (party.instance_id, party.color) == (raiser.instance_id, "#0072B2")
    assert party.glyph.startswith("data:image/svg+xml;base64,")
    assert (question.options[0].color, question.options[2].place) == ("#009E73", "wire")
    assert (question.context, question.about) == (INSTRUMENT, "fdc3.instrument Apple Inc.")
    assert (question.title, question.intents) == ("Choose an app for View News", ("ViewNews",))
    assert 0 < question.seconds <= 45
    assert "Watchlist sends fdc3.instrument Apple Inc." in str(question) and "new process" in str(question)
    assert "svg" not in repr(question) + repr(question.options)

    # A new one, and an intent of several: for a context alone it is chosen with the app.
    pick.how = lambda question: next(one for one in question.options if one.intent == "ViewChart")
    intent, app_id, instance = outcome(raiser, raise_intent(raiser, None))
    assert (intent, app_id) == ("ViewChart", "news")
    assert asked[1][0].intents == ("ViewNews", "ViewChart")
    news = lab["news"]
    assert news.instance_id == instance
    until(lambda: news.evaluate_js("heard", timeout=20) == [INSTRUMENT], 20, "the intent to arrive")

    # The user cancels.
    pick.how = lambda question: None
    assert outcome(raiser, raise_intent(raiser)) == "UserCancelledResolution"

    # What a function should not return, and what it may raise.
    pick.how = lambda question: "wire"
    assert outcome(raiser, raise_intent(raiser)) == "ResolverUnavailable"
    pick.how = lambda question: lab.launch("news")
    assert outcome(raiser, raise_intent(raiser)) == "ResolverUnavailable"
    until(lambda: len(remarks(lab, "went nowhere")) == 2, 10, "two lines in the log")
    wrong, blocking = remarks(lab, "went nowhere")
    assert "its intent ViewNews went nowhere: there are 4 ways to handle it, and the resolver function raised" in wrong
    assert "TypeError: expected one of the question's options" in wrong
    assert BlockingCallInObserver.__name__ in blocking

    # Without a function, a notebook or a screen there is nobody.
    lab.resolver = None
    assert outcome(raiser, raise_intent(raiser)) == "ResolverUnavailable"
    until(lambda: remarks(lab, "set `platform.resolver` to a function"), 10, "the remedy in the log")


def test_a_slow_function_meets_the_deadline_and_the_ends_of_others(platform, apps):
    going, go_on = threading.Semaphore(0), threading.Semaphore(0)
    asked: list[IntentQuestion] = []

    def slow(question: IntentQuestion) -> IntentOption:
        asked.append(question)
        going.release()
        assert go_on.acquire(timeout=60)
        return question.options[-1]

    lab = platform(apps, resolver=slow, resolver_timeout=2)
    raiser, wire = lab.launch("watchlist"), lab.launch("wire")

    # The deadline: the answer comes too late, and is passed over.
    number = raise_intent(raiser)
    assert going.acquire(timeout=20)
    assert outcome(raiser, number) == "ResolverTimeout"
    until(lambda: remarks(lab, "nobody has chosen within 2 s"), 10, "a line in the log")
    go_on.release()

    # The chosen instance ends meanwhile.
    number = raise_intent(raiser)
    assert going.acquire(timeout=20)
    wire.kill()
    go_on.release()
    assert outcome(raiser, number) == "TargetInstanceUnavailable"
    assert (len(asked), asked[-1].options[-1].app_id) == (2, "wire"), "asked again because an option had ended"

    # The raiser ends: a question that waits for its turn behind the one it was about is not asked any more.
    first, second = raise_intent(raiser), raise_intent(raiser)
    assert (first, second) == (2, 3)
    assert going.acquire(timeout=20)
    raiser.crash("kill")
    raiser.wait_for("running", timeout=30)
    count = len(asked)
    go_on.release()
    number = raise_intent(raiser)
    assert going.acquire(timeout=20)
    assert len(asked) == count + 1
    assert asked[-1].raiser.instance_id == raiser.instance_id

    # And with the platform in the middle of a question.
    lab.stop(timeout=5)
    go_on.release()
    assert lab.questions == ()


# --- people


def shows(lab: Any, kind: str = "shown", widget: str = "a widget") -> None:
    """What a widget says of itself."""
    lab._resolving.display(widget, kind)


def test_people_choose(platform, apps):
    lab = platform(apps)
    raiser, wire = lab.launch("watchlist"), lab.launch("wire")
    seen: list[int] = []
    lab.observe(lambda change: seen.append(len(change.new)), names="questions")

    # Displayed out of sight is enough where there is no screen.
    for kind in ("hidden", "shown"):
        shows(lab, kind)
        number = raise_intent(raiser)
        (question,) = until(lambda: lab.questions, 20, "the question")
        lab.choose(question, option(question, "wire", wire.instance_id))
        assert outcome(raiser, number) == ["ViewNews", "wire", wire.instance_id]
        assert lab.questions == ()
        assert (lab.last_question.how, lab.last_question.option.app_id) == ("chosen", "wire")
    until(lambda: seen == [1, 0, 1, 0], 10, "the observers to have heard")
    assert remarks(lab, "asks a notebook, about fdc3.instrument Apple Inc.: Choose an app for View News")
    assert remarks(lab, f"its question was chosen: Wire, running, PID {wire.pid}")

    # Cancelled; and a second answer changes nothing.
    number = raise_intent(raiser)
    (question,) = until(lambda: lab.questions, 20, "the question")
    lab.choose(question, None)
    lab.choose(question, question.options[0])
    assert outcome(raiser, number) == "UserCancelledResolution"
    assert lab.last_question.how == "cancelled"
    with pytest.raises(ValueError, match="none of the options"):
        lab.choose(question, IntentOption(app_id="wire", title="Wire", intent="Other", intent_title="Other"))
    with pytest.raises(TypeError, match="one of the question's options"):
        lab.choose(question, "wire")

    # An option's app ends: it is shown as ended, and to choose it all the same fails.
    number = raise_intent(raiser)
    (question,) = until(lambda: lab.questions, 20, "the question")
    wire.kill()
    changed = until(lambda: next((one for one in lab.questions if one.options[-1].ended), None), 10, "the option's end")
    assert (changed.number, str(changed.options[-1])) == (question.number, "Wire, ended")
    assert not any(one.ended for one in changed.options[:-1])
    lab.choose(question, question.options[-1])
    assert outcome(raiser, number) == "TargetInstanceUnavailable"

    # The raiser ends.
    raise_intent(raiser)
    until(lambda: lab.questions, 20, "the question")
    raiser.crash("kill")
    until(lambda: not lab.questions, 10, "the question's end")
    assert lab.last_question.how == "withdrawn"

    # A flood: so many questions at once, and not more.
    raiser.wait_for("running", timeout=30)
    numbers = [raise_intent(raiser) for _ in range(MOST_OF_ONE + 2)]
    assert [outcome(raiser, number) for number in numbers[MOST_OF_ONE:]] == ["ResolverUnavailable"] * 2
    assert len(lab.questions) == MOST_OF_ONE
    assert remarks(lab, f"{MOST_OF_ONE} questions of it are open")

    # The widget is taken away: nobody is left.
    shows(lab, "nobody")
    assert [outcome(raiser, number) for number in numbers[:MOST_OF_ONE]] == ["ResolverUnavailable"] * MOST_OF_ONE
    assert lab.questions == ()


def test_the_notebook_raises_and_handles(platform, apps):
    many = listens(ViewMany="View Many")
    for number in range(MOST_OPTIONS + 1):
        make_app(apps, f"one-{number}", page=None, python="", interop=many)
    lab = platform(apps)
    lab.launch("wire")
    agent = lab.desktop_agent
    # Nobody shows it, and a notebook has no window.
    with pytest.raises(FDC3Error, match="ResolverUnavailable"):
        agent.raise_intent("ViewNews", INSTRUMENT)
    (text,) = until(lambda: remarks(lab, "went nowhere"), 10, "a line in the log")
    assert "its intent ViewNews went nowhere" in text and "nobody could be asked" in text

    # A cell may wait for the very answer that is given beside it.
    def answer(change: Any) -> None:
        if change.new:
            asked.append(change.new[0])
            lab.choose(change.new[0], option(change.new[0], "wire", lab["wire"].instance_id))

    asked: list[IntentQuestion] = []
    shows(lab)
    lab.observe(answer, names="questions")
    assert agent.raise_intent("ViewNews", INSTRUMENT, timeout=60).source.app_id == "wire"
    assert (asked[0].raiser.app_id, asked[0].raiser.place) == ("jupyter", None)
    assert asked[0].raiser.title == agent.get_info().app_metadata.title
    lab.unobserve(answer, names="questions")

    # A choice has its bounds.
    lab.resolver = lambda question: asked.append(question)
    with pytest.raises(FDC3Error, match="UserCancelledResolution"):
        agent.raise_intent("ViewMany", INSTRUMENT)
    assert len(asked[-1].options) == MOST_OPTIONS
    lab.resolver = None

    # As a handler it is an option like others, until it takes no more part.
    agent.add_intent_listener("ViewChart", lambda context, metadata: None)
    raiser = lab.launch("watchlist")
    number = raise_intent(raiser, "ViewChart")
    (question,) = until(lambda: lab.questions, 20, "the question")
    assert str(question.options[-1]) == f"{asked[0].raiser.title}, running"
    lab.choose(question, question.options[-1])
    assert outcome(raiser, number) == ["ViewChart", "jupyter", agent.instance_id]
    number = raise_intent(raiser, "ViewChart")
    until(lambda: lab.questions, 20, "the question")
    agent.close()
    until(lambda: lab.questions[0].options[-1].ended, 20, "the notebook's end to show")
    lab.choose(lab.questions[0], lab.questions[0].options[-1])
    assert outcome(raiser, number) == "TargetInstanceUnavailable"


class Other:
    """A second controller, as another notebook would be."""

    def __init__(self, lab: Any, kind: str) -> None:
        data = json.loads(lab.connection_file.read_text())
        self.open: list[messages.QuestionOpen] = []
        self.closed: list[messages.QuestionClosed] = []
        self.connection = Connection(
            data["port"], data["token"], on_question=self.open.append, on_answer=self.closed.append
        )
        self.connection.ask(messages.OfferResolver, type(None), 5, kind=kind)

    def answer(self, number: int, **fields: Any) -> bool:
        return self.connection.ask(messages.AnswerQuestion, bool, 5, number=number, **fields)


def test_of_several_controllers_the_first_answer_wins(platform, apps):
    lab = platform(apps)
    raiser = lab.launch("watchlist")
    shows(lab)
    other = Other(lab, "shown")
    try:
        number = raise_intent(raiser)
        (question,) = until(lambda: lab.questions, 20, "the question here")
        (there,) = until(lambda: other.open, 20, "the question there")
        assert (there.question.number, there.to) == (question.number, "people")
        assert other.answer(question.number, option=None) is True
        assert outcome(raiser, number) == "UserCancelledResolution"
        assert lab.questions == ()
        assert other.answer(question.number, option=0) is False
        until(lambda: [one.how for one in other.closed] == ["cancelled"], 10, "the news of the end")

        # One goes, the other is still there.
        number = raise_intent(raiser)
        until(lambda: len(other.open) == 2, 20, "the question there")
        shows(lab, "nobody")
        until(lambda: not lab.questions, 10, "the card to go")
        assert raiser.evaluate_js(f"outcomes[{number}]", timeout=20) is None
        # Displayed again, it shows what is open.
        shows(lab, "hidden")
        (question,) = until(lambda: lab.questions, 20, "the question here")
        other.connection.close()
        lab.choose(question, None)
        assert outcome(raiser, number) == "UserCancelledResolution"
    finally:
        other.connection.close()


def test_of_several_functions_one_that_works_is_enough(platform, apps):
    def broken(question: IntentQuestion) -> None:
        raise RuntimeError("out of order")

    lab = platform(apps, resolver=broken)
    raiser = lab.launch("watchlist")
    other = Other(lab, "function")
    try:
        number = raise_intent(raiser)
        (asked,) = until(lambda: other.open, 20, "the question there")
        assert asked.to == "function"
        assert other.answer(asked.question.number, option=None) is True
        assert outcome(raiser, number) == "UserCancelledResolution"
        number = raise_intent(raiser)
        until(lambda: len(other.open) == 2, 20, "the question there")
        assert other.answer(other.open[1].question.number, problem="it was not at home") is True
        assert outcome(raiser, number) == "ResolverUnavailable"
        # It ends with the question in hand.
        number = raise_intent(raiser)
        until(lambda: len(other.open) == 3, 20, "the question there")
        other.connection.close()
        assert outcome(raiser, number) == "ResolverUnavailable"
    finally:
        other.connection.close()


def test_wrong_resolvers_are_refused(platform, apps):
    with pytest.raises(TypeError, match="resolver is a function"):
        platform(apps, resolver="notebook")
    with pytest.raises(ValueError, match="resolver_timeout"):
        platform(apps, resolver_timeout=100)
    lab = platform(apps)
    with pytest.raises(TypeError, match="resolver is a function"):
        lab.resolver = 3
    assert lab.resolver is None
