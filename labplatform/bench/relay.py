"""The floor: a bare WebSocket relay, a process of its own. Decodes each message's envelope, touches no payload.

It knows no channels, sessions, bounds or answers: each text goes to all the other connections as it is.
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve

from .. import dacp


async def main() -> None:
    """Print the port; end with standard input."""
    connections: set[ServerConnection] = set()

    async def relay(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            async for text in connection:
                dacp.read_envelope(text)
                for other in connections:
                    if other is not connection:
                        await other.send(text)
        finally:
            connections.discard(connection)

    async with serve(relay, "127.0.0.1", 0, compression=None, ping_interval=None, max_queue=64) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
