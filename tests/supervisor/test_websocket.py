"""One WebSocket of the supervisor's, on a loop of the test's own."""

from __future__ import annotations

import asyncio

from support.wire import Raw
from websockets.asyncio.server import serve

from labplatform.supervisor.websocket import Connection

DEADLINE = 20


def test_who_sends_without_a_pause_lets_others_have_their_turn():
    """What was read at once is looked at in parts, and between them the loop does what else is to be done."""
    count, text = 2000, b"x" * 500
    turns: list[int] = []

    async def play() -> None:
        loop, turn, done = asyncio.get_running_loop(), 0, asyncio.Event()

        def tick() -> None:
            nonlocal turn
            turn += 1
            if not done.is_set():
                loop.call_soon(tick)

        def take(message: str | bytes) -> None:
            assert message == text.decode()
            turns.append(turn)
            if len(turns) == count:
                done.set()

        async def served(connection: Connection) -> None:
            assert await connection.first == "first"
            connection.listen(take)
            tick()
            await connection.wait_closed()

        async with serve(served, "127.0.0.1", 0, create_connection=Connection, compression=None) as server:

            def flood() -> None:
                with Raw(server.sockets[0].getsockname()[1]).upgrade() as raw:
                    send, together = raw.send, []
                    raw.send = together.append
                    raw.frame(b"first")
                    for _ in range(count):
                        raw.frame(text)
                    send(b"".join(together))
                    asyncio.run_coroutine_threadsafe(done.wait(), loop).result(DEADLINE)

            await asyncio.wait_for(asyncio.to_thread(flood), DEADLINE)

    asyncio.run(play())
    assert len(turns) == count
    assert max(turns.count(turn) for turn in set(turns)) <= 100
