"""Choosing between apps from here: by a function of the user's, or by people in front of a notebook. Kernel.

The supervisor decides who is asked (its `resolving` has the rule); this says what can be asked here, keeps the
questions that are open, and sends the answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple

from .. import messages as m

Resolver = Callable[[m.IntentQuestion], "m.IntentOption | None"]
"""Chooses one of the question's options; `None` is "cancelled by the user"."""

_STRENGTH: tuple[m.ResolverKind, ...] = ("nobody", "hidden", "shown", "function")


class Outcome(NamedTuple):
    """How a question ended: "chosen" with an `option`, "cancelled", "withdrawn" by its raiser's end or the deadline, or
    "failed" because nobody was left to answer.
    """

    question: m.IntentQuestion
    how: Literal["chosen", "cancelled", "withdrawn", "failed"]
    option: m.IntentOption | None


class Resolving:
    """What one platform's controller does about questions."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._lock = threading.RLock()
        self._function: Resolver | None = None
        self._displays: dict[Hashable, m.ResolverKind] = {}
        self._offered: m.ResolverKind = "nobody"
        self._for_people: dict[int, m.IntentQuestion] = {}
        self._for_function: dict[int, m.IntentQuestion] = {}

    # --- what can be asked here

    @property
    def function(self) -> Resolver | None:
        """The user's function, if there is one. Raises `TypeError` when set to what cannot be called."""
        return self._function

    @function.setter
    def function(self, function: Resolver | None) -> None:
        if function is not None and not callable(function):
            raise TypeError(f"resolver is a function of one argument, or None; not {function!r}")
        with self._lock:
            self._function = function
            self._offer()

    def display(self, widget: Hashable, kind: Literal["nobody", "hidden", "shown"]) -> None:
        """A widget is on somebody's screen, out of sight, or displayed no more."""
        with self._lock:
            self._displays.pop(widget, None)
            if kind != "nobody":
                self._displays[widget] = kind
            self._offer()

    def connected(self) -> None:
        """There is a new connection, whose other end knows nothing of this yet."""
        with self._lock:
            self._offered = "nobody"
            self._offer()

    def _offer(self) -> None:
        ways = {"nobody", *self._displays.values(), *(["function"] if self._function else [])}
        strongest = max(ways, key=_STRENGTH.index)
        connection = self._platform._connection
        if strongest == self._offered or connection is None:
            return
        self._offered = strongest
        connection.tell(m.OfferResolver, kind=strongest)
        if strongest == "nobody":
            self._for_people.clear()
            self._show()

    # --- what is asked; on the connection's thread

    def opened(self, message: m.QuestionOpen) -> None:
        """A question, or one that is known, changed."""
        question = message.question
        with self._lock:
            if message.to == "people":
                if self._offered != "nobody":
                    self._for_people[question.number] = question
                    self._show()
                return
            queued = question.number in self._for_function
            self._for_function[question.number] = question
        if not queued:
            self._platform._observers.submit(lambda: self._call(question.number))

    def closed(self, message: m.QuestionClosed) -> None:
        """A question is over."""
        with self._lock:
            self._for_function.pop(message.number, None)
            question = self._for_people.pop(message.number, None)
            if question is not None:
                option = None if message.option is None else question.options[message.option]
                # First how it ended, for who sees it gone asks that next.
                self._platform.set_trait("last_question", Outcome(question, message.how, option))
                self._show()

    def ended(self) -> None:
        """The platform is over, and its questions with it."""
        with self._lock:
            self._for_function.clear()
            self._for_people.clear()
            self._show()

    def _show(self) -> None:
        questions = tuple(self._for_people.values())
        if questions != self._platform.questions:
            self._platform.set_trait("questions", questions)

    # --- answers

    def _call(self, number: int) -> None:
        """Let the user's function choose; on the observers' thread."""
        with self._lock:
            question, function = self._for_function.get(number), self._function
        if question is None:
            return  # over before its turn came
        try:
            if function is None:
                raise LookupError("it has been taken away")
            option = _index(question, function(question))
        except BaseException as error:
            self._answer(number, None, f"the resolver function raised {type(error).__name__}: {error}"[:1000])
            raise
        self._answer(number, option)

    def choose(self, question: m.IntentQuestion, option: m.IntentOption | None) -> None:
        """Answer a question. Raises `TypeError`, `ValueError` for what is none of its options."""
        self._answer(question.number, _index(question, option))

    def _answer(self, number: int, option: int | None, problem: str = "") -> None:
        connection = self._platform._connection
        if connection is not None:
            connection.tell(m.AnswerQuestion, number=number, option=option, problem=problem)


def _index(question: m.IntentQuestion, choice: Any) -> int | None:
    """Which of a question's options was chosen, whatever has become of it since."""
    if choice is None:
        return None
    if not isinstance(choice, m.IntentOption):
        raise TypeError(f"expected one of the question's options, or None to cancel; got {choice!r}"[:500])
    key = (choice.intent, choice.app_id, choice.instance_id)
    for index, option in enumerate(question.options):
        if (option.intent, option.app_id, option.instance_id) == key:
            return index
    raise ValueError(f"{choice!r} is none of the options of {question!r}")
