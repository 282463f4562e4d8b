"""What waits for a peer, and how it goes: a page gets messages together, one a line, and in order."""

from __future__ import annotations

import pytest

from labplatform import messages as m
from labplatform.supervisor.peer import FRAME_BYTES, QUEUED_BYTES, SLOW, Peer


class Slow(Peer):
    """A peer whose carrier takes what waits when the test says so."""

    def _wake(self) -> None:
        pass

    def take(self) -> list[bytes]:
        frames = []
        while self._queue:
            frames.append(self._frame())
        return frames


def broadcast(size: int, what: str = "Event") -> bytes:
    return b'{"type":"broadcast%s",' % what.encode() + b"x" * size + b"}"


def test_a_page_gets_together_what_waits_up_to_a_bound():
    peer = Slow("a page", "page")
    peer.send_bytes(broadcast(1))
    assert peer.take() == [broadcast(1)]
    half, largest = broadcast(FRAME_BYTES // 2), broadcast(2 * FRAME_BYTES)
    sent = [broadcast(1), broadcast(2, "Response"), half, half, broadcast(3), largest, broadcast(4), broadcast(5)]
    for data in sent:
        peer.send_bytes(data)
    assert peer.backlog == sum(map(len, sent))
    frames = peer.take()
    assert [frame.split(b"\n") for frame in frames] == [sent[:3], sent[3:5], sent[5:6], sent[6:]]
    assert peer.backlog == 0


def test_an_answer_that_code_waits_for_goes_alone():
    """That code may be about to listen to what comes behind it."""
    peer = Slow("a page", "page")
    sent = [
        broadcast(1),
        b'{"type":"addContextListenerResponse"}',
        broadcast(2),
        m.encode(m.Ack(received=7)),
        broadcast(3),
    ]
    for data in sent:
        peer.send_bytes(data)
    assert [frame.split(b"\n") for frame in peer.take()] == [sent[:1], sent[1:2], sent[2:]]


def test_a_controller_gets_each_message_by_itself():
    peer = Slow("a controller", "controller")
    for data in (b"one", b"two"):
        peer.send_bytes(data)
    assert peer.take() == [b"one", b"two"]


@pytest.mark.parametrize("role", ["page", "controller"])
def test_who_never_takes_anything_is_cut_off(role):
    peer = Slow("somebody", role)
    most, big = QUEUED_BYTES[role], b"x" * (1 << 20)
    for _ in range((most >> 20) + 1):
        peer.send_bytes(big)
    assert not peer.cut_off
    peer.send_bytes(b"one more")
    assert (peer.cut_off, peer.backlog, peer.take()) == (SLOW, 0, [])
