"""One `evaluate_js` under way: run, wait for the promise, answer the supervisor. Runs on the host's GUI thread."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec
from PySide6.QtCore import QTimer

from ... import messages as m
from .. import evaluate

POLL_FIRST, POLL_LAST = 4, 50
"""Milliseconds between looks at an unsettled promise: the first wait, doubling to the last."""


class Evaluation:
    """Code in a page, on its way to a value. `alive` says whether the page is still the one it began in."""

    def __init__(
        self, page: Any, order: m.HostEvaluate, send: Callable[[Any], None], alive: Callable[[], bool]
    ) -> None:
        self._page, self._order, self._send, self._alive = page, order, send, alive
        self._key = f"__{secrets.token_hex(8)}"
        self._deadline = time.monotonic() + order.timeout
        self._wait = POLL_FIRST
        self.begun = False
        """Whether the page has said anything yet. One that navigates first never will: Qt drops the call."""

    def start(self) -> None:
        """Run the code; the answer goes to the supervisor when there is one."""
        self._run(evaluate.first_try(self._order.code, self._key), self._take)

    def _run(self, code: str, then: Callable[[Any], None]) -> None:
        self._page.runJavaScript(code, 0, then)

    def lost(self) -> None:
        """The page it was meant for has gone."""
        if not self.begun:
            self.begun = True
            self._refuse("the page navigated away before the code could run", "Error")

    def _take(self, text: Any) -> None:
        self.begun = True
        try:
            self._answer(text)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            self._refuse(f"its value cannot be sent: {error}", type(error).__name__)

    def _answer(self, text: Any) -> None:
        done = evaluate.outcome(text)
        if "value" in done:
            value = msgspec.Raw(m.encode(done["value"]))
            self._send(m.HostResult(request=self._order.request, value=value))
        elif "error" in done:
            error = done["error"]
            self._refuse(f"{error['name']}: {error['message']}", error["name"], error["stack"])
        elif "pending" in done or text == "":
            self._look_again()
        elif "blocked" in done:
            self._run(evaluate.as_expression(self._order.code, self._key), self._take_expression)
        elif "lost" in done:
            self._refuse("the page navigated away before the promise settled", "Error")
        else:
            self._refuse("the code could not be compiled, or the page went away", "SyntaxError")

    def _take_expression(self, text: Any) -> None:
        if "nothing" in evaluate.outcome(text):
            self._refuse(
                "the page's content security policy forbids eval, so the code must be one JavaScript expression",
                "SyntaxError",
            )
        else:
            self._take(text)

    def _look_again(self) -> None:
        if time.monotonic() < self._deadline and self._alive():
            QTimer.singleShot(self._wait, lambda: self._alive() and self._run(evaluate.collect(self._key), self._take))
            self._wait = min(self._wait * 2, POLL_LAST)

    def _refuse(self, message: str, name: str, stack: str = "") -> None:
        place = self._order.place
        self._send(
            m.HostResult(
                request=self._order.request,
                error="JavaScriptError",
                message=f"{place}: {message}",
                detail={"app": place, "name": name, "stack": stack},
            )
        )
