"""The desktop agent in a real Jupyter kernel: cells that are run again, busy cells, interrupts, `await`."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from support.apps import make_app
from support.processes import until

DEADLINE = 60.0
PAGE = """<!doctype html><meta charset=utf-8><title>page</title><script>
    const ready = fdc3.joinUserChannel("fdc3.channel.1");
    const say = (n) => ready.then(() => fdc3.broadcast({type: "n", n})).then(() => 0);
    let n = 100;
    const keepSaying = () => { setInterval(() => say(n++), 20); return 0; };
</script>"""
SETUP = """
from pathlib import Path
from labplatform import Platform
from labplatform.errors import LabError
import time
folder = Path({folder!r})
lab = Platform(folder, display="offscreen", quiet=True)
alice, agent, heard = lab.launch("alice"), lab.desktop_agent, []
def until(met, seconds=20):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.01)
def hear(context, name):
    heard.append((context["n"], name))
def who_hears(n, count):
    alice.evaluate_js(f"say({{n}})", timeout=20)
    until(lambda: sum(one == n for one, _ in heard) >= count)
    return sorted(name for one, name in heard if one == n)
agent.join_user_channel("fdc3.channel.1")
agent.get_app_metadata(agent.find_instances("jupyter")[0]).title
"""
NEVER = """
import asyncio
async def never(context):
    await asyncio.sleep(600)
agent.add_intent_listener("Never", never)
resolution = agent.raise_intent("Never", {"type": "x"})
asking = folder / "asking"
"""


class Notebook:
    """A kernel and its client; `run` is what a front end does with a cell."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        env = os.environ | {"JPY_SESSION_NAME": "/home/somebody/02_talk.ipynb"}
        self._manager.start_kernel(env=env)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=DEADLINE)

    def begin(self, code: str, cell: str = "") -> str:
        """Send a cell to the kernel; `cell` is its id, where the front end has one."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "user_expressions": {}}
        message = self._client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self._client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def ended(self, request: str) -> tuple[Any, str, str]:
        """Wait until it has run: its value as text, what it wrote, and the name of its error."""
        value, written, error = None, "", ""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the cell did not end within {DEADLINE} s; it wrote {written!r}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "execute_result":
                    value = content["data"]["text/plain"]
                case "stream":
                    written += content["text"]
                case "error":
                    error = content["ename"]
                    written += "\n".join(content["traceback"])
                case "status" if content["execution_state"] == "idle":
                    break
        # A front end sends the next cell once the reply is there as well.
        while self._client.get_shell_msg(timeout=DEADLINE)["parent_header"].get("msg_id") != request:
            pass
        return value, written, error

    def run(self, code: str, cell: str = "") -> str:
        """Run a cell and return its value as text. Fails if it raises."""
        value, written, error = self.ended(self.begin(code, cell))
        assert not error, written
        return value

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=False)


@pytest.fixture
def notebook(nothing_left) -> Iterator[Notebook]:
    notebook = Notebook()
    yield notebook
    notebook.close()


def test_cells_that_are_run_again_busy_cells_interrupts_and_await(notebook, tmp_path: Path):
    make_app(tmp_path, "alice", page=PAGE)
    assert notebook.run(SETUP.format(folder=str(tmp_path))) == "'02_talk.ipynb'", "its title is the notebook's name"

    # A cell that is run again replaces what it added; another cell's stays; one cell may add several.
    listens = "for name in 'ab': agent.add_context_listener('n', lambda context, name=name: hear(context, name))"
    for _ in range(3):
        notebook.run(listens, "cell-1")
    assert notebook.run("who_hears(1, 2)") == "['a', 'b']"
    for _ in range(2):
        notebook.run("agent.add_intent_listener('Ask', lambda context: {'type': 'answer'})", "cell-2")
    notebook.run(listens, "cell-3")
    assert notebook.run("len(agent.listeners)") == "5"
    assert notebook.run("who_hears(2, 4)") == "['a', 'a', 'b', 'b']"
    notebook.run("for listener in agent.listeners: listener.unsubscribe()")
    # Without a front end that says which cell it is, nothing is taken for a repetition.
    for _ in range(2):
        notebook.run("agent.add_context_listener('n', lambda context: hear(context, 'c'))")
    assert notebook.run("who_hears(3, 2)") == "['c', 'c']"
    notebook.run("agent.listeners[0].unsubscribe()")

    # Handlers run while a cell is busy, and are on time.
    notebook.run("heard.clear(); alice.evaluate_js('keepSaying()', timeout=20); until(lambda: heard)")
    busy = "before = len(heard)\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nlen(heard) - before"
    assert int(notebook.run(busy)) > 5

    # Interrupted: the cell ends at once, nothing is left of the call, and the next one works.
    notebook.run(NEVER)
    request = notebook.begin("asking.touch(); resolution.get_result(timeout=50)")
    until((tmp_path / "asking").exists, DEADLINE, "the call to begin")
    notebook.interrupt()
    _, written, error = notebook.ended(request)
    assert error == "KeyboardInterrupt", written
    assert notebook.run("agent._client._waiting") == "{}"
    assert notebook.run("agent.find_instances('jupyter')[0].instance_id == agent.instance_id") == "True"
    assert notebook.run("before = len(heard); until(lambda: len(heard) > before); lab.state") == "'running'"

    # Awaited, on the notebook's own event loop, together.
    together = "[a.id for a in (await asyncio.gather(agent.aio.get_user_channels(), agent.aio.get_info()))[0]][:2]"
    assert notebook.run(together) == "['fdc3.channel.1', 'fdc3.channel.2']"
    assert notebook.run("lab.stop(); lab.state") == "'stopped'"
