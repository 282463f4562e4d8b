"""What waits for a peer, and how it goes: a page gets messages together, one a line, and in order."""

from __future__ import annotations

import pytest

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


def test_a_page_gets_together_what_waits_up_to_a_bound():
    peer = Slow("a page", "page")
    peer.send_bytes(b"alone")
    assert peer.take() == [b"alone"]
    large, largest = b"x" * (FRAME_BYTES // 2), b"y" * (2 * FRAME_BYTES)
    sent = [b"one", b"two", large, large, b"three", largest, b"four", b"five"]
    for data in sent:
        peer.send_bytes(data)
    assert peer.backlog == sum(map(len, sent))
    frames = peer.take()
    assert [frame.split(b"\n") for frame in frames] == [sent[:3], sent[3:5], sent[5:6], sent[6:]]
    assert peer.backlog == 0


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
