"""A notebook's kernel answers each request of a page, also one that came while it sent a reply."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from support.processes import Ground

REQUESTS = 600
"""Of kernels that nobody looks after, one in about thirty loses a request that is asked as these are."""
ANSWER = 10.0


@pytest.fixture
def client(tmp_path: Path, nothing_left: Ground) -> Iterator[BlockingKernelClient]:
    kernel = KernelManager(kernel_name="python3", connection_file=str(tmp_path / "kernel.json"))
    kernel.start_kernel(env=os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}, cwd=str(tmp_path))
    try:
        client = kernel.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        yield client
        client.stop_channels()
    finally:
        kernel.shutdown_kernel(now=True)
        kernel.cleanup_resources()


def test_no_request_is_left_lying(client: BlockingKernelClient) -> None:
    said = client.execute_interactive(
        "import threading, labplatform\nbefore = threading.active_count()\n"
        "two = [labplatform.Platform(quiet=True) for _ in range(2)]\nassert threading.active_count() == before",
        timeout=60,
        output_hook=lambda message: None,
    )
    assert said["content"]["status"] == "ok", said["content"]
    chance = random.Random(1)
    socket = client.shell_channel.socket
    asked = answered = 0

    def take(milliseconds: int) -> int:
        taken = 0
        while socket.poll(0 if taken else milliseconds):
            socket.recv_multipart()
            taken += 1
        return taken

    while asked < REQUESTS:
        for _ in range(chance.randint(1, 6)):
            client.session.send(socket, "kernel_info_request")
            asked += 1
            time.sleep(chance.random() * 0.003)
            answered += take(0)
        deadline = time.monotonic() + ANSWER
        while answered < asked:
            assert time.monotonic() < deadline, f"{asked - answered} of {asked} requests got no answer"
            answered += take(100)
