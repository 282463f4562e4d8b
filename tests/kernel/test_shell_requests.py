"""A notebook's kernel answers each request of a page, also one that came while it sent a reply."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from support.processes import Ground

BINDER = Path(__file__).parents[2] / "binder"
REQUESTS = 600
"""Of kernels that nobody looks after, one in about thirty loses a request that is asked as these are."""
ANSWER = 10.0

TO_MAKE = """import threading, labplatform
before = threading.active_count()
two = [labplatform.Platform(quiet=True) for _ in range(2)]
assert threading.active_count() == before"""


@pytest.fixture(params=["by a platform", "from its start"])
def client(request: pytest.FixtureRequest, tmp_path: Path, nothing_left: Ground) -> Iterator[BlockingKernelClient]:
    """Of a kernel that is looked after."""
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    if request.param == "from its start":
        shutil.copy(BINDER / "ipython_kernel_config.json", profile)
    else:
        # What binder/setup has put into this environment would see to it before there is a platform.
        (profile / "ipython_kernel_config.json").write_text('{"InteractiveShellApp": {"extensions": []}}')
    kernel = KernelManager(kernel_name="python3", connection_file=str(tmp_path / "kernel.json"))
    kernel.start_kernel(env=os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}, cwd=str(tmp_path))
    try:
        client = kernel.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        if request.param == "by a platform":
            said = client.execute_interactive(TO_MAKE, timeout=60, output_hook=lambda message: None)
            assert said["content"]["status"] == "ok", said["content"]
        yield client
        client.stop_channels()
    finally:
        kernel.shutdown_kernel(now=True)
        kernel.cleanup_resources()


def test_no_request_is_left_lying(client: BlockingKernelClient) -> None:
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
