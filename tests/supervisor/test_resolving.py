"""Questions: what of a context people see, and who is asked no more."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from labplatform.dacp import AppIdentifier, encode
from labplatform.errors import LabError
from labplatform.fdc3.types import AppIntent, AppMetadata, IntentMetadata
from labplatform.supervisor.fdc3.desk import Question
from labplatform.supervisor.peer import Peer
from labplatform.supervisor.resolving import ABOUT_LENGTH, BEHIND, BEHIND_BYTES, NOBODY, Resolving, about


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


class Unread(Peer):
    """A controller that reads nothing."""

    def _wake(self) -> None:
        pass


@pytest.mark.parametrize("kind", ["function", "shown"])
def test_a_controller_that_does_not_read_is_asked_no_more(kind):
    """Apps that ask on and on, each time about a large context, must not have it cut off."""
    nothing = SimpleNamespace(manifest=lambda app_id: None, app=lambda app_id: None)
    log, order = SimpleNamespace(remark=lambda *_, **__: None), SimpleNamespace(qt_platform="offscreen")
    platform = SimpleNamespace(desk=nothing, log=log, order=order, notebooks={}, slot_of=lambda instance_id: None)
    context = msgspec.Raw(encode({"type": "x", "text": "x" * (1 << 20)}))
    option = AppIntent(intent=IntentMetadata(name="Look"), apps=(AppMetadata(app_id="one"), AppMetadata(app_id="two")))

    async def ask_on() -> None:
        resolving, peer = Resolving(platform, 60), Unread("a controller", "controller")

        def asked(number: int) -> asyncio.Task:
            raiser = AppIdentifier("raiser", f"raiser-{number}")
            return asyncio.ensure_future(resolving(Question(raiser=raiser, context=context, options=(option,))))

        with pytest.raises(LabError, match=NOBODY[:20]):
            await asked(0)
        resolving.offer(peer, kind)
        questions = [asked(number) for number in range(40)]
        await asyncio.wait({questions[-1]})
        open_still = [question for question in questions if not question.done()]
        assert {str(question.exception()) for question in questions if question.done()} == {BEHIND}
        assert len(open_still) == BEHIND_BYTES // (1 << 20) and not peer.cut_off
        resolving.close()
        await asyncio.wait(open_still)
        assert all("is being stopped" in str(question.exception()) for question in open_still)

    asyncio.run(asyncio.wait_for(ask_on(), 20))
