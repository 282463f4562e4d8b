"""A page's session: what arrives over many connections, in any order of sending, losing, reading and returning."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labplatform import messages as m
from labplatform.supervisor.peer import CLOSE_SLOW, QUEUED_BYTES, SLOW
from labplatform.supervisor.session import ACKNOWLEDGE_AFTER, ACKNOWLEDGE_BYTES, KEPT_BYTES, KEPT_MESSAGES, Session

WELCOME = m.Welcome(place="list", instance="i", app_id="list")


class Wire:
    """The supervisor's end of one connection, with what was put into it."""

    def __init__(self) -> None:
        self.cut_off = ""
        self.words: list[Any] = []
        self.data: list[bytes] = []
        self.closed_with: int | None = None

    def send(self, word: Any) -> None:
        self.words.append(word)

    def send_bytes(self, data: bytes) -> None:
        assert not self.cut_off or self.closed_with
        self.data.append(data)

    def cut(self, reason: str, code: int) -> None:
        self.cut_off, self.closed_with = reason, code


class Page:
    """The other end: reads as much of the wire as it is told to, and counts."""

    def __init__(self) -> None:
        self.session = Session("document", lambda: self.away.append("missed"))
        self.away: list[str] = []
        self.heard: list[bytes] = []
        self.received = 0
        self.missed = 0
        self.wire: Wire | None = None
        self.read = 0

    def connect(self) -> m.Welcome:
        self.wire, self.read = Wire(), 0
        self.session.connect(self.wire, WELCOME, self.received, 0)
        welcome = self.wire.words[0]
        self.missed += welcome.sent - self.received
        self.received = welcome.sent
        return welcome

    def take(self, count: int) -> None:
        found = self.wire.data[self.read : self.read + count] if self.wire else []
        self.heard += found
        self.read += len(found)
        self.received += len(found)

    def lose(self) -> None:
        if self.wire:
            self.session.disconnect(self.wire)
            self.wire = None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 30)),
        st.tuples(st.just("take"), st.integers(1, 30)),
        st.sampled_from([("ack", 0), ("lose", 0), ("connect", 0)]),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_each_message_arrives_once_and_in_order(steps):
    page, sent = Page(), 0
    for what, count in steps:
        if what == "send":
            for _ in range(count):
                page.session.send(b"%d" % sent)
                sent += 1
        elif what == "take":
            page.take(count)
        elif what == "ack":
            page.session.acknowledged(page.received)
        elif what == "lose":
            page.lose()
        else:
            page.connect()
    page.connect()
    page.take(sent)
    assert page.heard == [b"%d" % n for n in range(sent)]
    assert (page.missed, page.away) == (0, [])
    page.session.acknowledged(page.received)
    page.connect()
    assert page.wire.data == [], "what was acknowledged is not kept"


def test_who_never_reads_is_cut_off_and_told_how_much_it_missed():
    page = Page()
    page.connect()
    wire, big = page.wire, b"x" * (1 << 20)
    fitting = KEPT_BYTES >> 20
    for _ in range(fitting):
        page.session.send(big)
    assert not wire.cut_off
    page.session.send(big)
    assert (wire.cut_off, wire.closed_with) == (SLOW, CLOSE_SLOW)
    page.session.send(b"missed as well")
    page.lose()
    welcome = page.connect()
    assert (welcome.cut_off, page.missed) == (SLOW, fitting + 2)
    page.session.send(b"next")
    page.take(10)
    assert page.heard == [b"next"]
    page.lose()
    assert page.connect().cut_off == "", "it is told once"


def test_a_page_that_is_away_too_long_misses_all_and_learns_it():
    page = Page()
    page.connect()
    page.lose()
    for _ in range(KEPT_MESSAGES):
        page.session.send(b"x")
    assert page.away == []
    page.session.send(b"x")
    page.session.send(b"x")
    assert page.away == ["missed"]
    assert page.connect().cut_off == SLOW
    assert page.missed == KEPT_MESSAGES + 2


def test_what_is_kept_can_be_sent_again_at_once():
    page = Page()
    for _ in range(KEPT_BYTES >> 20):
        page.session.send(b"x" * (1 << 20))
    page.connect()
    assert sum(map(len, page.wire.data)) <= QUEUED_BYTES["page"]


def test_a_client_that_keeps_no_count_gets_nothing_twice():
    session = Session("", lambda: None)
    first, second = Wire(), Wire()
    session.connect(first, WELCOME, 0, 0)
    for _ in range(KEPT_MESSAGES + 1):
        session.send(b"x")
    assert not first.cut_off
    session.connect(second, WELCOME, 0, 0)
    assert second.data == []


def test_what_the_page_said_is_acknowledged_by_number_and_by_size():
    page = Page()
    page.connect()
    for _ in range(ACKNOWLEDGE_AFTER):
        page.session.took(10)
    page.session.took(ACKNOWLEDGE_BYTES)
    page.session.took(10)
    assert page.wire.words[1:] == [m.Ack(received=ACKNOWLEDGE_AFTER), m.Ack(received=ACKNOWLEDGE_AFTER + 1)]
    assert page.session.tell() == ACKNOWLEDGE_AFTER + 2


def test_what_the_page_gave_up_is_not_waited_for():
    page = Page()
    page.connect()
    page.session.took(1)
    wire = Wire()
    page.session.connect(wire, WELCOME, 0, 5)
    assert wire.words[0].received == 1, "the page learns that four did not arrive"
    page.session.took(1)
    assert page.session.tell() == 6


def test_a_page_may_claim_what_it_likes():
    page = Page()
    page.connect()
    page.session.send(b"one")
    page.session.acknowledged(1 << 60)
    page.session.acknowledged(0)
    page.session.send(b"two")
    page.session.connect(Wire(), WELCOME, 1 << 60, 1 << 60)
    page.session.took(1)
    assert page.session.received == (1 << 60) + 1
