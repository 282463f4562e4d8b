"""FDC3's Python side against the real router, without processes: each agent an instance, every message checked."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.fdc3 import World

from labplatform.errors import SupervisorLost
from labplatform.fdc3.agent import DesktopAgent
from labplatform.fdc3.client import Client
from labplatform.fdc3.handlers import Bounds, Handlers

OURS = [{"error": "IntentHandlerRejected"}, {"error": "NoResultReturned"}]
"""What FDC3's schemas do not know of our messages."""


class Agent(DesktopAgent):
    """A desktop agent whose transport is a function call. `said`: what it sent; `reports`: what a person would read.

    `held`: answers and events are kept back in it, instead of received, while it is a list.
    """

    def __init__(self, stage: Stage, app_id: str, bounds: Bounds | None, options: dict[str, Any]) -> None:
        self.stage, self.app_id = stage, app_id
        self.instance_id = ""
        self.said: list[dict[str, Any]] = []
        self.reports: list[str] = []
        self.held: list[bytes] | None = None
        self.gone = False
        self.handlers = Handlers("labplatform-test", self.reports.append, bounds=bounds)
        super().__init__(Client(self._send, self.handlers, **options))
        self.appear()

    def appear(self) -> None:
        """Be connected, as a new instance."""
        self.stage.count += 1
        self.instance_id = f"{self.app_id}-{self.stage.count}"
        self.stage.world.router.connect(self.app_id, self.instance_id, self._receive)

    def disappear(self) -> None:
        """The connection ends."""
        with self.stage.lock:
            self.stage.world.router.disconnect(self.instance_id)

    def release(self) -> None:
        """What was held back arrives."""
        held, self.held = self.held or [], None
        for data in held:
            self._client.receive(data)

    def requests(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of its requests of one kind."""
        return [message["payload"] for message in self.said if message["type"] == kind]

    def settle(self) -> None:
        """Wait until every handler that was due before has run."""
        pause = threading.Event()
        self._client.receive(
            json.dumps(
                {
                    "type": "heartbeatEvent",
                    "meta": {"eventUuid": "settle", "timestamp": "2025-01-01T00:00:00Z"},
                    "payload": {},
                }
            ).encode()
        )
        for _ in range(500):
            if {"heartbeatEventUuid": "settle"} in self.requests("heartbeatAcknowledgementRequest"):
                self.said = [message for message in self.said if message["payload"].get("heartbeatEventUuid") is None]
                return
            pause.wait(0.01)
        raise AssertionError("a handler did not return within 5 s")

    def _send(self, data: bytes) -> None:
        if self.gone:
            raise SupervisorLost("the connection is closed")
        message = json.loads(data)
        self.said.append(message)
        if message["payload"].get("heartbeatEventUuid") == "settle":
            return
        if self.stage.world.schemas:
            checked = copy.deepcopy(message)
            if checked["payload"].get("intentResult") in OURS:
                checked["payload"]["intentResult"] = {}
            self.stage.world.schemas.check(checked)
        with self.stage.lock:
            self.stage.world.router.receive(self.instance_id, data)

    def _receive(self, data: bytes) -> None:
        if self.stage.world.schemas:
            self.stage.world.schemas.check(json.loads(data))
        if self.held is None:
            self._client.receive(data)
        else:
            self.held.append(data)


class Stage:
    """A router and agents that share it. The router knows one thread, so a lock stands for its event loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.count = 0
        self.agents: list[Agent] = []

    def agent(self, app_id: str, bounds: Bounds | None = None, **options: Any) -> Agent:
        """One more, of this app."""
        self.agents.append(Agent(self, app_id, bounds, options))
        return self.agents[-1]


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    stage = Stage(world)
    yield stage
    for agent in stage.agents:
        agent.handlers.close()


@pytest.fixture
def pair(stage: Stage) -> tuple[Agent, Agent]:
    """Two agents of two apps, neither of which the directory knows."""
    return stage.agent("one"), stage.agent("two")


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until something holds, for at most 5 s."""

    def wait(met: Callable[[], Any], what: str) -> None:
        pause = threading.Event()
        for _ in range(500):
            if met():
                return
            pause.wait(0.01)
        raise AssertionError(f"not within 5 s: {what}")

    return wait
