"""What waits for an instance: to open, or to add the listener that something is to be delivered to. Supervisor, fdc3.

An instance may be waited for before it has ever connected: it is known by the id that its launch returned.
"""

from __future__ import annotations

from .channels import ContextListener
from .desk import Deadlines, Desk, Timer
from .errors import E, Refused
from .instances import Instance, Request

MOST_WAITING = 100
"""Requests that may wait for one instance; one more is refused."""


class Waiting:
    """A request whose answer waits for an instance. Each `on_…` returns whether that was what it waited for."""

    too_late: E
    """The error if it does not come in time."""
    never_opened: E
    """The error if the instance ends before it has opened."""
    ended: E
    """The error if it ends later."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.timer: Timer | None = None

    def on_open(self, instance: Instance) -> bool:
        return False

    def on_context_listener(self, instance: Instance, listener: ContextListener) -> bool:
        return False

    def on_intent_listener(self, instance: Instance, intent: str) -> bool:
        return False


class Waits:
    """All that waits, by instance."""

    def __init__(self, desk: Desk, deadlines: Deadlines) -> None:
        self._desk = desk
        self._deadlines = deadlines
        self._by_instance: dict[str, list[Waiting]] = {}

    def add(self, instance_id: str, waiting: Waiting, opened: bool) -> None:
        """Wait for an instance, which has opened already or is being launched. Raises `Refused` when too many do."""
        waitings = self._by_instance.setdefault(instance_id, [])
        if len(waitings) >= MOST_WAITING:
            raise Refused(waiting.too_late)
        waitings.append(waiting)
        self._arm(instance_id, waiting, self._deadlines.listener if opened else self._deadlines.launch)

    def of(self, instance_id: str) -> tuple[Waiting, ...]:
        """What waits for this instance, the oldest first."""
        return tuple(self._by_instance.get(instance_id, ()))

    def all(self) -> list[tuple[str, Waiting]]:
        """Everything that waits, with the instance it waits for."""
        return [(instance_id, waiting) for instance_id in self._by_instance for waiting in self.of(instance_id)]

    def opened(self, instance: Instance) -> None:
        """Its first getInfoRequest came: now its listeners have their own time to come."""
        for waiting in self.of(instance.id):
            if waiting.on_open(instance):
                self._done(instance.id, waiting)
            else:
                self._arm(instance.id, waiting, self._deadlines.listener)

    def context_listener(self, instance: Instance, listener: ContextListener) -> None:
        """It listens to contexts."""
        for waiting in self.of(instance.id):
            if waiting.on_context_listener(instance, listener):
                self._done(instance.id, waiting)

    def intent_listener(self, instance: Instance, intent: str) -> None:
        """It listens for an intent."""
        for waiting in self.of(instance.id):
            if waiting.on_intent_listener(instance, intent):
                self._done(instance.id, waiting)

    def ended(self, instance_id: str, opened: bool) -> None:
        """It is gone, or never came up: nobody waits for it any longer."""
        for waiting in self.of(instance_id):
            self._done(instance_id, waiting)
            waiting.request.refuse(waiting.ended if opened else waiting.never_opened)

    def _arm(self, instance_id: str, waiting: Waiting, seconds: float) -> None:
        if waiting.timer:
            waiting.timer.cancel()

        def late() -> None:
            self._done(instance_id, waiting)
            waiting.request.refuse(waiting.too_late)

        waiting.timer = self._desk.later(seconds, late)

    def _done(self, instance_id: str, waiting: Waiting) -> None:
        if waiting.timer:
            waiting.timer.cancel()
        waitings = self._by_instance.get(instance_id, [])
        if waiting in waitings:
            waitings.remove(waiting)
        if not waitings:
            self._by_instance.pop(instance_id, None)
