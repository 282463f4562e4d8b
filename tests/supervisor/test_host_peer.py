"""The supervisor's end of the bridge: what may be on its way to a page through its host, and how that ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from labplatform import messages as m
from labplatform.manifest import parse_manifest
from labplatform.supervisor.bridge import Bridges
from labplatform.supervisor.peer import CLOSE_GONE, CLOSE_REPLACED, QUEUED_BYTES, SLOW
from labplatform.supervisor.slot import Slot

MANIFEST = parse_manifest({"startup_app": {"uuid": "list", "name": "List", "url": "index.html"}})


class Router:
    """What a page's words come to."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def connect(self, app_id: str, instance: str, send: Any) -> None:
        self.send = send

    def forget_listeners(self, instance: str) -> None:
        """Not of interest."""

    def receive(self, instance: str, data: str) -> None:
        self.heard.append(data)


class Ground:
    """A platform with one place, and its host's end of the line."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.words: list[Any] = []
        self.router = Router()
        self.slot = Slot("list", MANIFEST)
        log = SimpleNamespace(remark=lambda text, **_: self.remarks.append(text))
        nothing = lambda *_: None  # noqa: E731
        self.bridges = Bridges(SimpleNamespace(log=log, router=self.router, ready_if_so=nothing, join_channel=nothing))
        self.host = SimpleNamespace(send=self.words.append)

    def say(self, kind: type, **fields: Any) -> None:
        """A word of the host's."""
        self.bridges.take(self.slot, self.host, kind(place="list", incarnation=0, **fields))

    async def open(self, connection: str = "one", **hello: Any) -> m.Welcome:
        self.words.clear()
        self.say(m.BridgeOpened, hello=m.PageHello(connection=connection, session="document", **hello))
        await asyncio.sleep(0)
        welcome = next(word for word in self.words if isinstance(word, m.BridgeSend))
        return m.decode(welcome.frame.splitlines()[0], m.Welcome)

    @property
    def loads(self) -> list[m.BridgeSend]:
        return [word for word in self.words if isinstance(word, m.BridgeSend)]


def test_only_so_much_is_on_its_way_and_the_rest_follows_in_order():
    async def run() -> None:
        ground = Ground()
        await ground.open()
        ground.words.clear()
        # An answer goes alone, so each of these is a load.
        sent = [b'{"type":"answer","n":%d}' % n for n in range(3 * m.LOADS)]
        for data in sent:
            ground.router.send(data)
        await asyncio.sleep(0)
        # The welcome is the first on its way.
        assert len(ground.loads) == m.LOADS - 1
        await asyncio.sleep(0)
        assert len(ground.loads) == m.LOADS - 1
        while len(ground.loads) < len(sent):
            before = len(ground.loads)
            ground.say(m.BridgeTaken, connection="one", loads=m.LOADS_TAKEN)
            await asyncio.sleep(0)
            assert before < len(ground.loads) <= before + m.LOADS_TAKEN
        assert [load.frame.encode() for load in ground.loads] == sent
        assert {load.connection for load in ground.loads} == {"one"}

    asyncio.run(run())


def test_what_comes_is_taken_and_its_sender_told():
    async def run() -> None:
        ground = Ground()
        await ground.open()
        ground.words.clear()
        said = [f'{{"type":"request","n":{n}}}' for n in range(2 * m.LOADS_TAKEN + 1)]
        for text in said:
            ground.say(m.BridgeSaid, connection="one", frames=(text, f"{text}\n{text}"))
        assert ground.router.heard == [text for text in said for _ in range(3)]
        assert [word.loads for word in ground.words if isinstance(word, m.BridgeTaken)] == [m.LOADS_TAKEN] * 2
        ground.say(m.BridgeSaid, connection="another", frames=(said[0],))
        assert len(ground.router.heard) == 3 * len(said), "of a connection that is not open"

    asyncio.run(run())


def test_a_newer_connection_replaces_the_older_and_the_session_goes_on():
    async def run() -> None:
        ground = Ground()
        await ground.open()
        ground.say(m.BridgeSaid, connection="one", frames=('{"type":"request"}',))
        ground.router.send(b'{"type":"answer"}')
        welcome = await ground.open("two", received=0)
        assert (welcome.received, welcome.sent) == (1, 0)
        assert m.BridgeClose(place="list", connection="one", code=CLOSE_REPLACED) in ground.words
        assert "answer" in "".join(load.frame for load in ground.loads), "it was not acknowledged"
        ground.say(m.BridgeSaid, connection="one", frames=('{"type":"late"}',))
        ground.say(m.BridgeSaid, connection="two", frames=('{"type":"request"}',))
        assert ground.router.heard == ['{"type":"request"}'] * 2
        assert ground.remarks == []

    asyncio.run(run())


def test_its_ends():
    async def run() -> None:
        ground = Ground()
        await ground.open(why="the page's security policy forbids it")
        assert ground.remarks == ["its page is connected through its host: the page's security policy forbids it"]
        # The page has gone.
        ground.say(m.BridgeClosed, connection="one")
        assert ground.slot.page is None and len(ground.remarks) == 1
        # Its host has cut it off.
        await ground.open("two")
        ground.say(m.BridgeClosed, connection="two", problem="a message was over the limit")
        assert ground.slot.page is None
        assert ground.remarks.pop() == "the page of list was cut off: a message was over the limit"
        # What it said was not understood.
        await ground.open("three")
        ground.say(m.BridgeSaid, connection="three", frames=("nonsense", '{"type":"request"}'))
        await asyncio.sleep(0)
        assert ground.slot.page is None and ground.router.heard == []
        assert ground.words[-1] == m.BridgeClose(place="list", connection="three", code=4000)
        # Its instance has ended.
        await ground.open("four")
        ground.slot.page.cut("this instance has ended", CLOSE_GONE)
        await asyncio.sleep(0)
        assert ground.words[-1].code == CLOSE_GONE and ground.slot.page is None
        # It does not read.
        await ground.open("five")
        big = b"x" * (1 << 20)
        for _ in range(QUEUED_BYTES["page"] >> 20):
            ground.router.send(big)
        await asyncio.sleep(0)
        assert ground.slot.page is None and ground.remarks[-1] == f"the page of list was cut off as a {SLOW}"
        assert sum(len(load.frame) for load in ground.loads) <= m.LOADS * len(big)
        assert (await ground.open("six")).cut_off == SLOW

    asyncio.run(run())
