"""A desktop agent without processes: a desk whose clock the test moves, and instances that keep what they hear."""

from __future__ import annotations

import heapq
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

from labplatform.dacp import now
from labplatform.errors import LaunchError
from labplatform.supervisor.fdc3.desk import Deadlines, Resolver
from labplatform.supervisor.fdc3.directory import AppRecord, Intents, Interop, ListensFor
from labplatform.supervisor.fdc3.router import Router
from support.fdc3_schemas import Schemas

DEADLINES = Deadlines(launch=30, listener=15, resolver=0.05)


class Timer:
    def __init__(self, call: Callable[[], Any]) -> None:
        self.call: Callable[[], Any] | None = call

    def cancel(self) -> None:
        self.call = None


class Desk:
    """A platform whose launches happen when the test says so."""

    def __init__(self) -> None:
        self.records: dict[str, AppRecord] = {}
        self.resolver: Resolver | None = None
        self.launched: list[tuple[str, str]] = []
        self.remarks: list[tuple[str, str]] = []
        self.moves: list[str] = []
        self.broken: set[str] = set()
        self.time = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def declare(self, app_id: str, **intents: tuple[list[str], str | None] | list[str]) -> None:
        """An app of the directory; each intent with its context types, or with those and its result type."""
        listens = {
            intent: ListensFor(contexts=tuple(how[0]), result_type=how[1], display_name=f"Do {intent}")
            if isinstance(how, tuple)
            else ListensFor(contexts=tuple(how), display_name=f"Do {intent}")
            for intent, how in intents.items()
        }
        record = AppRecord(app_id=app_id, title=app_id.title(), interop=Interop(intents=Intents(listens_for=listens)))
        self.records[app_id] = record

    def app(self, app_id: str) -> AppRecord | None:
        return self.records.get(app_id)

    def apps(self) -> list[AppRecord]:
        return list(self.records.values())

    def launch(self, app_id: str, by: str) -> str:
        if app_id in self.broken:
            raise LaunchError(f"{app_id} cannot be started")
        instance = f"{app_id}-{len(self.launched)}"
        self.launched.append((app_id, instance))
        return instance

    def moved(self, instance_id: str) -> None:
        self.moves.append(instance_id)

    def now(self) -> float:
        return self.time

    def later(self, seconds: float, call: Callable[[], Any]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (self.time + seconds, next(self._count), timer))
        return timer

    def remark(self, instance_id: str, text: str) -> None:
        self.remarks.append((instance_id, text))

    def pass_time(self, seconds: float) -> None:
        """Move the clock; timers that fall due are called."""
        until = self.time + seconds
        while self._timers and self._timers[0][0] <= until:
            self.time, _, timer = heapq.heappop(self._timers)
            if timer.call:
                timer.call()
        self.time = until

    @property
    def timers(self) -> int:
        """Timers that still wait."""
        return sum(timer.call is not None for _, _, timer in self._timers)


class App:
    """An instance at the router, which keeps what it hears, in order, and has each message checked."""

    def __init__(self, world: World, app_id: str, instance_id: str) -> None:
        self.world, self.app_id, self.id = world, app_id, instance_id
        self.heard: list[dict[str, Any]] = []
        world.router.connect(app_id, instance_id, self._take)

    def _take(self, data: bytes) -> None:
        message = json.loads(data)
        if self.world.schemas:
            self.world.schemas.check(message)
        self.heard.append(message)

    @property
    def identifier(self) -> dict[str, str]:
        return {"appId": self.app_id, "instanceId": self.id}

    def say(self, kind: str, payload: Any = None, **meta: Any) -> str:
        """A request, whatever its payload; its id."""
        request = str(uuid.uuid4())
        message = {"type": kind, "meta": {"requestUuid": request, "timestamp": now(), **meta}, "payload": payload or {}}
        if self.world.schemas and self.world.strict:
            self.world.schemas.check(message)
        self.world.router.receive(self.id, json.dumps(message))
        return request

    def answer_to(self, request: str, kind: str | None = None) -> dict[str, Any] | None:
        """The payload of a request's response, if it has come."""
        answers = [
            message
            for message in self.heard
            if message["meta"].get("requestUuid") == request
            and (message["type"] == kind if kind else message["type"] != "raiseIntentResultResponse")
        ]
        assert len(answers) <= 1, f"answered {len(answers)} times"
        return answers[0]["payload"] if answers else None

    def result_of(self, request: str) -> dict[str, Any] | None:
        """What came back from an intent, if it did."""
        return self.answer_to(request, "raiseIntentResultResponse")

    def ask(self, kind: str, **payload: Any) -> dict[str, Any]:
        """A request that is answered at once; its response's payload."""
        answer = self.answer_to(self.say(kind, payload))
        assert answer is not None, f"{kind} was not answered"
        return answer

    def open(self) -> dict[str, Any]:
        """Its first getInfoRequest: from now on it counts as open."""
        return self.ask("getInfoRequest")["implementationMetadata"]

    def listen(self, context_type: str | None = None, channel: str | None = None) -> str:
        return self.ask("addContextListenerRequest", channelId=channel, contextType=context_type)["listenerUUID"]

    def handle(self, intent: str) -> str:
        return self.ask("addIntentListenerRequest", intent=intent)["listenerUUID"]

    def broadcast(self, channel: str, context: Any) -> dict[str, Any]:
        return self.ask("broadcastRequest", channelId=channel, context=context)

    def raise_intent(self, intent: str, context: Any = None, app: Any = None) -> str:
        payload = {"intent": intent, "context": context or {"type": "note"}}
        return self.say("raiseIntentRequest", payload | ({"app": app} if app else {}))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of the events of one kind, in order."""
        return [message["payload"] for message in self.heard if message["type"] == kind]

    @property
    def contexts(self) -> list[Any]:
        return [event["context"] for event in self.events("broadcastEvent")]

    def give_result(self, result: Any, event: int = -1) -> dict[str, Any]:
        """Answer an intent event that it heard."""
        message = [message for message in self.heard if message["type"] == "intentEvent"][event]
        return self.ask(
            "intentResultRequest",
            intentEventUuid=message["meta"]["eventUuid"],
            raiseIntentRequestUuid=message["payload"]["raiseIntentRequestUuid"],
            intentResult=result,
        )

    def end(self) -> None:
        self.world.router.disconnect(self.id)


class World:
    """A router and its desk. With `schemas` each message is checked; with `strict` those of the apps, too."""

    def __init__(self, schemas: Schemas | None = None) -> None:
        self.schemas = schemas
        self.strict = True
        self.desk = Desk()
        self.router = Router(self.desk, DEADLINES)

    def start(self, app_id: str, instance_id: str | None = None, opened: bool = True) -> App:
        """An instance that is connected, and open."""
        app = App(self, app_id, instance_id or app_id)
        if opened:
            app.open()
        return app

    def arrive(self, launch: int = -1) -> App:
        """The page of what was launched connects and asks for its desktop agent's info."""
        return self.start(*self.desk.launched[launch])
